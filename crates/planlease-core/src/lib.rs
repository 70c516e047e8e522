//! The values and decisions of planlease, and nothing that acts.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no randomness, no runtime. The
//! drivers (`planlease`, `planlease-watcher`, `planlease-orchestrator`) read the world, ask this crate what
//! to do, and do it. So each rule of the protocol stands once, can be tested as a table, and can run in a
//! simulation.
//!
//! | question | answered by |
//! | --- | --- |
//! | which names are allowed, how do they sort | [`PlanName`], [`TaskId`], [`OrchestratorId`] |
//! | where does a value live in etcd | [`keys`] |
//! | what are the stored bytes, how do changes of them look | [`codec`], [`definition`], [`record`], [`change`] |
//! | which stored values cannot be read | [`unreadable`] |
//! | what is a plan made of, is it sound | [`spec`], [`graph`], [`soundness`] |
//! | what is a plan at one revision, as readers see it | [`view`] |
//! | which status may follow which, by whom | [`transition`] |
//! | who owns, who is next, which term comes now | [`term`] |
//! | is the session still trusted, when to renew | [`session`] |
//! | what becomes of a task whose claimant is gone | [`orphan`] |
//! | is the store the one that was seen before, or restored | [`life`] |
//! | may a resource outside etcd still listen to this token | [`fence`] |
//! | is a worktree abandoned, what may be done about it | [`worktree`] |
//! | did the history obey the invariants | [`audit`] |

pub mod audit;
pub mod change;
pub mod codec;
mod counted;
pub mod deeds;
pub mod definition;
pub mod edit;
pub mod estimate;
pub mod fence;
pub mod graph;
mod id;
pub mod keys;
pub mod late;
pub mod life;
pub mod order;
pub mod orphan;
pub mod overdue;
pub mod record;
mod revision;
pub mod session;
pub mod soundness;
pub mod spec;
pub mod standing;
mod status;
mod summary;
pub mod term;
mod time;
pub mod transition;
pub mod unreadable;
pub mod view;
pub mod worktree;

pub use counted::counted;
pub use id::{
    HostName, InvalidName, LeaseId, LockName, Namespace, OrchestratorId, PlanName, TaskId, WorktreeName,
};
pub use revision::{FencingToken, Generation, LockToken, Malformed, Revision, TermNumber};
pub use summary::Summary;
pub use time::{BootTime, MAX_DURATION, WallTime};
