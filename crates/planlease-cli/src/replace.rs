//! Replaces a file in one step: who reads it sees the old one or the new one, whole.

use std::{
    fs::{File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{exit::Exit, failure::Failure};

/// Who may read and write a file that was not there before, less what the user's mask takes away.
const MODE: u32 = 0o666;

/// Writes the file beside it first, to the disk, and puts it in its place then.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write(path, bytes).map_err(|error| {
        Failure::new(Exit::UnreadableFile, format!("cannot write {}: {error}", path.display()))
            .meaning("The file is as it was.")
            .remedy("Look whether its folder is there and may be written to.")
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".planlease-").permissions(Permissions::from_mode(MODE));
    let mut file = temporary.tempfile_in(&folder)?;
    if let Ok(about) = std::fs::metadata(&path) {
        file.as_file().set_permissions(about.permissions())?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    File::open(&folder)?.sync_all() // So that the new name outlives a crash, too.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        file(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(file(&folder.path().join("no/such"), b"").unwrap_err().exit(), Exit::UnreadableFile);
    }
}
