//! What it means to a person that a worktree cannot be made, changed or removed.

use planlease::WorktreeView;
use planlease::core::worktree::{Refusal, Tenure};
use planlease_worktree::{Error, MISSING};

use super::Failure;
use crate::exit::Exit;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = |exit| Self::new(exit, error.to_string());
        match &error {
            Error::NoGit(_) => failure(Exit::GitFailed).remedy("Install git, or correct the PATH."),
            Error::Git { .. } | Error::TooMuch { .. } => failure(Exit::GitFailed),
            Error::TooLong { .. } => failure(Exit::GitFailed).remedy("Look at the hooks of the repository."),
            Error::Busy { .. } => failure(Exit::TimedOut)
                .meaning("Nothing was changed.")
                .remedy("Look which git works there: `fuser` on that file shows it."),
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

/// What happened, in one line.
pub(crate) fn what(error: &planlease_worktrees::Error) -> String {
    match error {
        planlease_worktrees::Error::Etcd(error) => planlease::error_chain(error),
        error => error.to_string(),
    }
}

impl From<planlease_worktrees::Error> for Failure {
    fn from(error: planlease_worktrees::Error) -> Self {
        use planlease_worktrees::Error as Worktrees;
        let text = what(&error);
        match error {
            Worktrees::Etcd(error) => error.into(),
            Worktrees::Files(error) => error.into(),
            Worktrees::Name(error) => error.into(),
            Worktrees::NoSuchWorktree { .. } => Self::new(Exit::NoSuchWorktree, text)
                .remedy("`planlease worktree list` shows those of all hosts."),
            Worktrees::Changed(_) => {
                Self::new(Exit::Stale, text).remedy("Look at it (`planlease worktree show`) and do it again.")
            }
            Worktrees::WrongState { .. } => Self::new(Exit::Stale, text).meaning("Nothing was changed."),
            Worktrees::NameTaken(present) => Self::new(Exit::WorktreeTaken, text)
                .meaning(format!(
                    "It is {}, at {}; nothing was changed.",
                    present.record.state, present.record.path
                ))
                .remedy("Choose another --name, or remove that one: planlease worktree remove."),
            Worktrees::NoRoom(_) => Self::new(Exit::NoRoom, text).meaning("Nothing was made."),
            Worktrees::AuthorityLost { name, plan, delegated } => {
                let whose = match delegated {
                    true => "the ownership by which it would be made is over",
                    false => "the plan's ownership changed at this moment",
                };
                Self::new(Exit::AuthorityLost, format!("cannot make worktree {name}: {whose}"))
                    .meaning("Nothing of it is left.")
                    .remedy(format!(
                        "`planlease owner show {q_plan}` shows who owns the plan now.",
                        q_plan = plan.quoted()
                    ))
            }
            Worktrees::NotRemovable { view, refusal, work, .. } => not_removable(&view, refusal, text, &work),
            Worktrees::Quarantined { .. } => {
                Self::new(Exit::HasWork, text).meaning("It is quarantined now; nothing in it was touched.")
            }
            Worktrees::LeftBehind { error, rest } => Self::from(*error).remedy(format!(
                "What was made of it could not be taken back ({}): planlease worktree clean.",
                what(&rest)
            )),
            _ => Self::new(Exit::Unexpected, text),
        }
    }
}

fn not_removable(view: &WorktreeView, refusal: Refusal, text: String, work: &[String]) -> Failure {
    match refusal {
        Refusal::InUse => Failure::new(Exit::OwnedByOther, text)
            .meaning(format!("Nothing was changed; {} made it, and {}.", view.record.by, Tenure::Live.why()))
            .remedy("Wait until that ownership is over, or end it: planlease owner release."),
        Refusal::HasWork if work.iter().any(|found| found == MISSING) => {
            let (name, path) = (&view.name, &view.record.path);
            let what = format!("cannot remove worktree {name}: {MISSING}");
            Failure::new(Exit::HasWork, what)
                .meaning(format!("Nothing was changed; it was made at {path}."))
                .remedy(format!(
                    "Mount or move it back. If it was deleted on purpose, make git forget it: `git worktree unlock \
                     {path}`, `git worktree prune`; then do this again."
                ))
        }
        Refusal::HasWork => Failure::new(Exit::HasWork, text)
            .meaning(format!("Nothing was changed. Found: {}.", work.join("; ")))
            .remedy(
                "Commit and push it, or set it aside: planlease worktree quarantine; --keep-branch keeps commits.",
            ),
        Refusal::WrongState(_) => Failure::new(Exit::Stale, text).meaning("Nothing was changed."),
    }
}
