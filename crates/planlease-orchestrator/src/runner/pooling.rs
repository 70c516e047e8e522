//! A runner whose tasks use pools: reports what waits, lets others go first, releases what is left at the
//! end.

use futures_util::FutureExt as _;
use planlease::{Session, error_chain};
use planlease_core::{
    PlanName, TaskId,
    pool::{PoolWait, Pools},
};
use tokio::time::Instant;

use super::execution::Runner;
use crate::report::Report;

impl Runner {
    /// The pools have changed. Where a task that waited could start now, others may go first for a moment.
    pub(super) fn pools_changed(&mut self) {
        let session = self.ownership.session();
        let waits = self.ready_for_pools().any(|(_, uses)| self.pools.wait(uses).is_none());
        if let Some(at) = self.pools.seen().filter(|_| waits) {
            let (priority, lease) = (self.view.spec().priority, session.lease());
            self.pools.let_others_go_first(priority, lease, at, Instant::now());
        }
    }

    /// Reports the first ready task that waits for a pool, and ends rests that are over.
    pub(super) fn note_pools(&mut self) {
        self.pools.wake(Instant::now());
        let first =
            self.ready_for_pools().find_map(|(task, uses)| Some((task.clone(), self.pools.wait(uses)?)));
        if let Some((task, wait)) = first {
            self.waits_for_pool(&task, &wait);
        }
    }

    /// A task waits for a pool.
    pub(super) fn waits_for_pool(&mut self, task: &TaskId, wait: &PoolWait) {
        if self.pools.note(wait, Instant::now()) {
            let (plan, task, wait) = (self.ownership.plan().clone(), task.clone(), wait.clone());
            self.shared.reporter.send(&Report::WaitsForPool { plan, task, wait });
        }
    }

    /// The ready tasks that use pools and do not run here.
    fn ready_for_pools(&self) -> impl Iterator<Item = (&TaskId, &Pools)> {
        let graph = self.view.graph();
        let ready = graph.uses_pools().then(|| self.ready());
        ready.into_iter().flatten().filter_map(|task| Some((task, graph.pools(task)?)))
    }
}

/// Releases the permits that are left under this session when an ownership is over, and all that ran for the
/// plan has ended. If that does not succeed, they go with the session.
pub(super) async fn release_permits(session: &Session, plan: &PlanName) {
    if session.lost().now_or_never().is_some() {
        return; // They have gone with it.
    }
    if let Err(error) = session.release_permits(plan).await {
        tracing::warn!(%plan, error = error_chain(&error), "permits stay until the session ends");
    }
}
