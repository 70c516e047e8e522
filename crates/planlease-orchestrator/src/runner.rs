//! The execution of one plan during one ownership: keeps ready tasks running, records their results, and
//! stops everything when the ownership ends.

mod asked;
mod cancelling;
mod closing;
mod execution;
mod left;
mod paused;
mod pooling;
mod pools;
mod recording;
mod short;
mod slots;
mod unrecorded;
mod unstarted;
mod yielding;

pub(crate) use closing::failed_tasks;
pub use execution::Stop;
pub(crate) use execution::{Ended, Runner, Shared, until};
