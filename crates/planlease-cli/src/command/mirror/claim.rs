//! The claim of one mirror to its file: a locked file beside it. A crash frees it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{exit::Exit, failure::Failure, output::plain};

/// How often a claim is tried that another mirror gives up at the same moment.
const TRIES: usize = 10;

/// How much of a claim is read.
const MOST: u64 = 1024;

/// The claim of one mirror on its file. Dropping it gives the file up.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    // Closed, and so unlocked, after the file is removed.
    _locked: File,
}

impl Claim {
    /// Claims the file; `by` says for others who has it.
    ///
    /// # Errors
    /// If another mirror has it, or it is no file that can be replaced.
    pub(super) fn take(file: &Path, by: &str) -> Result<Self, Failure> {
        let path = beside(file)?;
        let fail = |error: io::Error| {
            Failure::new(Exit::UnreadableFile, format!("cannot claim {}: {error}", file.display()))
                .meaning("The file is as it was.")
                .remedy("Check that its folder exists and is writable.")
        };
        for _ in 0..TRIES {
            let mut locked = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(fail)?;
            match locked.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(file, locked)),
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
            // The one before removes its claim: what was locked may not be what is there now.
            let is_there = fs::metadata(&path).ok().map(|about| about.ino());
            if is_there == Some(locked.metadata().map_err(fail)?.ino()) {
                locked.set_len(0).and_then(|()| locked.write_all(by.as_bytes())).map_err(fail)?;
                return Ok(Self { path, _locked: locked });
            }
        }
        Err(fail(io::ErrorKind::ResourceBusy.into()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path)); // Gone already is as good.
    }
}

/// The claim's own file: beside what a link leads to, which is what is replaced.
fn beside(file: &Path) -> Result<PathBuf, Failure> {
    let target = match fs::canonicalize(file) {
        Ok(target) => target,
        Err(_) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(|error| {
                Failure::new(Exit::UnreadableFile, format!("cannot write {}: {error}", file.display()))
                    .remedy("Check that its folder exists and is writable.")
            })?;
            folder.join(file.file_name().unwrap_or_default())
        }
    };
    if target.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        return Err(Failure::usage(format!("{} is no regular file", file.display()))
            .meaning("A mirror replaces its file in one step.")
            .remedy("Name a regular file, one that does not exist yet, or a folder of tasks."));
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(target.with_file_name(format!(".{name}.planlease-mirror")))
}

fn taken(file: &Path, claim: File) -> Failure {
    let mut by = String::new();
    drop(claim.take(MOST).read_to_string(&mut by)); // What cannot be read is not said.
    let by = if by.trim().is_empty() { "another mirror".to_owned() } else { plain(by.trim()) };
    Failure::new(Exit::InUse, format!("{} is kept by {by}", file.display()))
        .meaning("Two mirrors of one file would overwrite each other. Nothing was written.")
        .remedy("Stop that one first, or name another file.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_mirror_by_whichever_name() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("status.json"), folder.path().join("link.json"));
        fs::write(&file, "{}").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let claim = Claim::take(&file, "the mirror of release (process 7)").unwrap();
        for name in [&file, &link] {
            let refused = Claim::take(name, "another").unwrap_err();
            assert_eq!(refused.exit(), Exit::InUse);
            assert!(
                refused.what().ends_with("is kept by the mirror of release (process 7)"),
                "{}",
                refused.what()
            );
        }
        let other = Claim::take(&folder.path().join("other.json"), "another").unwrap();
        drop((claim, other));
        drop(Claim::take(&link, "the next one").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left");
        assert_eq!(Claim::take(Path::new("/dev/null"), "").unwrap_err().exit(), Exit::Usage);
    }
}
