//! The one error type of the crate.

use std::{io, path::PathBuf, time::Duration};

use crate::holder::Holder;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// git cannot be started.
    #[error("git cannot be started: {0}")]
    NoGit(#[source] io::Error),
    /// git says no.
    #[error("git {command}: {said}")]
    Git {
        /// What it was asked for.
        command: String,
        /// What it said, in one line.
        said: String,
    },
    /// git did not end in time, and was killed.
    #[error("git {command} did not end within {within:?}")]
    TooLong {
        /// What it was asked for.
        command: String,
        /// How long it had.
        within: Duration,
    },
    /// git said more than is read.
    #[error("git {command} said more than {most} bytes")]
    TooMuch {
        /// What it was asked for.
        command: String,
        /// How much is read.
        most: u64,
    },
    /// Another process works in the repository all the time.
    #[error("{} has been locked by another process for {within:?}", path.display())]
    Busy {
        /// The file that is locked.
        path: PathBuf,
        /// How long was waited.
        within: Duration,
    },
    /// The path belongs to another holder.
    #[error("{} belongs to {holder}", path.display())]
    Fenced {
        /// The path.
        path: PathBuf,
        /// Who it belongs to.
        holder: Box<Holder>,
    },
    /// The worktree holds work that is nowhere else.
    #[error("it holds {}", .0.join(", "))]
    Work(Vec<String>),
    /// There is something at the path.
    #[error("there is something at {} already", .0.display())]
    InTheWay(PathBuf),
    /// No branch can have that name.
    #[error("{0:?} cannot be the name of a branch")]
    BadBranch(String),
    /// There is a branch of that name.
    #[error("there is a branch {0} already")]
    BranchExists(String),
    /// The path cannot be used.
    #[error("{} {why}", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
        /// Why, as the rest of a sentence.
        why: &'static str,
    },
    /// The file system says no.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
