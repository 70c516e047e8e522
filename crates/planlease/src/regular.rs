//! Regular files that are named by people or by settings: opened without waiting for another process, and
//! read within a bound. A pipe, a device or a socket is refused.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::fcntl::OFlag;

/// Opens a regular file for reading. A pipe is refused, and not waited for.
///
/// # Errors
/// If the file cannot be opened, or is not a regular one.
pub fn open(path: &Path) -> io::Result<File> {
    let regular = |found: Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    };
    regular(fs::metadata(path)?)?; // First, since to open a device can do something.
    // It may be another one by now; a pipe would be waited for.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most this many bytes.
///
/// # Errors
/// As [`open`]; if the file cannot be read, or has more bytes: then nothing of it is returned.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that there is more, whatever the file's size is said to be.
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {}", size(most))));
    }
    Ok(bytes)
}

/// A number of bytes in the largest unit in which it is whole.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1024 * 1024) => format!("{} MiB", bytes / (1024 * 1024)),
        bytes if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [pipe.as_path(), link.as_path(), folder.path(), Path::new("/dev/null")] {
            let error = read(path, 10).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{}", path.display());
        }
        let absent = read(&folder.path().join("absent"), 10).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_above_its_bound_is_refused_and_never_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert_eq!(read(&file, 4).unwrap_err().to_string(), "it has more than 4 bytes");
        assert_eq!([size(1 << 20), size(4096), size(1000)], ["1 MiB", "4 KiB", "1000 bytes"]);
    }
}
