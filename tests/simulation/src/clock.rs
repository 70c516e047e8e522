//! The clock of a simulated host: runs a little too fast or too slow, and jumps ahead when the host was
//! "suspended".

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use planlease::{
    clock::Clock,
    core::{BootTime, WallTime},
};

/// What every clock reads at the beginning, so that earlier moments can be expressed.
const BOOTED: Duration = Duration::from_secs(3600);

/// The clock of one simulated host. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct HostClock {
    /// Parts per million by which it is too fast.
    drift_ppm: i64,
    /// How far it jumped, in milliseconds.
    jumped_ms: Arc<AtomicU64>,
    /// How far its wall clock is off, in milliseconds.
    wall_off_ms: i64,
}

impl HostClock {
    /// A clock that is that much too fast, and whose wall clock is off by that much.
    #[must_use]
    pub fn new(drift_ppm: i64, wall_off_ms: i64) -> Self {
        Self { drift_ppm, jumped_ms: Arc::default(), wall_off_ms }
    }

    /// How far it jumped in all.
    #[must_use]
    pub fn jumped(&self) -> Duration {
        Duration::from_millis(self.jumped_ms.load(Ordering::Relaxed))
    }

    /// The host was suspended for that long: the clock that counts suspend is ahead of all timers now.
    pub fn jump(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.jumped_ms.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for HostClock {
    fn boot(&self) -> BootTime {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        let shown = micros + micros / 1_000_000 * self.drift_ppm;
        let shown = Duration::from_micros(u64::try_from(shown).unwrap_or(0));
        let jumped = Duration::from_millis(self.jumped_ms.load(Ordering::Relaxed));
        BootTime::since_boot(BOOTED + shown + jumped)
    }

    fn wall(&self) -> WallTime {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        WallTime(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX).saturating_add(self.wall_off_ms))
    }
}
