//! The timers of a plan's tasks, which its owner keeps: retries after a pause, deadlines, heartbeats, lost
//! claimants. There is one implementation, for every owner.
//!
//! [`TaskTimers`] looks what is due, by [`planlease_core::overdue`], and writes it. [`PlanTimers`] adds what an
//! owner needs that runs no attempts of its own: the recovery of orphans and what to wait for.
//! [`Ownership::keep_timers`](crate::Ownership::keep_timers) drives both by a watch on the plan.

mod keep;
mod plan;
mod tasks;

pub use keep::TimerKeeper;
pub use plan::{PlanTimers, TimerEvent};
pub use tasks::{Carried, Hands, TaskTimers};
