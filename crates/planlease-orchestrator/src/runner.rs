//! The execution of one plan during one ownership: keeps ready tasks running, records their results, and
//! stops everything when the ownership ends.

mod closing;
mod execution;
mod recording;
mod short;
mod slots;
mod unrecorded;
mod unstarted;

pub(crate) use closing::failed_tasks;
pub use execution::Stop;
pub(crate) use execution::{Ended, Runner, Shared, until};
