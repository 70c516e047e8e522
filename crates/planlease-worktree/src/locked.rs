//! A repository under its lock: only here is anything in it changed.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

use crate::{
    admin::Admin,
    error::Error,
    git::{Git, line},
    repository::Repository,
    site::Site,
};

/// The file in the common git folder that is locked.
const LOCK: &str = "planlease.lock";

/// The pause between two tries to lock.
const PAUSE: Duration = Duration::from_millis(25);

/// The lock of a repository. Dropping it releases the lock, once every git that was started under it has
/// ended.
#[derive(Debug)]
pub struct Locked {
    repository: Repository,
    file: File,
}

impl Repository {
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
        let path = self.common().join(LOCK);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(Error::io("cannot open", &path))?;
        let started = tokio::time::Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Locked { repository: self.clone(), file }),
                Err(TryLockError::WouldBlock) if started.elapsed() < within => {
                    tokio::time::sleep(PAUSE).await
                }
                Err(TryLockError::WouldBlock) => return Err(Error::Busy { path, within }),
                Err(TryLockError::Error(error)) => return Err(Error::io("cannot lock", path)(error)),
            }
        }
    }
}

impl Locked {
    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The commit that a name stands for.
    ///
    /// # Errors
    /// [`Error::Git`] if it is none.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn commit(&self, name: &str) -> Result<String, Error> {
        let name = format!("{name}^{{commit}}");
        let said = self.git()?.args(["rev-parse", "--verify", "--end-of-options", &name]).run().await?;
        Ok(line(&said))
    }

    /// Refuses a name that no branch can have, and one that a branch has.
    ///
    /// # Errors
    /// [`Error::BadBranch`], [`Error::BranchExists`], [`Error::Git`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn check_branch(&self, branch: &str) -> Result<(), Error> {
        let reference = format!("refs/heads/{branch}");
        let sound = self.git()?.args(["check-ref-format", &reference]).ask().await?;
        if sound.is_none() || branch.starts_with('-') {
            return Err(Error::BadBranch(branch.to_owned()));
        }
        match self.tip(&reference).await? {
            Some(_) => Err(Error::BranchExists(branch.to_owned())),
            None => Ok(()),
        }
    }

    /// The commit that a reference is at, if it is there.
    pub(crate) async fn tip(&self, reference: &str) -> Result<Option<String>, Error> {
        let said = self.git()?.args(["rev-parse", "--verify", "--quiet", reference]).ask().await?;
        Ok(said.map(|said| line(&said)))
    }

    /// git in the common folder, with the lock.
    pub(crate) fn git(&self) -> Result<Git, Error> {
        Ok(Git::at(self.repository.common(), Some(&self.file))?.variables(self.repository.variables()))
    }

    /// git's own folder of the worktree, if it has one.
    pub(crate) fn admin(&self, site: &Site) -> Result<Option<Admin>, Error> {
        Admin::of(self.repository.common(), site)
    }
}
