//! File descriptors: many systems give a process 1,024 unless it asks for more.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::failure::Failure;

/// The soft limit that this process was started with, if it was raised since.
static STARTED_WITH: OnceLock<u64> = OnceLock::new();

/// How many descriptors a running task takes of this process, at most: its supervisor process, the connection
/// to it, the listener for that, and its output.
const PER_TASK: u64 = 4;

/// How many descriptors are kept for connections to etcd, for signals, and for starting a process.
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
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
    let (needed, most) = (needed(jobs, open), room(limit, open));
    if needed <= limit || jobs <= 1 {
        return Ok(());
    }
    let what = format!("--jobs {jobs} needs {needed} file descriptors, but this process may have {limit}");
    Err(Failure::usage(what)
        .meaning("No plan was acquired.")
        .remedy(format!("Say --jobs {most}, or raise the limit (`ulimit -n`, LimitNOFILE= of a unit).")))
}

fn needed(jobs: u16, open: u64) -> u64 {
    open.saturating_add(RESERVED).saturating_add(PER_TASK * u64::from(jobs))
}

/// How many tasks there is room for; at least one is tried.
fn room(limit: u64, open: u64) -> u64 {
    (limit.saturating_sub(open).saturating_sub(RESERVED) / PER_TASK).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_limited_by_the_descriptors() {
        for limit in [64, 128, 256, 1024] {
            let most = room(limit, 12);
            assert!(needed(u16::try_from(most).unwrap(), 12) <= limit);
            assert!(needed(u16::try_from(most + 1).unwrap(), 12) > limit);
        }
        assert_eq!(room(128, 12), 21);
        assert_eq!(room(20, 12), 1);
    }
}
