//! Worktrees of plans: their records in etcd and their files on this host, made, removed and recovered
//! together.
//!
//! `planlease` keeps the records and `planlease-worktree` the files; neither knows of the other. Here they
//! meet: a record is written *before* something is made or removed, and again after it, so that the next
//! process can distinguish what an interrupted one has begun from what exists. Both are changed under the
//! lock of the repository.
//!
//! Programs with no terminal use it as the command line does.

mod add;
mod error;
mod host;
mod remove;
mod site;

pub use add::Request;
pub use error::Error;
pub use host::{Action, Host, Tidied};
pub use remove::{Cleaned, Removed, is_own};
