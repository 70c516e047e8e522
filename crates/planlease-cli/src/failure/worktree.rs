//! What it means to a person that git or the file system refuses a worktree.

use planlease_worktree::Error;

use super::Failure;
use crate::exit::Exit;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = |exit| Self::new(exit, error.to_string());
        match &error {
            Error::NoGit(_) => failure(Exit::GitFailed).remedy("Install git, or mend the PATH."),
            Error::Git { .. } | Error::TooMuch { .. } => failure(Exit::GitFailed),
            Error::TooLong { .. } => failure(Exit::GitFailed).remedy("Look at the hooks of the repository."),
            Error::Busy { .. } => failure(Exit::TimedOut)
                .meaning("Nothing was changed.")
                .remedy("Look which git works there: `fuser` on that file tells."),
            Error::Fenced { .. } => failure(Exit::WorktreeTaken)
                .meaning("Another host or fleet shares this path; nothing was changed.")
                .remedy("Choose another path, or let that one remove its worktree."),
            Error::InTheWay(_) => failure(Exit::WorktreeTaken)
                .meaning("Nothing was changed.")
                .remedy("Choose a path where there is nothing yet."),
            Error::BranchExists(_) => failure(Exit::WorktreeTaken)
                .meaning("A worktree gets a branch of its own; nothing was changed.")
                .remedy("Choose another --branch; --base can name the one that is there."),
            Error::BadPath { .. } | Error::BadBranch(_) => {
                failure(Exit::Usage).meaning("Nothing was changed.")
            }
            Error::Work(_) => failure(Exit::HasWork).meaning("Nothing was removed."),
            _ => failure(Exit::Unexpected),
        }
    }
}
