//! How keys look: the only place that builds or reads one.
//!
//! ```text
//! {root}/v1/{namespace}/store
//! {root}/v1/{namespace}/orchestrators/{orchestrator}          leased
//! {root}/v1/{namespace}/plans/{plan}/spec                     there exactly if the plan is
//! {root}/v1/{namespace}/plans/{plan}/spec/{part}              of a definition too large for one key
//! {root}/v1/{namespace}/plans/{plan}/halt/pause               there exactly while it is paused
//! {root}/v1/{namespace}/plans/{plan}/halt/close               there exactly while it is cancelled or archived
//! {root}/v1/{namespace}/plans/{plan}/import                   leased
//! {root}/v1/{namespace}/plans/{plan}/locks/{name}/{lease}      leased; the layout of etcd's own Mutex recipe
//! {root}/v1/{namespace}/plans/{plan}/owner/{lease in hex}     leased; the layout of etcd's own Election recipe
//! {root}/v1/{namespace}/plans/{plan}/term
//! {root}/v1/{namespace}/plans/{plan}/terms/{number}
//! {root}/v1/{namespace}/plans/{plan}/tasks/{task}
//! {root}/v1/{namespace}/plans/{plan}/findings/{task}
//! {root}/v1/{namespace}/plans/{plan}/late/{task}
//! {root}/v1/{namespace}/worktrees/{host}/{name}               outlives who made it
//! ```
//!
//! Names are percent-encoded: whatever they contain, a key has the same number of `/`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    HostName, LeaseId, LockName, Namespace, OrchestratorId, PlanName, TaskId, TermNumber, WorktreeName,
};

/// Everything but letters, digits and `-_.~` is written as `%XX`, as in the unreserved set of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where one namespace's keys are, and how each of them looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `{root}/v1/{namespace}/`
    prefix: String,
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The store's identity.
    Store,
    /// A process's registration.
    Orchestrator(OrchestratorId),
    /// Something of a plan.
    Plan(PlanName, PlanKey),
    /// A worktree on a host.
    Worktree(HostName, WorktreeName),
}

/// What a key below a plan stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanKey {
    /// The plan's definition.
    Spec,
    /// A further part of a large definition.
    SpecPart(u32),
    /// The mark of an import under way.
    Import,
    /// Nothing is started.
    Pause,
    /// Nobody can own it.
    Close,
    /// A candidate in line; the one with the lowest create revision owns, or is about to.
    Owner(LeaseId),
    /// A candidate in line for a lock; the one with the lowest create revision has it.
    Lock(LockName, LeaseId),
    /// The present term, or the last one.
    Term,
    /// A past term.
    PastTerm(TermNumber),
    /// A task's record.
    Task(TaskId),
    /// A task's output.
    Findings(TaskId),
    /// A task's results that came too late.
    Late(TaskId),
}

/// A range of keys `[start, end)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Vec<u8>,
    /// The first key after it.
    pub end: Vec<u8>,
}

impl KeyRange {
    /// All keys that begin with `prefix`, which must not be empty or end in `0xff`.
    #[must_use]
    pub fn prefix(prefix: &str) -> Self {
        let start = prefix.as_bytes().to_vec();
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        Self { start, end }
    }

    /// Whether a key is in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }
}

impl Layout {
    /// The layout below `root` (as `/planlease`; trailing `/` are dropped) for one namespace.
    #[must_use]
    pub fn new(root: &str, namespace: &Namespace) -> Self {
        Self { prefix: format!("{}/v1/{}/", root.trim_end_matches('/'), encode(namespace.as_str())) }
    }

    /// All keys of the namespace.
    #[must_use]
    pub fn everything(&self) -> KeyRange {
        KeyRange::prefix(&self.prefix)
    }

    /// All keys of all plans.
    #[must_use]
    pub fn plans(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}plans/", self.prefix))
    }

    /// All registrations.
    #[must_use]
    pub fn orchestrators(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}orchestrators/", self.prefix))
    }

    /// The worktrees of all hosts.
    #[must_use]
    pub fn worktrees(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}worktrees/", self.prefix))
    }

    /// All keys of one plan.
    #[must_use]
    pub fn plan(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, ""))
    }

    /// The records of all tasks of a plan.
    #[must_use]
    pub fn tasks(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "tasks/"))
    }

    /// The definition of a plan with all its parts. No other key begins with `spec`.
    #[must_use]
    pub fn spec(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "spec"))
    }

    /// The further parts of a definition, but for the first ones.
    #[must_use]
    pub fn spec_parts_after(&self, plan: &PlanName, first: usize) -> KeyRange {
        let next = u32::try_from(first).unwrap_or(u32::MAX).saturating_add(1);
        KeyRange { start: self.of(plan, &PlanKey::SpecPart(next)), end: self.spec(plan).end }
    }

    /// The outputs of all tasks of a plan.
    #[must_use]
    pub fn findings(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "findings/"))
    }

    /// The late results of all tasks of a plan.
    #[must_use]
    pub fn late(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "late/"))
    }

    /// What halts a plan.
    #[must_use]
    pub fn halts(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "halt/"))
    }

    /// What halts a plan, and the records of its tasks; with what lies between, which changes seldom but for its line and its
    /// outputs.
    #[must_use]
    pub fn halts_and_tasks(&self, plan: &PlanName) -> KeyRange {
        KeyRange { start: self.halts(plan).start, end: self.tasks(plan).end }
    }

    /// The past terms of a plan.
    #[must_use]
    pub fn past_terms(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "terms/"))
    }

    /// The line of candidates for a plan.
    #[must_use]
    pub fn queue(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&format!("{}/", self.election(plan)))
    }

    /// The lines of all locks of a plan.
    #[must_use]
    pub fn locks(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "locks/"))
    }

    /// The line of candidates for a lock.
    #[must_use]
    pub fn lock_queue(&self, plan: &PlanName, lock: &LockName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, &format!("locks/{}/", encode(lock.as_str()))))
    }

    /// The name under which etcd's own tools join the same line: `etcdctl elect {this} {value}`.
    #[must_use]
    pub fn election(&self, plan: &PlanName) -> String {
        self.below(plan, "owner")
    }

    /// The bytes of a key.
    #[must_use]
    pub fn key(&self, key: &Key) -> Vec<u8> {
        match key {
            Key::Store => format!("{}store", self.prefix),
            Key::Orchestrator(id) => format!("{}orchestrators/{}", self.prefix, encode(id.as_str())),
            Key::Plan(plan, key) => self.below(plan, &plan_key(key)),
            Key::Worktree(host, name) => {
                format!("{}worktrees/{}/{}", self.prefix, encode(host.as_str()), encode(name.as_str()))
            }
        }
        .into_bytes()
    }

    /// The bytes of a key of a plan.
    #[must_use]
    pub fn of(&self, plan: &PlanName, key: &PlanKey) -> Vec<u8> {
        self.below(plan, &plan_key(key)).into_bytes()
    }

    /// Reads a key; `None` if it is not one of this layout (another namespace, a newer version, a stranger's).
    #[must_use]
    pub fn parse(&self, bytes: &[u8]) -> Option<Key> {
        let rest = std::str::from_utf8(bytes).ok()?.strip_prefix(&self.prefix)?;
        let mut parts = rest.split('/');
        let key = match (parts.next()?, parts.next()) {
            ("store", None) => Key::Store,
            ("orchestrators", Some(id)) => Key::Orchestrator(OrchestratorId::new(decode(id)?).ok()?),
            ("plans", Some(plan)) => {
                let plan = PlanName::new(decode(plan)?).ok()?;
                let key = match (parts.next()?, parts.next()) {
                    ("spec", None) => PlanKey::Spec,
                    ("spec", Some(part)) => PlanKey::SpecPart(part.parse().ok()?),
                    ("import", None) => PlanKey::Import,
                    ("halt", Some("pause")) => PlanKey::Pause,
                    ("halt", Some("close")) => PlanKey::Close,
                    ("owner", Some(lease)) => PlanKey::Owner(lease.parse().ok()?),
                    ("locks", Some(name)) => {
                        PlanKey::Lock(LockName::new(decode(name)?).ok()?, parts.next()?.parse().ok()?)
                    }
                    ("term", None) => PlanKey::Term,
                    ("terms", Some(number)) => PlanKey::PastTerm(TermNumber(number.parse().ok()?)),
                    ("tasks", Some(task)) => PlanKey::Task(TaskId::new(decode(task)?).ok()?),
                    ("findings", Some(task)) => PlanKey::Findings(TaskId::new(decode(task)?).ok()?),
                    ("late", Some(task)) => PlanKey::Late(TaskId::new(decode(task)?).ok()?),
                    _ => return None,
                };
                Key::Plan(plan, key)
            }
            ("worktrees", Some(host)) => {
                let name = WorktreeName::new(decode(parts.next()?)?).ok()?;
                Key::Worktree(HostName::new(decode(host)?).ok()?, name)
            }
            _ => return None,
        };
        // In its only form: else two keys in etcd would be one here.
        (parts.next().is_none() && self.key(&key) == bytes).then_some(key)
    }

    fn below(&self, plan: &PlanName, rest: &str) -> String {
        // Every write makes one: in one piece.
        [&self.prefix, "plans/", &encode(plan.as_str()), "/", rest].concat()
    }
}

fn plan_key(key: &PlanKey) -> String {
    match key {
        PlanKey::Spec => "spec".into(),
        PlanKey::SpecPart(part) => format!("spec/{part:06}"),
        PlanKey::Import => "import".into(),
        PlanKey::Pause => "halt/pause".into(),
        PlanKey::Close => "halt/close".into(),
        PlanKey::Owner(lease) => format!("owner/{lease}"),
        PlanKey::Lock(name, lease) => format!("locks/{}/{lease}", encode(name.as_str())),
        PlanKey::Term => "term".into(),
        PlanKey::PastTerm(number) => format!("terms/{:012}", number.0),
        PlanKey::Task(task) => format!("tasks/{}", encode(task.as_str())),
        PlanKey::Findings(task) => format!("findings/{}", encode(task.as_str())),
        PlanKey::Late(task) => format!("late/{}", encode(task.as_str())),
    }
}

fn encode(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, ENCODED).into()
}

fn decode(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> Layout {
        Layout::new("/planlease/", &Namespace::default())
    }

    #[test]
    fn keys_look_as_documented() {
        let plan = PlanName::new("fix: a b").unwrap();
        let key = |key| String::from_utf8(layout().of(&plan, &key)).unwrap();
        let base = "/planlease/v1/default/plans/fix%3A%20a%20b";
        assert_eq!(key(PlanKey::Spec), format!("{base}/spec"));
        assert_eq!(key(PlanKey::Owner(LeaseId::from_wire(255).unwrap())), format!("{base}/owner/ff"));
        assert_eq!(key(PlanKey::Task(TaskId::new("1.2").unwrap())), format!("{base}/tasks/1.2"));
        assert_eq!(layout().election(&plan), format!("{base}/owner"));
    }

    #[test]
    fn a_range_contains_what_begins_with_its_prefix() {
        let range = KeyRange::prefix("a/");
        for (key, inside) in [("a", false), ("a/", true), ("a/b", true), ("a0", false), ("b", false)] {
            assert_eq!(range.contains(key.as_bytes()), inside, "{key}");
        }
    }

    #[test]
    fn strangers_keys_are_not_taken_for_ours() {
        for key in [
            "/planlease/v1/other/plans/a/spec",
            "/planlease/v1/default/plans/a",
            "/planlease/v1/default/plans/a/spec/1/2",
            "/planlease/v1/default/plans/a/owner/nothex",
            "/planlease/v1/default/plans/a/locks/name",
            "/planlease/v1/default/plans/a/locks/name/ff/more",
            "/planlease/v2/default/plans/a/spec",
            "/planlease/v1/default/worktrees/host",
            "/planlease/v1/default/worktrees/host/name/more",
        ] {
            assert_eq!(layout().parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(layout().parse(&[0xff, 0xfe]), None);
    }

    proptest! {
        #[test]
        fn every_key_reads_back(plan in "[^/\\p{C}\\s-][^/\\p{C}\\s]{0,20}", task in "[^/\\p{C}\\s-][^/\\p{C}\\s]{0,9}", n in 1i64..) {
            let plan = PlanName::new(plan).unwrap();
            let task = TaskId::new(task).unwrap();
            for key in [
                PlanKey::Spec, PlanKey::SpecPart(3), PlanKey::Import, PlanKey::Pause, PlanKey::Close, PlanKey::Term,
                PlanKey::Owner(LeaseId::from_wire(n).unwrap()),
                PlanKey::Lock(LockName::new(plan.as_str()).unwrap(), LeaseId::from_wire(n).unwrap()), PlanKey::PastTerm(TermNumber(n.unsigned_abs())),
                PlanKey::Task(task.clone()), PlanKey::Findings(task.clone()), PlanKey::Late(task),
            ] {
                let key = Key::Plan(plan.clone(), key);
                let bytes = layout().key(&key);
                prop_assert_eq!(layout().parse(&bytes), Some(key));
                let range = layout().plan(&plan);
                prop_assert!(range.start <= bytes && bytes < range.end);
            }
            let key = Key::Worktree(HostName::new(plan.as_str()).unwrap(), WorktreeName::new(plan.as_str()).unwrap());
            let bytes = layout().key(&key);
            prop_assert_eq!(layout().parse(&bytes), Some(key));
            let range = layout().worktrees();
            prop_assert!(range.start <= bytes && bytes < range.end);
        }
    }
}
