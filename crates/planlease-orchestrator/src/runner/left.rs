//! The tasks of a plan that are left to claimants, since they are not for this orchestrator.

use std::collections::BTreeSet;

use planlease_core::{TaskId, offer::Offer, spec::PlanSpec};

/// Which tasks of a plan are left to claimants.
#[derive(Debug, Default)]
pub(super) struct Left {
    tasks: BTreeSet<TaskId>,
    /// Those that were reported.
    reported: BTreeSet<TaskId>,
}

impl Left {
    /// The tasks of a plan that this offer does not take.
    pub(super) fn by(offer: &Offer, spec: &PlanSpec) -> Self {
        let left = spec.tasks.iter().filter(|task| offer.takes_task(task).is_err());
        Self { tasks: left.map(|task| task.id.clone()).collect(), reported: BTreeSet::new() }
    }

    /// Whether the task is left to claimants.
    pub(super) fn has(&self, task: &TaskId) -> bool {
        self.tasks.contains(task)
    }

    /// The tasks among these that are left, and were not reported before.
    pub(super) fn news<'a>(&mut self, ready: impl Iterator<Item = &'a TaskId>) -> Vec<TaskId> {
        let news: Vec<TaskId> =
            ready.filter(|task| self.has(task) && !self.reported.contains(*task)).cloned().collect();
        self.reported.extend(news.iter().cloned());
        news
    }
}
