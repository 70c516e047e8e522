//! Worktrees of git repositories, made and removed so that nothing gets lost wherever it is interrupted.
//!
//! This crate knows git and the file system, and nothing of etcd. What is made here says whose it is: the
//! branch in its reflog, git's folder of the worktree in its lock, the path in a *fence file* beside it, each
//! by the id of the one [`Site`] it was made for. So a process that comes after a crash distinguishes its own
//! leftovers from other files, and takes away no more than that.
//!
//! All of it happens under the lock of the repository ([`Repository::lock`]): git itself does not bear two
//! `git worktree add` at once (they race on its configuration and on names), and the lock is held by every
//! git that is started under it, until that git has ended: also when the process that started it was killed.
//!
//! Paths are absolute, and nothing depends on the working directory. git's own variables are taken away from
//! it.

mod admin;
mod commits;
mod elsewhere;
mod error;
mod fence;
mod files;
mod git;
mod holder;
mod inspect;
mod kept;
mod locked;
mod make;
mod nested;
mod reach;
mod repository;
mod site;
mod variables;

pub use error::Error;
pub use fence::Fence;
pub use holder::Holder;
pub use inspect::{MISSING, Stage};
pub use locked::Locked;
pub use repository::Repository;
pub use site::{Site, free_bytes, settled};
pub use variables::Variables;
