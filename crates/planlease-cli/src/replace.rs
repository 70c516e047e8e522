//! Replaces a file in one step: who reads it sees the old one or the new one, whole. A device or a pipe is
//! written to.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{exit::Exit, failure::Failure};

/// Who may read and write a file that was not there before, less what the user's mask takes away.
const MODE: u32 = 0o666;

/// As [`MODE`], for a file that holds more than others are to see.
const PRIVATE_MODE: u32 = 0o600;

/// Writes the file beside it first, to the disk, and puts it in its place then.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, MODE)
}

/// As [`file`]; a new file is its owner's alone.
pub(crate) fn private_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, PRIVATE_MODE)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    write(path, bytes, mode).map_err(|error| {
        Failure::new(Exit::UnreadableFile, format!("cannot write {}: {error}", path.display()))
            .meaning("The file is as it was.")
            .remedy("Look whether its folder is there and may be written to.")
    })
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if !is_replaceable(path) {
        return File::options().append(true).open(path)?.write_all(bytes);
    }
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".planlease-").permissions(Permissions::from_mode(mode));
    let mut file = temporary.tempfile_in(&folder)?;
    if let Ok(about) = fs::metadata(&path) {
        file.as_file().set_permissions(about.permissions())?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    File::open(&folder)?.sync_all() // So that the new name outlives a crash, too.
}

/// How many links one path may lead over, as for Linux itself.
const LINKS: usize = 40;

/// Whether a file is replaced, and not written to: one that is regular, or not there yet. What leads over
/// `/dev` or `/proc` (`/dev/stdout`) is a descriptor that others have open.
fn is_replaceable(path: &Path) -> bool {
    let mut at = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..LINKS {
        if at.starts_with("/dev") && !at.starts_with("/dev/shm") || at.starts_with("/proc") {
            return false;
        }
        match fs::read_link(&at) {
            Ok(target) => at = at.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => break,
        }
    }
    fs::metadata(path).map_or(true, |about| about.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_pipes_are_written_to_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
        file(&link, b"through a pipe").unwrap();
        assert_eq!(reader.join().unwrap(), "through a pipe");
        file(Path::new("/dev/null"), b"away").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        std::os::unix::fs::symlink("/dev/stdout", folder.path().join("out")).unwrap();
        for (path, replaced) in
            [("/dev/stdout", false), ("/dev/fd/1", false), ("/proc/self/fd/1", false), ("/dev/shm/x", true)]
        {
            assert_eq!(is_replaceable(Path::new(path)), replaced, "{path}");
        }
        assert!(!is_replaceable(&folder.path().join("out")));
    }

    #[test]
    fn a_file_keeps_its_mode_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(file(&folder.path().join("no/such"), b"").unwrap_err().exit(), Exit::UnreadableFile);
    }
}
