//! A repository: where its common git folder is, and its lock.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    error::Error,
    git::{Git, line},
    locked::Locked,
};

/// The file in the common git folder that is locked.
const LOCK: &str = "planlease.lock";

/// The pause between two tries to lock.
const PAUSE: Duration = Duration::from_millis(25);

/// A git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    common: PathBuf,
}

impl Repository {
    /// The repository that a folder belongs to: a bare one, a checkout, or another worktree of it.
    ///
    /// # Errors
    /// [`Error::BadPath`] for a path that is not absolute, [`Error::Git`] if there is no repository.
    pub async fn find(folder: &Path) -> Result<Self, Error> {
        absolute(folder)?;
        if !folder.is_dir() {
            return Err(Error::BadPath { path: folder.to_owned(), why: "is no folder" });
        }
        let said = Git::at(folder, None)?
            .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .run()
            .await?;
        Self::at(Path::new(&line(&said)))
    }

    /// The repository with this common git folder.
    ///
    /// # Errors
    /// [`Error::Io`] if it is not there.
    pub fn at(common: &Path) -> Result<Self, Error> {
        let common = common.canonicalize().map_err(Error::io("cannot find the git folder", common))?;
        Ok(Self { common })
    }

    /// Its common git folder, without symbolic links.
    #[must_use]
    pub fn common(&self) -> &Path {
        &self.common
    }

    /// Waits until no other process adds or removes worktrees of this repository, on any host that shares the
    /// file system.
    ///
    /// The lock is the operating system's (`flock`): gone with the last process that holds it, and every git
    /// that is started under it holds it too. On NFS it excludes other hosts only if the server's lock
    /// service runs (NFSv4, or v3 without `nolock` or `local_lock`).
    ///
    /// # Errors
    /// [`Error::Busy`] if that takes longer, [`Error::Io`].
    ///
    /// # Cancel safety
    /// Nothing is held if the future is dropped.
    pub async fn lock(&self, within: Duration) -> Result<Locked, Error> {
        let path = self.common.join(LOCK);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(Error::io("cannot open", &path))?;
        let started = tokio::time::Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Locked::new(self.clone(), file)),
                Err(TryLockError::WouldBlock) if started.elapsed() < within => {
                    tokio::time::sleep(PAUSE).await
                }
                Err(TryLockError::WouldBlock) => return Err(Error::Busy { path, within }),
                Err(TryLockError::Error(error)) => return Err(Error::io("cannot lock", path)(error)),
            }
        }
    }
}

/// Refuses a path that says something else in another working directory.
pub(crate) fn absolute(path: &Path) -> Result<(), Error> {
    if path.is_absolute() {
        Ok(())
    } else {
        Err(Error::BadPath { path: path.to_owned(), why: "is not absolute" })
    }
}
