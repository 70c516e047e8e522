//! What could be started here, now or later.

use planlease::TaskView;
use planlease_core::TaskId;
use tokio::time::Instant;
use uuid::Uuid;

use super::execution::Runner;

impl Runner {
    /// The ready tasks that do not run here, and have time left.
    pub(super) fn ready(&self) -> impl Iterator<Item = &TaskId> {
        let now = self.now();
        let ready = self.view.ready();
        ready.filter(move |task| {
            !self.left.has(task)
                && !self.busy.contains_key(*task)
                && !self.timers.is_used_up(&self.view, task, now)
        })
    }

    /// The starts that were not answered, but turn out to have happened.
    pub(super) fn happened(&self) -> Vec<TaskView> {
        let happened = |(task, op_id): &(TaskId, Uuid)| {
            let present = self.view.tasks().get(task).filter(|task| task.record.op_id == *op_id);
            present.cloned()
        };
        self.unsure.iter().filter_map(happened).collect()
    }

    /// Whether nothing may be started: in the plan, or in the whole fleet.
    pub(super) fn is_halted(&self) -> bool {
        self.view.halt().is_some() || self.fleet_is_paused()
    }

    /// Whether another start is allowed, by the plan and by how commands start here.
    pub(super) fn may_start(&self) -> bool {
        !self.is_halted()
            && !self.view.is_full()
            && self.unstarted.verdict().is_none()
            && self.short.allowance(self.busy.len(), Instant::now()) > 0
    }

    /// Whether something would be run now if a slot were free.
    pub(super) fn can_start(&self) -> bool {
        let now = Instant::now();
        let rested = |task: &TaskId| {
            !self.unstarted.rests(task, now) && !self.pools.blocks(self.view.graph().pools(task), now)
        };
        (self.may_start() && self.ready().any(rested)) || !self.happened().is_empty()
    }

    /// Whether something is to be run as soon as a slot is free.
    pub(super) fn has_ready(&self) -> bool {
        self.ready().next().is_some() || !self.happened().is_empty()
    }
}
