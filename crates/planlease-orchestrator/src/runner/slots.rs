//! The job slots that the runners of one orchestrator share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// JobSlots for attempts, which the runners of an orchestrator share: first come, first served.
pub(super) struct JobSlots {
    jobs: Arc<Semaphore>,
    /// The slot that was waited for, until it is used or given back.
    waited_for: Option<OwnedSemaphorePermit>,
}

impl JobSlots {
    /// Slots of these jobs, of which one may be reserved already.
    pub(super) fn new(jobs: Arc<Semaphore>, reserved: Option<OwnedSemaphorePermit>) -> Self {
        Self { jobs, waited_for: reserved }
    }

    /// Waits for a free slot and reserves it for [`take`](Self::take). Without the reservation it would go to
    /// the next waiting runner, which would give it back in turn, and they would pass it round for ever.
    /// Cancel safe.
    pub(super) async fn wait(&mut self) {
        // The semaphore is never closed.
        self.waited_for = Arc::clone(&self.jobs).acquire_owned().await.ok();
    }

    /// Takes a slot for one attempt: the reserved one, or else a free one that no runner waits for.
    pub(super) fn take(&mut self) -> Option<OwnedSemaphorePermit> {
        self.waited_for.take().or_else(|| Arc::clone(&self.jobs).try_acquire_owned().ok())
    }

    /// Whether a slot is free for one attempt.
    pub(super) fn is_free(&self) -> bool {
        self.waited_for.is_some() || self.jobs.available_permits() > 0
    }

    /// Gives back the reserved slot, if there is one.
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
        let (mut first, mut second) =
            (JobSlots::new(Arc::clone(&jobs), None), JobSlots::new(Arc::clone(&jobs), None));
        let running = first.take();
        assert!(running.is_some() && second.take().is_none());
        let (mut one, mut two) = (Box::pin(first.wait()), Box::pin(second.wait()));
        assert_eq!(join(poll_immediate(&mut one), poll_immediate(&mut two)).await, (None, None));
        drop(running);
        one.await;
        let running = first.take();
        assert!(running.is_some(), "the first waiter has it, though the other waits");
        assert!(poll_immediate(&mut two).await.is_none());
        drop(running);
        two.await;
        second.give_back();
        assert!(first.take().is_some(), "an unused slot is free for others");
    }
}
