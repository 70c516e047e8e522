//! What an orchestrator is told: plain data.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use planlease::Identity;
use planlease_core::PlanName;

use crate::executor::Executor;

/// How to orchestrate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which plans to own and execute.
    pub plans: Plans,
    /// How many tasks run at once, over all plans. At least 1.
    pub jobs: usize,
    /// How many plans are owned at once. At least 1.
    pub max_plans: usize,
    /// What a task runs if its plan does not say so.
    pub command: Option<TaskCommand>,
    /// The environment of every task, besides that of this process and what tells it its task.
    pub env: Vec<(OsString, OsString)>,
    /// Where tasks run; `None`: where this process does.
    pub dir: Option<PathBuf>,
    /// How long a task has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Where commands run; usually the [`EntryPoint`](crate::EntryPoint) of the guards.
    pub executor: Arc<dyn Executor>,
    /// Who this process is. Each session gets a name of its own if it has none.
    pub identity: Identity,
}

/// Which plans an orchestrator executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plans {
    /// These. It is an error if one of them is not there.
    Named(Vec<PlanName>),
    /// All that are there when the orchestrator starts.
    All,
}

/// The command of tasks that do not bring their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskCommand {
    /// A program and its arguments.
    Program(Vec<OsString>),
    /// A script for `sh -c`. What is known of the task is in the environment; nothing is put into the script.
    Shell(OsString),
}

/// The names of the environment variables by which a task learns what it is.
pub mod env {
    /// The plan's name.
    pub const PLAN: &str = "PLANLEASE_PLAN";
    /// The task's id.
    pub const TASK: &str = "PLANLEASE_TASK";
    /// What the task is to do.
    pub const DESCRIPTION: &str = "PLANLEASE_TASK_DESCRIPTION";
    /// Which attempt this is, from 1.
    pub const ATTEMPT: &str = "PLANLEASE_ATTEMPT";
    /// The fencing token of the ownership.
    pub const FENCING_TOKEN: &str = "PLANLEASE_FENCING_TOKEN";
    /// The name of the lock under which a command of `planlease lock` runs.
    pub const LOCK: &str = "PLANLEASE_LOCK";
    /// The fencing token of that lock.
    pub const LOCK_TOKEN: &str = "PLANLEASE_LOCK_TOKEN";
    /// What the commands above hold, as JSON, so that none of them is waited for.
    pub const HELD: &str = "PLANLEASE_HELD";
    /// The ownership's right, as JSON, by which `planlease task …` writes.
    pub const OWNERSHIP: &str = "PLANLEASE_OWNERSHIP";
}
