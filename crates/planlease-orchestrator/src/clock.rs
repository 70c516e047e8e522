//! The clock by which supervisors and their orchestrators go.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use planlease_core::BootTime;

/// Now, on the clock that counts the time a host was suspended.
pub(crate) fn now() -> BootTime {
    BootTime::since_boot(Duration::from(
        clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39"),
    ))
}
