//! A runner's turn among the jobs of its orchestrator.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for attempts, which the runners of an orchestrator share: first come, first served.
pub(super) struct Room {
    jobs: Arc<Semaphore>,
    /// What was waited for, until it is used or given back.
    waited_for: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(jobs: Arc<Semaphore>) -> Self {
        Self { jobs, waited_for: None }
    }

    /// Waits until there is room for one attempt, and keeps it for [`take`](Self::take). Kept, not only seen:
    /// given back here, it would go to the runner that waits next, which would give it back in turn, and they
    /// would pass it round for ever. Cancel safe.
    pub(super) async fn wait(&mut self) {
        // The semaphore is never closed.
        self.waited_for = Arc::clone(&self.jobs).acquire_owned().await.ok();
    }

    /// Room for one attempt: what was waited for, or else what is free and wanted by nobody.
    pub(super) fn take(&mut self) -> Option<OwnedSemaphorePermit> {
        self.waited_for.take().or_else(|| Arc::clone(&self.jobs).try_acquire_owned().ok())
    }

    /// Whether there is room for one attempt.
    pub(super) fn is_free(&self) -> bool {
        self.waited_for.is_some() || self.jobs.available_permits() > 0
    }

    /// Leaves to others what was waited for, if there was nothing to do with it.
    pub(super) fn give_back(&mut self) {
        self.waited_for = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, poll_immediate};

    use super::*;

    #[tokio::test]
    async fn of_two_that_wait_one_starts_and_then_the_other() {
        let jobs = Arc::new(Semaphore::new(1));
        let (mut first, mut second) = (Room::new(Arc::clone(&jobs)), Room::new(Arc::clone(&jobs)));
        let running = first.take();
        assert!(running.is_some() && second.take().is_none());
        let (mut one, mut two) = (Box::pin(first.wait()), Box::pin(second.wait()));
        assert_eq!(join(poll_immediate(&mut one), poll_immediate(&mut two)).await, (None, None));
        drop(running);
        one.await;
        let running = first.take();
        assert!(running.is_some(), "who waited first has it, though the other waits");
        assert!(poll_immediate(&mut two).await.is_none());
        drop(running);
        two.await;
        second.give_back();
        assert!(first.take().is_some(), "what is not used is there for others");
    }
}
