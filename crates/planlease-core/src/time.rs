//! The two times: one that decides (since boot), one that is shown to people (the wall clock).
//!
//! They are different types so that nothing can be decided by the wall clock: it jumps, differs between
//! hosts, and is set by people.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest duration that a plan, a setting or a stored record may ask for: ten years. A longer one cannot
/// be meant, and sums of durations within this bound do not overflow.
pub const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A duration in whole seconds that a plan or a stored record names: at most [`MAX_DURATION`].
pub(crate) fn bounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(MAX_DURATION)
}

/// The same where 0 seconds stand for no limit.
pub(crate) fn limit(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| bounded(seconds))
}

/// A moment on one host's clock, counted since its boot *including the time it was suspended*.
///
/// On Linux that is `CLOCK_BOOTTIME`. `std::time::Instant` and tokio's timers stop during a suspend, and a
/// laptop that wakes up would believe in a lease that etcd let go hours ago. Means nothing on another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(Duration);

impl BootTime {
    /// The moment this long after the boot.
    #[must_use]
    pub const fn since_boot(duration: Duration) -> Self {
        Self(duration)
    }

    /// How long after the boot.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// The moment `duration` earlier, or the boot itself.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }

    /// How long from `self` until `later`; zero if that moment is past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

impl fmt::Display for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A moment of the wall clock, in milliseconds since 1970-01-01 UTC. For people only: nothing is decided by
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// How long from `self` to `later`; zero if the clock went backwards in between.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}
