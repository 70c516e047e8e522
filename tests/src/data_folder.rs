//! Where the servers of tests keep their data: in shared memory, if there is space.
//!
//! Data survive the crash of a *process* there as anywhere, and nothing that a test waits for depends on who
//! else uses the disk. What has to survive more than that asks for a disk: see `Builder::durable`.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

/// Shared memory, if this many bytes are free there, else the folder for temporary files.
pub(crate) fn data_folder(needed: u64) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free =
        statvfs(memory).map_or(0, |about| about.blocks_available().saturating_mul(about.fragment_size()));
    if free >= needed { memory.to_owned() } else { std::env::temp_dir() }
}
