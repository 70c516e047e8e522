//! A disk of its own that can stall: a file system on a loop device, frozen as by a storage that answers no
//! more.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// Mounts the disk, and removes it at the end of its standard input. So it outlives neither the test nor its
/// process, and no stall lasts longer than was asked for.
const KEEPER: &str = r#"
set -e
disk=$1/disk mount=$1/mount
truncate -s 256M "$disk"
mkfs.ext4 -q -F "$disk"
mkdir -p "$mount"
mount -o loop "$disk" "$mount"
trap 'fsfreeze --unfreeze "$mount" 2>/dev/null || :; umount --lazy "$mount"' EXIT
echo mounted
while read -r seconds; do
    fsfreeze --freeze "$mount"
    echo stalled
    sleep "$seconds"
    fsfreeze --unfreeze "$mount"
    echo resumed
done
"#;

/// A disk that is mounted. Dropping it waits until it can be written to again, and unmounts it.
#[derive(Debug)]
pub struct Disk {
    mount: PathBuf,
    keeper: Child,
    orders: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
}

impl Disk {
    /// Mounts one within a folder. An error says why this machine does not allow it.
    ///
    /// # Errors
    /// What the system said.
    ///
    /// # Panics
    /// If there is no shell.
    pub fn mounted_in(folder: &Path) -> Result<Self, String> {
        let errors = folder.join("disk.log");
        let log = fs::File::create(&errors).map_err(|error| error.to_string())?;
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh"]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut keeper = command.spawn().map_err(|error| format!("sh: {error}"))?;
        let orders = keeper.stdin.take();
        let reports = BufReader::new(keeper.stdout.take().expect("it is piped"));
        let mut disk = Self { mount: folder.join("mount"), keeper, orders, reports };
        match disk.report().as_str() {
            "mounted" => Ok(disk),
            _ => Err(fs::read_to_string(errors).unwrap_or_default()),
        }
    }

    /// Its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Stalls it for so long: from the return of this function on, nothing is written to it.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn stall(&mut self, time: Duration) {
        let orders = self.orders.as_mut().expect("it is open until the end");
        writeln!(orders, "{}", time.as_secs()).expect("the keeper listens");
        assert_eq!(self.report(), "stalled");
    }

    /// Waits until the stall is over.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn resumed(mut self) -> Self {
        let waiting = tokio::task::spawn_blocking(move || {
            assert_eq!(self.report(), "resumed");
            self
        });
        waiting.await.expect("the stall ends")
    }

    /// The next line that the keeper writes; empty at its end.
    fn report(&mut self) -> String {
        let mut line = String::new();
        let _ = self.reports.read_line(&mut line); // What cannot be read is no report.
        line.trim().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.keeper.wait(); // It has ended, or was never there.
    }
}
