//! Removes the output that is kept no longer: too old, or too much.

use std::{fs, io, path::PathBuf, time::Duration};

use tokio::task::JoinHandle;

use super::{
    files::{END, LOCK, millis},
    place::Outputs,
    read::is_written,
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(60);

/// Removes old output from time to time, until it is dropped.
#[derive(Debug)]
#[must_use = "nothing is removed once it is dropped"]
pub struct Sweeper(JoinHandle<()>);

/// What a sweep has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many attempts were removed.
    pub removed: usize,
    /// How many are kept.
    pub kept: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// An attempt that is kept.
struct Kept {
    folder: PathBuf,
    bytes: u64,
    /// When it was last written, in milliseconds since 1970.
    at: u64,
}

impl Sweeper {
    /// Begins to sweep, at once and every minute.
    pub fn start(outputs: Outputs) -> Self {
        let sweeping = async move {
            loop {
                let outputs = outputs.clone();
                let swept = tokio::task::spawn_blocking(move || outputs.sweep()).await;
                if let Ok(Err(error)) = swept {
                    tracing::warn!(%error, "old output of commands cannot be removed");
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the handle owns the task, and stops it")]
        let task = tokio::spawn(sweeping);
        Self(task)
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Outputs {
    /// Removes what is kept no longer, of all stores. What is being written stays. Blocks as long as the disk
    /// does.
    ///
    /// # Errors
    /// If the folders cannot be read. What cannot be removed is left for the next time.
    pub fn sweep(&self) -> io::Result<Swept> {
        let mut kept = Vec::new();
        for store in folders(&self.all)? {
            for plan in folders(&store)? {
                for task in folders(&plan)? {
                    for attempt in folders(&task)? {
                        kept.extend(look(attempt)?);
                    }
                }
            }
        }
        kept.sort_by_key(|attempt| attempt.at);
        let (oldest, mut swept) = (millis().saturating_sub(in_millis(self.keep)), Swept::default());
        (swept.kept, swept.bytes) = (kept.len(), kept.iter().map(|attempt| attempt.bytes).sum());
        for attempt in kept {
            let surplus = swept.bytes > self.total || swept.kept > self.attempts;
            if attempt.at >= oldest && !surplus {
                break; // The others are newer.
            }
            if !is_written(&attempt.folder)? && remove(&attempt.folder).is_ok() {
                swept.removed += 1;
                swept.kept -= 1;
                swept.bytes -= attempt.bytes;
            }
        }
        Ok(swept)
    }
}

fn in_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn folders(of: &PathBuf) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(of) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// What there is of an attempt; `None` if another process has just removed it.
fn look(folder: PathBuf) -> io::Result<Option<Kept>> {
    let (mut bytes, mut at) = (0, 0);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for about in entries.filter_map(|entry| entry.and_then(|entry| entry.metadata()).ok()) {
        let since = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        at = at.max(since.map_or(0, in_millis));
        bytes += about.len();
    }
    Ok(Some(Kept { folder, bytes, at }))
}

/// Removes an attempt, and the folders around it that are empty now.
fn remove(folder: &PathBuf) -> io::Result<()> {
    for name in fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()) {
        if name != LOCK && name != END {
            fs::remove_file(folder.join(name))?;
        }
    }
    for last in [END, LOCK] {
        let _ = fs::remove_file(folder.join(last));
    }
    fs::remove_dir(folder)?;
    for around in folder.ancestors().skip(1).take(2) {
        if fs::remove_dir(around).is_err() {
            break; // It is not empty.
        }
    }
    Ok(())
}
