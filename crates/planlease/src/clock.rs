//! Where time and randomness come in: one clock and one generator, which tests and simulations can drive.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use planlease_core::{BootTime, LeaseId, WallTime};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// The source of time. planlease reads time from nowhere else; timers are tokio's.
pub trait Clock: Debug + Send + Sync {
    /// The time since this host's boot, the time it was suspended included. Leases are trusted by it.
    fn boot(&self) -> BootTime;

    /// The time that people read. Nothing is decided by it.
    fn wall(&self) -> WallTime;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot(&self) -> BootTime {
        // Only Linux counts the time of a suspend in a clock of its own; macOS does in its monotonic one.
        #[cfg(target_os = "linux")]
        let id = nix::time::ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        let id = nix::time::ClockId::CLOCK_MONOTONIC;
        let now = nix::time::clock_gettime(id).expect("the clock exists on every supported system");
        BootTime::since_boot(Duration::from(now))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place from which everybody else gets it")]
    fn wall(&self) -> WallTime {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        WallTime(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }
}

/// tokio's clock: stands still when tests pause it, and is the simulated one in a simulation.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that begins now, an hour after the "boot", so that earlier moments can be expressed.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn boot(&self) -> BootTime {
        BootTime::since_boot(Duration::from_secs(3600) + self.origin.elapsed())
    }

    fn wall(&self) -> WallTime {
        WallTime(i64::try_from(self.boot().as_duration().as_millis()).unwrap_or(i64::MAX))
    }
}

/// How often a wait looks at the boot clock. tokio's timers stand still while the host is suspended; so after
/// it wakes up, a deadline that has passed meanwhile is noticed within this time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Waits until `moment` on the given clock. Cancel safe.
pub async fn sleep_until(clock: &dyn Clock, moment: BootTime) {
    loop {
        let left = clock.boot().until(moment);
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}

/// The generator behind every id and every jitter of one coordinator.
#[derive(Debug)]
pub(crate) struct Random(Mutex<StdRng>);

impl Random {
    /// Seeded by the operating system, or by the given number to make a run repeatable.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(Mutex::new(seed.map_or_else(rand::make_rng, StdRng::seed_from_u64)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An id that no other write has.
    pub(crate) fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.with(|rng| rng.random())).into_uuid()
    }

    /// A positive number for a lease id: chosen here, so that a grant whose answer was lost can be asked for
    /// again.
    pub(crate) fn lease_id(&self) -> LeaseId {
        let id = self.with(|rng| rng.random_range(1..i64::MAX));
        LeaseId::from_wire(id).expect("the range begins at 1")
    }

    /// A number below this one; 0 below 1.
    pub(crate) fn below(&self, most: usize) -> usize {
        self.with(|rng| rng.random_range(0..most.max(1)))
    }

    /// A share of `whole` between one half and all of it.
    pub(crate) fn jitter(&self, whole: Duration) -> Duration {
        whole.mul_f64(self.with(|rng| rng.random_range(0.5..=1.0)))
    }
}
