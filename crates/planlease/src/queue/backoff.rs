//! The pauses of a waiter between rounds that find the queue unchanged.

use std::time::Duration;

use planlease_core::term::Queue;

use crate::{retry::Backoff, session::Session};

/// The pauses between rounds that find the queue unchanged: each is longer than the one before it. Without
/// them a waiter behind a key that is no candidate's, or with a faulty server, would ask again and again.
pub(crate) struct QueueBackoff {
    seen: Option<Queue>,
    backoff: Backoff,
}

impl QueueBackoff {
    /// `budget`: after how long there is to be no further round; never, if not given.
    pub(crate) fn new(budget: Option<Duration>) -> Self {
        Self { seen: None, backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2), budget) }
    }

    /// Waits, if the queue did not move; `false` if there is to be no further round.
    pub(crate) async fn pause(&mut self, session: &Session, queue: Queue) -> bool {
        if self.seen.as_ref() != Some(&queue) {
            self.seen = Some(queue);
            self.backoff.reset();
            return true;
        }
        match self.backoff.next(session.coordinator().etcd().random()) {
            Some(delay) => {
                tokio::time::sleep(delay).await;
                true
            }
            None => false,
        }
    }
}
