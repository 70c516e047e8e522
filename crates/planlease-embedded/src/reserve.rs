//! Keeps some of the disk back, so that on a full disk deletions and compactions can still be written.
//!
//! The reserve is a file beside the database. When the disk has less room than a commit may need, the reserve
//! is given up, and from then on the server accepts only what frees space, as etcd does under its alarm
//! NOSPACE. When there is room again, the reserve is taken again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Name of the file.
const FILE: &str = "reserve";

/// Bytes of the reserve; a sixteenth of the disk if that is less.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes that a commit may take for each byte of its batch, copies of pages included.
const COMMIT_FACTOR: u64 = 4;

/// The reserve of one data folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    folder: PathBuf,
    bytes: u64,
    space: Space,
}

/// Whether the disk of a data folder has room.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    /// `None` where there is no disk.
    folder: Option<Arc<Path>>,
    bytes: u64,
    exhausted: Arc<AtomicBool>,
}

impl Space {
    /// Room without a bound.
    pub(crate) fn unbounded() -> Self {
        Self { folder: None, bytes: 0, exhausted: Arc::default() }
    }

    /// Whether only what frees space may be written. Looks at the disk again while it is full.
    pub(crate) fn is_exhausted(&self) -> bool {
        let Some(folder) = self.folder.as_deref().filter(|_| self.exhausted.load(Ordering::Relaxed)) else {
            return false;
        };
        let enough = available(folder).is_none_or(|available| available >= self.bytes * 3);
        if enough {
            self.exhausted.store(false, Ordering::Relaxed);
        }
        !enough
    }
}

impl Reserve {
    /// Takes the reserve of a folder. If there is no room for it, the disk is full already.
    pub(crate) fn open(folder: &Path) -> Self {
        let bytes = total(folder).map_or(RESERVE_BYTES, |total| (total / 16).min(RESERVE_BYTES));
        let space = Space { folder: Some(folder.into()), bytes, exhausted: Arc::new(AtomicBool::new(false)) };
        let mut reserve = Self { folder: folder.to_owned(), bytes, space };
        reserve.make_room(0);
        reserve
    }

    /// What requests look at.
    pub(crate) fn space(&self) -> Space {
        self.space.clone()
    }

    /// Gives up the reserve if the disk has too little room for a batch of so many bytes, or takes it again.
    pub(crate) fn make_room(&mut self, batch_bytes: usize) {
        let Some(available) = available(&self.folder) else { return };
        let needed =
            self.bytes + u64::try_from(batch_bytes).unwrap_or(u64::MAX).saturating_mul(COMMIT_FACTOR);
        let file = self.folder.join(FILE);
        if available < needed {
            if !self.space.exhausted.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    available,
                    needed,
                    folder = %self.folder.display(),
                    "the disk is nearly full: only deletions and compactions are accepted; free some space"
                );
            }
            // Without the file there is nothing to give up.
            drop(std::fs::remove_file(&file));
        } else if available >= needed + self.bytes && !file.exists() {
            match allocate(&file, self.bytes) {
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "the reserve cannot be taken"),
            }
        }
    }
}

/// Bytes that are free on the disk of a folder; `None` if it cannot be asked.
fn available(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Bytes of the disk of a folder.
fn total(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks().saturating_mul(stat.fragment_size()))
}

fn allocate(file: &Path, bytes: u64) -> io::Result<()> {
    let made = File::options().write(true).create(true).truncate(false).open(file)?;
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    nix::fcntl::posix_fallocate(&made, 0, length)?;
    Ok(())
}
