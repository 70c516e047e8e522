//! What a start takes and is bounded by; the permits of pools that the tasks of a session have, as far as
//! this process took them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use planlease_core::{PlanName, PoolName, Revision, TaskId, pool::Permits, spec::Policy, view::TaskView};

/// The permits that a start is to take, by pool.
pub(crate) type Taken = BTreeMap<PoolName, Vec<u32>>;

/// What bounds a start, by the definition that its transaction compares.
#[derive(Debug)]
pub(crate) struct StartBounds<'a> {
    /// The policy of the task.
    pub(crate) policy: Policy,
    /// The permits that it takes, where it uses a pool.
    pub(crate) permits: Option<&'a Taken>,
}

/// The permits that tasks took by starts of this process under a session: for those whose claims other
/// processes end. Bounded by what one process has in progress.
#[derive(Debug, Default)]
pub(crate) struct HeldPermits(Mutex<BTreeMap<(PlanName, TaskId), Held>>);

#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) attempt: u32,
    pub(crate) since: Revision,
    pub(crate) permits: Permits,
}

impl HeldPermits {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<(PlanName, TaskId), Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a record that was just written: a start with permits, or the end of a claim.
    pub(crate) fn note(&self, plan: &PlanName, written: &TaskView, is_start: bool) {
        let permits = written.record.claim.as_ref().and_then(|claim| claim.permits.as_deref());
        let task = (plan.clone(), written.id.clone());
        match permits {
            Some(permits) if is_start => {
                let (attempt, permits) = (written.record.attempt, permits.clone());
                self.lock().insert(task, Held { attempt, since: written.revision, permits });
            }
            Some(_) => {}
            None => drop(self.lock().remove(&task)),
        }
    }
}
