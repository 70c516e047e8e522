//! What the demo's orchestrators have started and what may outlive them for a moment: supervisors, companions
//! of sessions, commands. All of them inherit a variable that only this demo's processes have.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::Instant;

/// The variable, whose value is the folder of the demo; it also keeps temporary files in there.
pub(super) const VARIABLE: &str = "TMPDIR";

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until they have ended by themselves, and kills those that have not within that time.
pub(super) async fn end(folder: &Path, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let left = processes(folder);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            for pid in left {
                let _ = kill(pid, Signal::SIGKILL); // It may have ended.
            }
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn processes(folder: &Path) -> Vec<Pid> {
    let wanted = [VARIABLE.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
    };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(has).map(Pid::from_raw).collect()
}
