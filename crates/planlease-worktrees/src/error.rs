//! Why something could not be done with a worktree.

use planlease::WorktreeView;
use planlease_core::{
    HostName, InvalidName, PlanName, WorktreeName,
    worktree::{Refusal, Tenure},
};

/// Why something could not be done with a worktree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// etcd refused something, or did not answer.
    #[error(transparent)]
    Etcd(#[from] planlease::Error),
    /// git or the file system refused something.
    #[error(transparent)]
    Files(#[from] planlease_worktree::Error),
    /// A name that no worktree can have.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The host has no such worktree.
    #[error("there is no worktree {name} on host {host}")]
    NoSuchWorktree {
        /// Its name.
        name: WorktreeName,
        /// The host.
        host: HostName,
    },
    /// Another process changed the record at this moment. Do it again.
    #[error("worktree {0} was changed by another process at this moment")]
    Changed(WorktreeName),
    /// The record must not enter the next state.
    #[error("cannot change worktree {name}: {why}")]
    WrongState {
        /// The worktree.
        name: WorktreeName,
        /// Why, as the rest of a sentence.
        why: String,
    },
    /// The host has a worktree of that name.
    #[error("host {} has a worktree {} already", .0.host, .0.name)]
    NameTaken(Box<WorktreeView>),
    /// A limit is reached, or the disk is too full. Nothing was made.
    #[error("{0}")]
    NoRoom(String),
    /// The authority under which it would be made is lost. Nothing of it is left.
    #[error("the authority under which worktree {name} would be made is lost")]
    AuthorityLost {
        /// The worktree.
        name: WorktreeName,
        /// Its plan.
        plan: PlanName,
        /// Whether it is an owner's, handed down to this process; else an operator's.
        delegated: bool,
    },
    /// It may not be removed. Nothing was changed.
    #[error("cannot remove worktree {}: {refusal}", .view.name)]
    NotRemovable {
        /// The worktree.
        view: Box<WorktreeView>,
        /// Why.
        refusal: Refusal,
        /// The work in it, if that is why.
        work: Vec<String>,
        /// Whether its owner is still there.
        tenure: Tenure,
    },
    /// git found something in it after all. It is quarantined; nothing in it was touched.
    #[error("worktree {name} was not removed: {found}")]
    Quarantined {
        /// The worktree.
        name: WorktreeName,
        /// What git said.
        found: String,
    },
    /// It could not be made, and what was made of it could not be removed.
    #[error("{error}")]
    LeftBehind {
        /// Why it could not be made.
        error: Box<Error>,
        /// Why the rest of it could not be removed.
        rest: Box<Error>,
    },
}
