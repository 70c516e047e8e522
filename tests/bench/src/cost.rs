//! What work costs in CPU and memory: here, and in what was started from here.

use std::fs;

/// CPU seconds used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) here: f64,
    pub(crate) servers: f64,
}

impl Cpu {
    pub(crate) fn now() -> Self {
        let children = fs::read_dir("/proc/self/task").unwrap().flatten().map(|thread| {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            children.split_whitespace().map(seconds).sum::<f64>()
        });
        Self { here: seconds("self"), servers: children.sum() }
    }

    /// In microseconds for each of `count`.
    pub(crate) fn since(self, earlier: Self, count: f64) -> Self {
        let each = |now: f64, then: f64| (now - then) * 1e6 / count;
        Self { here: each(self.here, earlier.here), servers: each(self.servers, earlier.servers) }
    }
}

/// User and system time of a process, which the kernel tells in hundredths of a second.
fn seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name comes second and may have blanks; what is asked for are the 14th and the 15th.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}

/// What this process has in memory, in KiB.
pub(crate) fn memory() -> f64 {
    memory_of("self")
}

/// What a process has in memory, in KiB.
pub(crate) fn memory_of(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
