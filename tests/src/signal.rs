//! Signals to the processes of tests. A stop has happened when [`send`] returns.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PERIOD: Duration = Duration::from_millis(1);
const LOOKS: u32 = 20_000;

/// Sends a signal to a process that has not been waited for. After a SIGSTOP it waits until every thread
/// stands: the kernel stops a thread when it next leaves the kernel, so that one on another core can still
/// answer a request after `kill` has returned.
///
/// # Panics
///
/// If there is no such process, or it does not stop within 20 s.
#[expect(
    clippy::disallowed_methods,
    reason = "a stop takes some milliseconds, and is waited for by blocking"
)]
pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process has not been waited for, so its id is its own");
    if signal == Signal::SIGSTOP {
        for _ in 0..LOOKS {
            if stands(pid) {
                return;
            }
            sleep(PERIOD);
        }
        panic!("process {pid} runs after a SIGSTOP");
    }
}

/// Whether no thread of the process runs: each is stopped, or has ended.
fn stands(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in brackets and can hold anything.
        let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_none_or(|state| matches!(state, 'T' | 'Z' | 'X'))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_stopped_process_stands() {
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let pid = i32::try_from(busy.id()).unwrap();
        assert!(!stands(pid));
        send(pid, Signal::SIGSTOP);
        assert!(stands(pid));
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(stands(pid), "one that is gone does not run");
    }
}
