//! A repository: where its common git folder is.

use std::path::{Path, PathBuf};

use crate::{
    error::Error,
    git::{Git, line},
    variables::Variables,
};

/// A git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    common: PathBuf,
    variables: Variables,
}

impl Repository {
    /// The repository that a folder belongs to: a bare one, a checkout, or another worktree of it.
    ///
    /// # Errors
    /// [`Error::BadPath`] for a path that is not absolute, [`Error::Git`] if there is no repository.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
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
        Ok(Self { common, variables: Variables::default() })
    }

    /// Sets how the environment of hooks differs from this process's.
    #[must_use]
    pub fn with_variables(self, variables: Variables) -> Self {
        Self { variables, ..self }
    }

    /// How the environment of hooks differs from this process's.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Its common git folder, without symbolic links.
    #[must_use]
    pub fn common(&self) -> &Path {
        &self.common
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
