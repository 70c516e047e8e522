//! How keys look: the only place that builds or reads one. What they stand for is in `key.rs`, how a name is
//! written in one in `text.rs`.
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

mod key;
mod text;

use self::text::{above, encode, known, plan_key, unknown, written};
pub use self::{
    key::{Key, PlanKey, SteeringKey},
    text::written_id,
};
use crate::id::{LockName, Namespace, PlanName, PoolName, TaskId};

/// Where one namespace's keys are, and how each of them looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `{root}/v1/{namespace}/`
    prefix: String,
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

    /// The queue of candidates for a lock of the namespace.
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

    /// The queue of candidates for a plan.
    #[must_use]
    pub fn queue(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&format!("{}/", self.election(plan)))
    }

    /// The lines of all locks of a plan.
    #[must_use]
    pub fn locks(&self, plan: &PlanName) -> KeyRange {
        KeyRange::prefix(&self.below(plan, "locks/"))
    }

    /// The queue of candidates for a lock.
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

#[cfg(test)]
mod tests;
