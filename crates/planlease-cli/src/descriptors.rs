//! File descriptors: many systems give a process 1,024 unless it asks for more.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::failure::Failure;

/// The soft limit that this process was started with, if it was raised since.
static STARTED_WITH: OnceLock<u64> = OnceLock::new();

/// How many descriptors a running task takes of this process, at most: its supervisor process, the connection
/// to it, the listener for that, its output, and the three files in which that is kept.
const PER_TASK: u64 = 7;

/// How many descriptors are kept for connections to etcd, for signals, for listening, and for starting a
/// process.
const RESERVED: u64 = 32;

/// Raises the soft limit to the hard one. Commands get back the one that was there: a program that uses
/// `select` does not expect more.
pub(crate) fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
    {
        STARTED_WITH.get_or_init(|| soft);
    }
}

/// The soft limit for commands; `None` if it is this process's.
pub(crate) fn for_commands() -> Option<u64> {
    STARTED_WITH.get().copied()
}

/// Checks that so many tasks can run at once.
///
/// # Errors
/// If there are not enough descriptors, with how many tasks there are enough for.
pub(crate) fn check_jobs(jobs: u16) -> Result<(), Failure> {
    let checked = Need::of("--jobs", PER_TASK).check(u64::from(jobs));
    checked.map_err(|failure| failure.meaning("No plan was acquired."))
}

/// How many connections a sidecar may have: as many as are asked for, else as many of `usual` as there are
/// descriptors for.
///
/// # Errors
/// If there are not enough descriptors for those that are asked for, with how many there are enough for.
pub(crate) fn connections(wanted: Option<usize>, usual: usize) -> Result<usize, Failure> {
    let need = Need::of("--max-connections", 1);
    match wanted {
        Some(wanted) => {
            let checked = need.check(wanted as u64);
            checked.map(|()| wanted).map_err(|failure| failure.meaning("Nothing is served."))
        }
        None => Ok(usual.min(usize::try_from(need.most()).unwrap_or(usize::MAX))),
    }
}

/// What a flag needs of this process's descriptors.
#[derive(Clone, Copy, Debug)]
struct Need {
    flag: &'static str,
    /// How many each takes.
    each: u64,
    limit: u64,
    open: u64,
}

impl Need {
    fn of(flag: &'static str, each: u64) -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(limit, _)| limit);
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
        Self { flag, each, limit, open }
    }

    fn check(self, count: u64) -> Result<(), Failure> {
        let (Self { flag, limit, .. }, needed) = (self, self.needed(count));
        if needed <= limit || count <= 1 {
            return Ok(());
        }
        let what =
            format!("{flag} {count} needs {needed} file descriptors, but this process may have {limit}");
        let most = self.most();
        Err(Failure::usage(what)
            .remedy(format!("Say {flag} {most}, or raise the limit (`ulimit -n`, LimitNOFILE= of a unit).")))
    }

    fn needed(self, count: u64) -> u64 {
        self.open.saturating_add(RESERVED).saturating_add(self.each.saturating_mul(count))
    }

    /// How many there is room for; at least one is tried.
    fn most(self) -> u64 {
        (self.limit.saturating_sub(self.open).saturating_sub(RESERVED) / self.each).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_connections_are_limited_by_the_descriptors() {
        let tasks = |limit| Need { flag: "--jobs", each: PER_TASK, limit, open: 12 };
        for limit in [64, 128, 256, 1024] {
            let need = tasks(limit);
            assert!(need.needed(need.most()) <= limit && need.needed(need.most() + 1) > limit);
            assert!(need.check(need.most()).is_ok() && need.check(need.most() + 1).is_err());
        }
        assert_eq!([128, 20].map(|limit| tasks(limit).most()), [12, 1]);
        assert_eq!(Need { each: 1, ..tasks(128) }.most(), 84);
    }
}
