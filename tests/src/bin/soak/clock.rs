//! A client's clock that can be made to jump: what a suspended machine sees when it wakes up, and a wrong
//! wall clock.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use planlease::{
    clock::{Clock, SystemClock},
    core::{BootTime, WallTime},
};

/// A client's clock that jumps.
#[derive(Debug, Default)]
pub(crate) struct JumpingClock {
    /// How far the time since boot is ahead. It never goes back, as the kernel's does not.
    ahead_ms: AtomicU64,
    wall_ms: AtomicI64,
}

impl JumpingClock {
    /// Lets the machine sleep for this long, in no time.
    pub(crate) fn sleep(&self, long: Duration) {
        let ms = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Puts the wall clock wrong by this much.
    pub(crate) fn set_wall(&self, wrong_ms: i64) {
        self.wall_ms.store(wrong_ms, Ordering::Relaxed);
    }
}

impl Clock for JumpingClock {
    fn boot(&self) -> BootTime {
        SystemClock.boot().plus(Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed)))
    }

    fn wall(&self) -> WallTime {
        WallTime(SystemClock.wall().0 + self.wall_ms.load(Ordering::Relaxed))
    }
}
