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
//! | what does an operation on one task need to read, how is it found | [`reading`], [`excerpt`] |
//! | which stored values cannot be read | [`unreadable`] |
//! | what is a plan made of, is it sound | [`spec`], [`graph`], [`soundness`] |
//! | what is a plan at one revision, as readers see it | [`view`] |
//! | what state is a plan in, in one word | [`PlanState`] |
//! | which status may follow which, by whom | [`transition`] |
//! | what becomes of a task whose attempt is cancelled | [`cancel`] |
//! | who owns, who is next, which term comes now | [`term`] |
//! | is the session still trusted, when to renew | [`session`] |
//! | may the lease of a dead process be revoked before it expires | [`companion`] |
//! | what is asked of a whole fleet: a pause, cordons, moves | [`steering`] |
//! | what becomes of a task whose claimant is gone | [`orphan`] |
//! | which plans and tasks are selected, what is for which orchestrator | [`selector`], [`offer`] |
//! | which free plan does an orchestrator take next | [`sharing`] |
//! | how many tasks may use a pool at once, which permits does a start take | [`pool`] |
//! | is the store the one that was seen before, or restored | [`life`] |
//! | may a resource outside etcd still listen to this token | [`fence`] |
//! | which span of which trace a term or an attempt belongs to | [`trace`] |
//! | is a worktree abandoned, what may be done about it | [`worktree`] |
//! | did the history obey the invariants | [`audit`] |

pub mod approval;
pub mod attention;
pub mod audit;
pub mod budget;
pub mod cancel;
pub mod change;
pub mod codec;
pub mod companion;
pub mod consequence;
mod counted;
pub mod deeds;
pub mod definition;
pub mod dependency;
pub mod edit;
pub mod estimate;
pub mod excerpt;
pub mod exits;
mod extra;
pub mod fence;
pub mod graph;
pub mod hook;
mod id;
pub mod keys;
pub mod late;
pub mod life;
pub mod logs;
pub mod offer;
pub mod on_failed;
pub mod order;
pub mod orphan;
pub mod overdue;
pub mod pool;
pub mod reading;
pub mod record;
pub mod release;
mod revision;
pub mod selector;
pub mod session;
pub mod sharing;
pub mod soundness;
pub mod spec;
pub mod standing;
mod state;
mod status;
pub mod steering;
mod summary;
pub mod term;
mod time;
pub mod trace;
pub mod transition;
pub mod unreadable;
pub mod view;
pub mod worktree;

pub use counted::counted;
pub use extra::Extra;
pub use id::{
    HookName, HostName, InvalidName, LeaseId, LockName, Namespace, OrchestratorId, PlanName, PoolName,
    TaskId, WorktreeName,
};
pub use revision::{FencingToken, Generation, LockToken, Malformed, Revision, TermNumber};
pub use state::PlanState;
pub use summary::Summary;
pub use time::{BootTime, MAX_DURATION, WallTime};
