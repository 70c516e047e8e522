//! A repository under its lock: only here is anything in it changed.

use std::fs::File;

use crate::{
    admin::Admin,
    error::Error,
    git::{Git, line},
    repository::Repository,
    site::Site,
};

/// The lock of a repository. Dropping it releases the lock, once every git that was started under it has
/// ended.
#[derive(Debug)]
pub struct Locked {
    repository: Repository,
    file: File,
}

impl Locked {
    pub(crate) fn new(repository: Repository, file: File) -> Self {
        Self { repository, file }
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The commit that a name stands for.
    ///
    /// # Errors
    /// [`Error::Git`] if it is none.
    pub async fn commit(&self, name: &str) -> Result<String, Error> {
        let name = format!("{name}^{{commit}}");
        let said = self.git()?.args(["rev-parse", "--verify", "--end-of-options", &name]).run().await?;
        Ok(line(&said))
    }

    /// Refuses a name that no branch can have, and one that a branch has.
    ///
    /// # Errors
    /// [`Error::BadBranch`], [`Error::BranchExists`], [`Error::Git`].
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
        Git::at(self.repository.common(), Some(&self.file))
    }

    /// git's own folder of the worktree, if it has one.
    pub(crate) fn admin(&self, site: &Site) -> Result<Option<Admin>, Error> {
        Admin::of(self.repository.common(), site)
    }
}
