//! The companion of a session: a small process on the same host that sees the end of the session's process at
//! once, waits until every command of the session is dead, and then revokes the lease.
//!
//! Without it, what a crashed process owned is free after its TTL; with it, after milliseconds. It is the
//! same crash: the term ends uncleanly, a lock delay is waited for, tasks in progress are recovered.
//!
//! ```text
//!   process of the session ──── socket pair; its end without a farewell: the process is gone ────► companion
//!   supervisor of a command ─── socket with an abstract name; a byte: nothing of the command is left ──┘
//! ```
//!
//! The companion waits in one system call until something happens, and connects to etcd only when it has a
//! lease to revoke. It knows the processes that it was started for and nothing else: a process that is
//! stopped or stuck is there, and a host that dies takes its companion along, so their sessions expire. What
//! it does when is decided by [`planlease_core::companion`].
//!
//! | what happens | what frees the plans |
//! | --- | --- |
//! | the process of the session dies | the companion, as soon as its commands are dead |
//! | … and so did a supervisor, or one reports that processes are left | the TTL |
//! | … and the companion died before, or is stopped, or cannot reach etcd | the TTL |
//! | the process is stopped or stuck, its host dies | the TTL |

mod announcement;
mod assignment;
mod handle;
mod process;
mod socket;

pub use announcement::Announcement;
pub(crate) use handle::Companion;
pub use process::{CompanionError, run};
