//! A plan that is still to be executed, and how long it is left alone.

use std::time::Duration;

use tokio::time::Instant;

/// How long a plan is left alone after nothing could be done in it: twice as long after each further time …
const REST: Duration = Duration::from_secs(5);

/// … but no longer than this.
const REST_MAX: Duration = Duration::from_secs(300);

/// A plan that is still to be executed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    /// How often in a row nothing could be done in it.
    pub(super) setbacks: u32,
    /// Not to be acquired before this.
    pub(super) not_before: Option<Instant>,
}

impl Open {
    /// Leaves it alone for this long, which is no setback.
    pub(super) fn later(&mut self, rest: Duration) {
        self.not_before = Some(Instant::now() + rest);
    }

    /// Leaves it alone for a while; for how long.
    pub(super) fn rest(&mut self) -> Duration {
        let rest = REST.saturating_mul(1 << self.setbacks.min(16)).min(REST_MAX);
        self.setbacks = self.setbacks.saturating_add(1);
        self.not_before = Some(Instant::now() + rest);
        rest
    }

    pub(super) fn rests(&self) -> bool {
        self.not_before.is_some_and(|moment| moment > Instant::now())
    }
}
