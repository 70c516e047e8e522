//! The execution of one plan during one ownership: keeps ready tasks running, records their results, and
//! stops everything when the ownership ends.

mod asked;
mod cancelling;
mod closing;
mod execution;
mod following;
mod left;
mod loss;
mod others;
mod paused;
mod pooling;
mod pools;
mod readiness;
mod recording;
mod short;
mod slots;
mod starting;
mod timing;
mod unrecorded;
mod unstarted;
mod waiting;
mod yielding;

pub(crate) use closing::failed_tasks;
pub use execution::Stop;
pub(crate) use execution::{Ended, Runner, Shared};
pub(crate) use waiting::until;
