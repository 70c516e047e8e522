//! The options of an orchestrator: plain data.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use planlease::{Identity, PlanView};
use planlease_core::{PlanName, TaskId, transition::TaskStatus};

use crate::{command::CommandSpec, executor::Executor, fitness};

/// How to orchestrate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Which plans to own and execute.
    pub plans: Plans,
    /// How many tasks run at once, over all plans. At least 1, the default.
    pub jobs: usize,
    /// How many plans are owned at once. At least 1. Default: as many as there are.
    pub max_plans: usize,
    /// What a task runs if its plan does not say so.
    pub command: Option<TaskCommand>,
    /// Whose commands are run.
    pub commands: CommandSource,
    /// The soft limit of open files that commands get; this process's own if `None`.
    pub open_files: Option<u64>,
    /// Changes to the environment of every task, which is that of this process and the description of its
    /// task; `None` removes a variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Where tasks run; `None`: where this process does.
    pub dir: Option<PathBuf>,
    /// The folders in which programs are looked up (`PATH`), to find out before a plan is acquired whether
    /// its commands could start. `None` for an executor that starts no programs here.
    pub search_path: Option<OsString>,
    /// How long a task has between SIGTERM and SIGKILL. Default: 10 s.
    pub grace: Duration,
    /// Where commands run; usually the [`EntryPoint`](crate::EntryPoint) of the supervisors.
    pub executor: Arc<dyn Executor>,
    /// Who this process is. Each session gets a name of its own if it has none.
    pub identity: Identity,
}

impl Options {
    /// Settings for these plans, with an executor for their commands; everything else has its default.
    #[must_use]
    pub fn new(plans: Plans, executor: Arc<dyn Executor>) -> Self {
        Self {
            plans,
            jobs: 1,
            max_plans: usize::MAX,
            command: None,
            commands: CommandSource::Plan,
            open_files: None,
            env: Vec::new(),
            dir: None,
            search_path: None,
            grace: Duration::from_secs(10),
            executor,
            identity: Identity::of_process(),
        }
    }

    /// Sets how many tasks run at once, over all plans.
    #[must_use]
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs, ..self }
    }

    /// Sets how many plans are owned at once.
    #[must_use]
    pub fn max_plans(self, plans: usize) -> Self {
        Self { max_plans: plans, ..self }
    }

    /// Sets what a task runs if its plan does not say so.
    #[must_use]
    pub fn command(self, command: impl Into<Option<TaskCommand>>) -> Self {
        Self { command: command.into(), ..self }
    }

    /// Sets whose commands are run.
    #[must_use]
    pub fn commands(self, commands: CommandSource) -> Self {
        Self { commands, ..self }
    }

    /// Sets the soft limit of open files that commands get.
    #[must_use]
    pub fn open_files(self, limit: impl Into<Option<u64>>) -> Self {
        Self { open_files: limit.into(), ..self }
    }

    /// Sets the changes to the environment of every task; `None` removes a variable.
    #[must_use]
    pub fn env(self, env: Vec<(OsString, Option<OsString>)>) -> Self {
        Self { env, ..self }
    }

    /// Sets where tasks run.
    #[must_use]
    pub fn dir(self, dir: impl Into<Option<PathBuf>>) -> Self {
        Self { dir: dir.into(), ..self }
    }

    /// Sets the folders in which programs are looked up.
    #[must_use]
    pub fn search_path(self, path: impl Into<Option<OsString>>) -> Self {
        Self { search_path: path.into(), ..self }
    }

    /// Sets how long a task has between SIGTERM and SIGKILL.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets the identity of this process.
    #[must_use]
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Checks what every task needs: the folder, and the program of the default command.
    ///
    /// # Errors
    /// Why no task could start, as a sentence.
    pub fn check(&self) -> Result<(), CannotStart> {
        self.fitness().map_err(CannotStart)
    }

    fn fitness(&self) -> Result<(), String> {
        let Some(path) = &self.search_path else { return Ok(()) };
        if let Some(dir) = &self.dir {
            fitness::check_folder(dir)?;
        }
        match self.plain_command(None) {
            Some(command) => fitness::check_program(&command, path),
            None => Ok(()),
        }
    }

    /// Checks whether this orchestrator could do anything in the plan.
    ///
    /// # Errors
    /// Why it could not, as a sentence: an open task has no command, or no open task's program is here.
    pub(crate) fn check_plan(&self, plan: &PlanView) -> Result<(), String> {
        self.fitness()?;
        let open = plan.spec().tasks.iter().filter(|task| {
            let status = plan.status(&task.id);
            status.is_some_and(|status| !matches!(status, TaskStatus::Completed | TaskStatus::Skipped))
        });
        let mut known = BTreeMap::new();
        for task in open {
            let own = task.command.as_deref();
            let command = self.plain_command(own).ok_or_else(|| self.no_command(&task.id, own))?;
            let Some(path) = &self.search_path else { continue };
            known.entry(command.program.clone()).or_insert_with(|| fitness::check_program(&command, path));
        }
        // Where some can be run, the others are found out about one by one: another host may have their
        // programs.
        match known.values().find(|found| found.is_ok()).or_else(|| known.values().next()) {
            Some(Err(why)) => Err(why.clone()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// The command of a task and its folder: the task's own, or the default one, as far as [`CommandSource`]
    /// allows. `None` if there is none.
    pub(crate) fn plain_command(&self, own: Option<&[String]>) -> Option<CommandSpec> {
        let own = own.filter(|_| self.commands == CommandSource::Plan);
        let default = self.command.as_ref().filter(|_| self.commands != CommandSource::None);
        let mut command = match (own, default) {
            (Some(words), _) => program(words.iter().map(OsString::from))?,
            (None, Some(TaskCommand::Program(words))) => program(words.iter().cloned())?,
            (None, Some(TaskCommand::Shell(script))) => CommandSpec::shell(script),
            (None, None) => return None,
        };
        command.dir.clone_from(&self.dir);
        command.open_files = self.open_files;
        Some(command)
    }

    /// Why a task has no command that may be run here.
    pub(crate) fn no_command(&self, task: &TaskId, own: Option<&[String]>) -> String {
        match (self.commands, own) {
            (CommandSource::None, _) => {
                format!("task {task} is not run: --commands none runs no commands here")
            }
            (CommandSource::Exec, Some(_)) => {
                format!("the command of task {task} is not run: --commands exec runs no command of a plan")
            }
            (CommandSource::Exec | CommandSource::Plan, _) => {
                format!("task {task} has no command, and the orchestrator has no default one")
            }
        }
    }
}

fn program(mut words: impl Iterator<Item = OsString>) -> Option<CommandSpec> {
    let mut command = CommandSpec::new(words.next()?);
    command.args = words.collect();
    Some(command)
}

/// Why no task of an orchestrator could start, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotStart(String);

/// Which plans an orchestrator executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plans {
    /// These. It is an error if one of them is not there.
    Named(Vec<PlanName>),
    /// All that are there when the orchestrator starts.
    All,
}

/// Whose commands an orchestrator runs. A process that can write a plan can write its commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandSource {
    /// A task's own; the orchestrator's, [`Options::command`], for tasks without one.
    #[default]
    Plan,
    /// The orchestrator's for all tasks; what a plan says is never run.
    Exec,
    /// None.
    None,
}

impl CommandSource {
    /// The name, as `--commands` takes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Exec => "exec",
            Self::None => "none",
        }
    }
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
