//! How long a process is ready to wait.

use std::time::Duration;

use tokio::time::Instant;

/// How long a process is ready to wait, from the moment of its making.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    wait: bool,
    until: Option<Instant>,
    /// Whether the queue was joined once. From then on etcd may be away for a while.
    pub(super) joined: bool,
}

impl Patience {
    /// For other holders: not at all if `wait` is false, else for `at_most`; `None` is as long as it takes. A
    /// lock delay is waited for in any case.
    #[must_use]
    pub fn new(wait: bool, at_most: Option<Duration>) -> Self {
        // A time that no clock reaches is no bound.
        let until = at_most.and_then(|wait| Instant::now().checked_add(wait));
        Self { wait, until, joined: false }
    }

    /// Whether other holders are waited for.
    pub(super) fn waits(self) -> bool {
        self.wait
    }

    /// The time that is left; `None` if there is no bound.
    pub(super) fn left(self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether some is left to queue again after a loss.
    pub(super) fn lasts(self) -> bool {
        self.wait && self.until.is_none_or(|until| until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_to_wait_counts_from_the_beginning() {
        let patience = Patience::new(true, Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(patience.left(), Some(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(!patience.lasts());
        let forever = Patience::new(true, Some(Duration::MAX));
        assert_eq!(forever.left(), None);
    }
}
