//! How keys look: the only place that builds or reads one.
//!
//! ```text
//! {root}/v1/{namespace}/store
//! {root}/v1/{namespace}/orchestrators/{orchestrator}          leased
//! {root}/v1/{namespace}/logs/{orchestrator}                   leased
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
//! {root}/v1/{namespace}/excerpts/{plan}/of                    which definition the excerpts are of
//! {root}/v1/{namespace}/excerpts/{plan}/tasks/{task}          the definition by task, up to this one; see `excerpt`
//! {root}/v1/{namespace}/worktrees/{host}/{name}               outlives who made it
//! {root}/v1/{namespace}/steering/pause                        there exactly while nothing starts in the namespace
//! {root}/v1/{namespace}/steering/orchestrators/{orchestrator} there exactly while it takes nothing new
//! {root}/v1/{namespace}/steering/moves/{plan}                 leased; the plan is to move
//! {root}/v1/{namespace}/hooks/{name}                          how far its receiver was notified
//! {root}/v1/{namespace}/hooks/{name}/runner                   leased
//! {root}/v1/{namespace}/locks/{name}/{lease}                  leased; a lock without a plan
//! {root}/v1/{namespace}/pools/{pool}                          how many permits it has
//! {root}/v1/{namespace}/pools/{pool}/permits/{number}/{lease} leased; a permit that is taken
//! ```
//!
//! Excerpts come before all other keys and not below their plans: so whatever follows a plan, or all of them,
//! has one range without them.
//!
//! Names are percent-encoded: whatever they contain, a key has the same number of `/`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    id::{
        HookName, HostName, LeaseId, LockName, Namespace, OrchestratorId, PlanName, PoolName, TaskId,
        WorktreeName,
    },
    revision::TermNumber,
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
    /// Where the output of a process's commands can be followed.
    Logs(OrchestratorId),
    /// Something of a plan.
    Plan(PlanName, PlanKey),
    /// A worktree on a host.
    Worktree(HostName, WorktreeName),
    /// Something that is asked of the fleet.
    Steering(SteeringKey),
    /// How far the receiver of a hook was notified.
    Hook(HookName),
    /// The process that runs a hook.
    HookRunner(HookName),
    /// A candidate in line for a lock of the namespace; the one with the lowest create revision has it.
    Lock(LockName, LeaseId),
    /// The definition of a pool.
    Pool(PoolName),
    /// A permit of a pool that is taken: its number, and the lease of the claim.
    Permit(PoolName, u32, LeaseId),
    /// A key below the namespace that this version does not know, as it is written there: of a newer version,
    /// or of another program.
    Unknown(Vec<u8>),
}

/// What a key below `steering/` stands for; see [`crate::steering`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SteeringKey {
    /// Nothing starts in the namespace.
    Pause,
    /// An orchestrator takes nothing new.
    Cordon(OrchestratorId),
    /// A plan is to move to a named orchestrator.
    Move(PlanName),
}

/// What a key below a plan stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanKey {
    /// The plan's definition.
    Spec,
    /// A further part of a large definition.
    SpecPart(u32),
    /// Which definition the excerpts are of.
    Excerpts,
    /// The definitions of the tasks up to this one, in the order of their keys.
    Excerpt(TaskId),
    /// The mark of an import under way.
    Import,
    /// Nothing is started.
    Pause,
    /// No process can own it.
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
    /// A key below the plan that this version does not know, as it is written there.
    Unknown(Vec<u8>),
}

/// The key as it is written below the namespace, as `plans/release/tasks/1.2`.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&written(self)))
    }
}

impl Key {
    /// The plan that the key belongs to, if it belongs to one.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanName> {
        match self {
            Self::Plan(plan, _) => Some(plan),
            Self::Store
            | Self::Orchestrator(_)
            | Self::Logs(_)
            | Self::Worktree(..)
            | Self::Steering(_)
            | Self::Hook(_)
            | Self::HookRunner(_)
            | Self::Lock(..)
            | Self::Pool(_)
            | Self::Permit(..)
            | Self::Unknown(_) => None,
        }
    }
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

    /// All keys of the namespace but for the excerpts, which say again what the definitions say.
    #[must_use]
    pub fn watched(&self) -> KeyRange {
        let excerpts = KeyRange::prefix(&format!("{}excerpts/", self.prefix));
        KeyRange { start: excerpts.end, ..self.everything() }
    }

    /// All keys of all plans, but for their excerpts.
    #[must_use]
    pub fn plans(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}plans/", self.prefix))
    }

    /// All registrations.
    #[must_use]
    pub fn orchestrators(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}orchestrators/", self.prefix))
    }

    /// Where the output of commands can be followed, for all orchestrators that serve it.
    #[must_use]
    pub fn logs(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}logs/", self.prefix))
    }

    /// All that is asked of the fleet.
    #[must_use]
    pub fn steering(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}steering/", self.prefix))
    }

    /// The lines of all locks of the namespace.
    #[must_use]
    pub fn global_locks(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}locks/", self.prefix))
    }

    /// The line of candidates for a lock of the namespace.
    #[must_use]
    pub fn global_lock_queue(&self, lock: &LockName) -> KeyRange {
        KeyRange::prefix(&format!("{}locks/{}/", self.prefix, encode(lock.as_str())))
    }

    /// All pools, with their permits.
    #[must_use]
    pub fn pools(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}pools/", self.prefix))
    }

    /// The permits of a pool that are taken.
    #[must_use]
    pub fn permits(&self, pool: &PoolName) -> KeyRange {
        KeyRange::prefix(&format!("{}pools/{}/permits/", self.prefix, encode(pool.as_str())))
    }

    /// One permit of a pool, whichever lease it hangs on.
    #[must_use]
    pub fn permit(&self, pool: &PoolName, number: u32) -> KeyRange {
        KeyRange::prefix(&format!("{}pools/{}/permits/{number:06}/", self.prefix, encode(pool.as_str())))
    }

    /// The worktrees of all hosts.
    #[must_use]
    pub fn worktrees(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}worktrees/", self.prefix))
    }

    /// All keys of one plan, but for its excerpts.
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

    /// All excerpts of a plan's definition, and the key that says which definition they are of.
    #[must_use]
    pub fn excerpts(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&format!("{}excerpts/{}/", self.prefix, encode(plan.as_str())))
    }

    /// The range whose first key is the excerpt with this task, if one has it.
    #[must_use]
    pub fn excerpt_of(&self, plan: &PlanName, task: &TaskId) -> KeyRange {
        let start = self.of(plan, &PlanKey::Excerpt(task.clone()));
        let all = KeyRange::prefix(&format!("{}excerpts/{}/tasks/", self.prefix, encode(plan.as_str())));
        KeyRange { start, end: all.end }
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

    /// What halts a plan, and the records of its tasks; with what lies between, which changes seldom but for
    /// its line and its outputs.
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
        [self.prefix.as_bytes(), &written(key)].concat()
    }

    /// The bytes of a key of a plan.
    #[must_use]
    pub fn of(&self, plan: &PlanName, key: &PlanKey) -> Vec<u8> {
        // Every write makes one: in one piece.
        let (above, plan) = (above(key), encode(plan.as_str()));
        [self.prefix.as_bytes(), above, plan.as_bytes(), b"/", &plan_key(key)].concat()
    }

    /// Reads a key; `None` if it is not below this namespace. What this version does not know there (a newer
    /// version's, or another program's) is [`Key::Unknown`], or [`PlanKey::Unknown`] below a plan.
    #[must_use]
    pub fn parse(&self, bytes: &[u8]) -> Option<Key> {
        let rest = bytes.strip_prefix(self.prefix.as_bytes())?;
        Some(known(rest).unwrap_or_else(|| unknown(rest)))
    }

    fn below(&self, plan: &PlanName, rest: &str) -> String {
        [&self.prefix, "plans/", &encode(plan.as_str()), "/", rest].concat()
    }
}

/// The key that is written so below the namespace, if this version knows it.
fn known(rest: &[u8]) -> Option<Key> {
    let mut parts = std::str::from_utf8(rest).ok()?.split('/');
    let key = match (parts.next()?, parts.next()) {
        ("store", None) => Key::Store,
        ("orchestrators", Some(id)) => Key::Orchestrator(OrchestratorId::new(decode(id)?).ok()?),
        ("logs", Some(id)) => Key::Logs(OrchestratorId::new(decode(id)?).ok()?),
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
        ("excerpts", Some(plan)) => {
            let plan = PlanName::new(decode(plan)?).ok()?;
            let key = match (parts.next()?, parts.next()) {
                ("of", None) => PlanKey::Excerpts,
                ("tasks", Some(task)) => PlanKey::Excerpt(TaskId::new(decode(task)?).ok()?),
                _ => return None,
            };
            Key::Plan(plan, key)
        }
        ("worktrees", Some(host)) => {
            let name = WorktreeName::new(decode(parts.next()?)?).ok()?;
            Key::Worktree(HostName::new(decode(host)?).ok()?, name)
        }
        ("steering", Some("pause")) => Key::Steering(SteeringKey::Pause),
        ("steering", Some("orchestrators")) => {
            Key::Steering(SteeringKey::Cordon(OrchestratorId::new(decode(parts.next()?)?).ok()?))
        }
        ("steering", Some("moves")) => {
            Key::Steering(SteeringKey::Move(PlanName::new(decode(parts.next()?)?).ok()?))
        }
        ("hooks", Some(name)) => {
            let name = HookName::new(decode(name)?).ok()?;
            match parts.next() {
                None => Key::Hook(name),
                Some("runner") => Key::HookRunner(name),
                Some(_) => return None,
            }
        }
        ("locks", Some(name)) => Key::Lock(LockName::new(decode(name)?).ok()?, parts.next()?.parse().ok()?),
        ("pools", Some(name)) => {
            let name = PoolName::new(decode(name)?).ok()?;
            match parts.next() {
                None => Key::Pool(name),
                Some("permits") => {
                    Key::Permit(name, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)
                }
                Some(_) => return None,
            }
        }
        _ => return None,
    };
    // In its only form: else two keys in etcd would be one here.
    (parts.next().is_none() && written(&key) == rest).then_some(key)
}

/// The key that this version does not know, with the plan that it is below, if it is below one.
fn unknown(rest: &[u8]) -> Key {
    let of_plan = || {
        let below = rest.strip_prefix(b"plans/")?;
        let slash = below.iter().position(|byte| *byte == b'/')?;
        let (name, rest) = (std::str::from_utf8(&below[..slash]).ok()?, &below[slash + 1..]);
        let plan = PlanName::new(decode(name)?).ok()?;
        (encode(plan.as_str()) == name).then(|| Key::Plan(plan, PlanKey::Unknown(rest.to_vec())))
    };
    of_plan().unwrap_or_else(|| Key::Unknown(rest.to_vec()))
}

/// The bytes of a key below the namespace.
fn written(key: &Key) -> Vec<u8> {
    match key {
        Key::Store => b"store".to_vec(),
        Key::Orchestrator(id) => format!("orchestrators/{}", encode(id.as_str())).into_bytes(),
        Key::Logs(id) => format!("logs/{}", encode(id.as_str())).into_bytes(),
        Key::Plan(plan, key) => [above(key), encode(plan.as_str()).as_bytes(), b"/", &plan_key(key)].concat(),
        Key::Worktree(host, name) => {
            format!("worktrees/{}/{}", encode(host.as_str()), encode(name.as_str())).into_bytes()
        }
        Key::Steering(SteeringKey::Pause) => b"steering/pause".to_vec(),
        Key::Steering(SteeringKey::Cordon(id)) => {
            format!("steering/orchestrators/{}", encode(id.as_str())).into_bytes()
        }
        Key::Steering(SteeringKey::Move(plan)) => {
            format!("steering/moves/{}", encode(plan.as_str())).into_bytes()
        }
        Key::Hook(name) => format!("hooks/{}", encode(name.as_str())).into_bytes(),
        Key::HookRunner(name) => format!("hooks/{}/runner", encode(name.as_str())).into_bytes(),
        Key::Lock(name, lease) => format!("locks/{}/{lease}", encode(name.as_str())).into_bytes(),
        Key::Pool(name) => format!("pools/{}", encode(name.as_str())).into_bytes(),
        Key::Permit(name, number, lease) => {
            format!("pools/{}/permits/{number:06}/{lease}", encode(name.as_str())).into_bytes()
        }
        Key::Unknown(rest) => rest.clone(),
    }
}

/// What stands before the name of the plan.
fn above(key: &PlanKey) -> &'static [u8] {
    match key {
        PlanKey::Excerpts | PlanKey::Excerpt(_) => b"excerpts/",
        _ => b"plans/",
    }
}

/// The bytes of a key behind the name of its plan.
fn plan_key(key: &PlanKey) -> Vec<u8> {
    let text: String = match key {
        PlanKey::Spec => "spec".into(),
        PlanKey::SpecPart(part) => format!("spec/{part:06}"),
        PlanKey::Excerpts => "of".into(),
        PlanKey::Excerpt(task) => format!("tasks/{}", encode(task.as_str())),
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
        PlanKey::Unknown(rest) => return rest.clone(),
    };
    text.into_bytes()
}

/// How a task's id is written in keys: keys are in the order of these texts, and not in that of ids.
#[must_use]
pub fn written_id(task: &TaskId) -> Cow<'_, str> {
    encode(task.as_str())
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
    fn keys_outside_of_the_namespace_are_none() {
        for key in ["/planlease/v1/other/plans/a/spec", "/planlease/v2/default/plans/a/spec", "a"] {
            assert_eq!(layout().parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(layout().parse(&[0xff, 0xfe]), None);
    }

    #[test]
    fn excerpts_are_outside_of_what_is_watched() {
        let (plan, task) = (PlanName::new("a b").unwrap(), TaskId::new("of").unwrap());
        let key = |key: PlanKey| layout().of(&plan, &key);
        let excerpts = [key(PlanKey::Excerpts), key(PlanKey::Excerpt(task.clone()))];
        assert_eq!(excerpts[1], b"/planlease/v1/default/excerpts/a%20b/tasks/of");
        for excerpt in &excerpts {
            assert!(layout().everything().contains(excerpt) && layout().excerpts(&plan).contains(excerpt));
            assert!(!layout().watched().contains(excerpt) && !layout().plan(&plan).contains(excerpt));
            assert_eq!(layout().parse(excerpt).unwrap().plan(), Some(&plan));
        }
        assert!(!layout().excerpt_of(&plan, &task).contains(&excerpts[0]));
        let all = [Key::Store, Key::Plan(plan.clone(), PlanKey::Spec), Key::Plan(plan, PlanKey::Task(task))];
        assert!(all.iter().all(|key| layout().watched().contains(&layout().key(key))));
        assert!(layout().orchestrators().start > layout().watched().start);
    }

    #[test]
    fn a_key_knows_its_plan() {
        let plan = PlanName::new("p").unwrap();
        let spec = Key::Plan(plan.clone(), PlanKey::Spec);
        assert_eq!(spec.plan(), Some(&plan));
        assert_eq!(Key::Store.plan(), None);
        assert_eq!(layout().parse(b"/planlease/v1/default/store"), Some(Key::Store));
    }

    #[test]
    fn unknown_keys_belong_to_the_plan_they_are_below() {
        let below = |rest: &[u8]| layout().parse(&[b"/planlease/v1/default/", rest].concat()).unwrap();
        for rest in [
            "",
            "plans/a",
            "worktrees/host",
            "worktrees/host/name/more",
            "plans/%61/spec",
            "plans/-a/spec",
            "news",
        ] {
            assert_eq!(below(rest.as_bytes()), Key::Unknown(rest.into()), "{rest}");
        }
        assert_eq!(below(b"plans/\xff/spec"), Key::Unknown(b"plans/\xff/spec".to_vec()));
        let plan = PlanName::new("a b").unwrap();
        for rest in [
            "spec/1/2",
            "owner/nothex",
            "owner/00ff",
            "locks/name",
            "locks/name/ff/more",
            "tasks/%31",
            "halt/x",
        ] {
            let key = below(format!("plans/a%20b/{rest}").as_bytes());
            assert_eq!(key, Key::Plan(plan.clone(), PlanKey::Unknown(rest.into())));
            assert_eq!(key.to_string(), format!("plans/a%20b/{rest}"));
            assert_eq!(layout().parse(&layout().key(&key)), Some(key));
        }
        let key = Key::Plan(plan, PlanKey::Unknown(b"\xff".to_vec()));
        assert_eq!(layout().parse(&layout().key(&key)), Some(key));
    }

    proptest! {
        #[test]
        fn every_key_reads_back(plan in "[^/\\p{C}\\s-][^/\\p{C}\\s]{0,20}", task in "[^/\\p{C}\\s-][^/\\p{C}\\s]{0,9}", n in 1i64..) {
            let plan = PlanName::new(plan).unwrap();
            let task = TaskId::new(task).unwrap();
            for key in [
                PlanKey::Spec, PlanKey::SpecPart(3), PlanKey::Excerpts, PlanKey::Excerpt(task.clone()), PlanKey::Import, PlanKey::Pause, PlanKey::Close, PlanKey::Term,
                PlanKey::Owner(LeaseId::from_wire(n).unwrap()),
                PlanKey::Lock(LockName::new(plan.as_str()).unwrap(), LeaseId::from_wire(n).unwrap()), PlanKey::PastTerm(TermNumber(n.unsigned_abs())),
                PlanKey::Task(task.clone()), PlanKey::Findings(task.clone()), PlanKey::Late(task),
            ] {
                let key = Key::Plan(plan.clone(), key);
                let bytes = layout().key(&key);
                let of_excerpts = matches!(key, Key::Plan(_, PlanKey::Excerpts | PlanKey::Excerpt(_)));
                let range = if of_excerpts { layout().excerpts(&plan) } else { layout().plan(&plan) };
                prop_assert_eq!(layout().parse(&bytes), Some(key));
                prop_assert!(range.start <= bytes && bytes < range.end);
            }
            let (lease, pool) = (LeaseId::from_wire(n).unwrap(), PoolName::new(plan.as_str()).unwrap());
            let number = u32::try_from(n % 2_000_000).unwrap();
            for key in [
                Key::Hook(HookName::new(plan.as_str()).unwrap()), Key::HookRunner(HookName::new(plan.as_str()).unwrap()),
                Key::Lock(LockName::new(plan.as_str()).unwrap(), lease), Key::Pool(pool.clone()), Key::Permit(pool.clone(), number, lease),
            ] {
                let bytes = layout().key(&key);
                prop_assert_eq!(layout().parse(&bytes), Some(key));
            }
            let key = Key::Worktree(HostName::new(plan.as_str()).unwrap(), WorktreeName::new(plan.as_str()).unwrap());
            let bytes = layout().key(&key);
            prop_assert_eq!(layout().parse(&bytes), Some(key));
            let range = layout().worktrees();
            prop_assert!(range.start <= bytes && bytes < range.end);
            let key = Key::Logs(OrchestratorId::new(plan.as_str()).unwrap());
            let bytes = layout().key(&key);
            prop_assert_eq!(layout().parse(&bytes), Some(key));
            let range = layout().logs();
            prop_assert!(range.start <= bytes && bytes < range.end);
        }
    }
}
