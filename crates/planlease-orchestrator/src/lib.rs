//! A ready-made orchestrator: owns plans and runs a command per ready task.
//!
//! A command must not outlive the ownership it works under, not even if the orchestrator is killed or paused.
//! So it runs under a *supervisor*, a small process with a deadline of its own:
//!
//! ```text
//!   orchestrator ──► supervisor ──► exec stage, becomes the command ──► whatever the command starts
//!    (Supervisors)   (supervisor::run)   (exec::run)
//! ```
//!
//! | what happens | who kills the command and its process group |
//! | --- | --- |
//! | the orchestrator asks for it | the supervisor, at once or after a grace |
//! | the orchestrator is paused, or cannot renew its session | the supervisor, at its deadline |
//! | the orchestrator dies | the supervisor, which sees its connection end |
//! | the supervisor dies | the kernel kills the command, the orchestrator its group |
//! | the supervisor is paused | the orchestrator, shortly after the deadline |
//! | both are killed at once | the kernel kills the command; its own children are out of reach |
//!
//! The program that embeds this crate has two hidden subcommands that call [`supervisor::run`] and
//! [`exec::run`], and names them with [`EntryPoint`]s.

mod attempt;
mod child;
mod clock;
mod command;
mod control;
mod driver;
mod ending;
pub mod exec;
mod executor;
mod fitness;
pub mod hold;
mod inputs;
mod kill_policy;
mod logs;
mod options;
mod orchestrator;
mod output;
mod processes;
mod report;
mod runner;
pub mod shortage;
pub mod supervisor;
mod trace;

pub use child::{SpawnError, SupervisedChild, Supervisors};
pub use command::{Attachment, CommandSpec, Pulse};
pub use ending::{Cause, Finished, Status};
pub use executor::{Boxed, Commands, Executor, Running};
pub use options::{CannotStart, CommandSource, Options, Plans, TaskCommand, env};
pub use orchestrator::{Dropped, Orchestrator, Summary};
pub use planlease::EntryPoint;
pub use planlease_observe::{LogServer, Outputs};
pub use report::{Report, Reporter};
pub use runner::Stop;
