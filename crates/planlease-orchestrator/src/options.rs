//! The options of an orchestrator: plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use planlease::{Identity, MAX_HELD, PlanView};
use planlease_core::{
    PlanName, TaskId,
    offer::{MAX_NAMED, NotOffered, Offer},
    selector::Selector,
    spec::TaskSpec,
    transition::TaskStatus,
};
use planlease_observe::{LogServer, Outputs};

use crate::{command::CommandSpec, executor::Executor, fitness};

/// How to orchestrate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Which plans to own and execute.
    pub plans: Plans,
    /// Which of those plans, by their labels. Default: all.
    pub select: Selector,
    /// Which of their tasks, by their labels. The others are left to claimants. Default: all.
    pub task_select: Selector,
    /// What this orchestrator can do, of what tasks need. Default: nothing.
    pub can: BTreeSet<String>,
    /// How many tasks run at once, over all plans. At least 1, the default.
    pub jobs: usize,
    /// How many plans are owned at once: at least 1, and [`MAX_HELD`] at most, the default.
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
    /// Where an attempt finds what the tasks before it have left, in a file of its own. `None`: they get no
    /// such file.
    pub inputs: Option<PathBuf>,
    /// How long a task has between SIGTERM and SIGKILL. Default: 10 s.
    pub grace: Duration,
    /// Where commands run; usually the [`EntryPoint`](crate::EntryPoint) of the supervisors.
    pub executor: Arc<dyn Executor>,
    /// Where the output of attempts is kept on this host, and how long. Default: nowhere; etcd has the
    /// beginning and the end of the last one.
    pub outputs: Option<Outputs>,
    /// Serves that output to readers on other hosts, who find it beside the registration. Default: none.
    pub log_server: Option<Arc<LogServer>>,
    /// Who this process is. Each session gets a name of its own if it has none.
    pub identity: Identity,
}

impl Options {
    /// Settings for these plans, with an executor for their commands; everything else has its default.
    #[must_use]
    pub fn new(plans: Plans, executor: Arc<dyn Executor>) -> Self {
        Self {
            plans,
            select: Selector::default(),
            task_select: Selector::default(),
            can: BTreeSet::new(),
            jobs: 1,
            max_plans: MAX_HELD,
            command: None,
            commands: CommandSource::Plan,
            open_files: None,
            env: Vec::new(),
            dir: None,
            search_path: None,
            inputs: None,
            grace: Duration::from_secs(10),
            executor,
            outputs: None,
            log_server: None,
            identity: Identity::of_process(),
        }
    }

    /// Sets which plans are executed, by their labels.
    #[must_use]
    pub fn select(self, select: Selector) -> Self {
        Self { select, ..self }
    }

    /// Sets which tasks are run, by their labels.
    #[must_use]
    pub fn task_select(self, task_select: Selector) -> Self {
        Self { task_select, ..self }
    }

    /// Sets what this orchestrator can do, of what tasks need.
    #[must_use]
    pub fn can(self, can: BTreeSet<String>) -> Self {
        Self { can, ..self }
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

    /// Sets the folder for files with what the tasks before a task have left.
    #[must_use]
    pub fn inputs(self, folder: impl Into<Option<PathBuf>>) -> Self {
        Self { inputs: folder.into(), ..self }
    }

    /// Sets how long a task has between SIGTERM and SIGKILL.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets where the output of attempts is kept.
    #[must_use]
    pub fn outputs(self, outputs: impl Into<Option<Outputs>>) -> Self {
        Self { outputs: outputs.into(), ..self }
    }

    /// Sets what serves the output of attempts to readers on other hosts.
    #[must_use]
    pub fn log_server(self, server: impl Into<Option<Arc<LogServer>>>) -> Self {
        Self { log_server: server.into(), ..self }
    }

    /// Sets the identity of this process.
    #[must_use]
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// How many plans are owned at once; no session owns more than [`MAX_HELD`].
    pub(crate) fn most_plans(&self) -> usize {
        self.max_plans.clamp(1, MAX_HELD)
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

    /// What this orchestrator runs, as its registration shows it to others.
    #[must_use]
    pub fn offer(&self) -> Offer {
        let plans = match &self.plans {
            Plans::Named(names) if names.len() <= MAX_NAMED => Some(names.iter().cloned().collect()),
            Plans::Named(_) | Plans::All | Plans::Follow => None,
        };
        let own = self.command.is_some() && self.commands != CommandSource::None;
        Offer {
            can: self.can.clone(),
            plans,
            select: self.select.clone(),
            task_select: self.task_select.clone(),
            with_command: self.commands == CommandSource::Plan || own,
            without_command: own,
            ..Offer::default()
        }
    }

    /// Whether tasks which are not for this orchestrator are left to claimants without a word: it was said
    /// which ones are, or it takes whatever plans there are. Else one without a command is a mistake.
    fn is_choosy(&self) -> bool {
        self.plans == Plans::Follow || !self.task_select.is_empty() || !self.can.is_empty()
    }

    /// Checks whether this orchestrator could run a task.
    ///
    /// # Errors
    /// Why it could not, as a sentence.
    pub(crate) fn check_task(&self, task: &TaskSpec) -> Result<(), String> {
        let own = task.command.as_deref();
        let command = self.plain_command(own).ok_or_else(|| self.no_command(&task.id, own))?;
        let Some(path) = &self.search_path else { return Ok(()) };
        fitness::check_program(&command, path)
    }

    /// Checks whether this orchestrator could do anything in the plan.
    ///
    /// # Errors
    /// Why it could not, as a sentence: an open task has no command, or no open task's program is here.
    pub(crate) fn check_plan(&self, plan: &PlanView) -> Result<(), String> {
        self.fitness()?;
        let (offer, mut left) = (self.offer(), None);
        let open = plan.spec().tasks.iter().filter(|task| {
            let status = plan.status(&task.id);
            status.is_some_and(|status| !matches!(status, TaskStatus::Completed | TaskStatus::Skipped))
        });
        let mut known = BTreeMap::new();
        for task in open {
            let own = task.command.as_deref();
            match offer.takes_task(task) {
                Err(NotOffered::Command | NotOffered::NoCommand) if !self.is_choosy() => {}
                Err(why) => {
                    left.get_or_insert_with(|| {
                        format!("task {} is not for this orchestrator: {why}", task.id)
                    });
                    continue;
                }
                Ok(()) => {}
            }
            let command = self.plain_command(own).ok_or_else(|| self.no_command(&task.id, own))?;
            let Some(path) = &self.search_path else { continue };
            known.entry(command.program.clone()).or_insert_with(|| fitness::check_program(&command, path));
        }
        // Where some can be run, the others are found out about one by one: another host may have their
        // programs.
        match known.values().find(|found| found.is_ok()).or_else(|| known.values().next()) {
            Some(Err(why)) => Err(why.clone()),
            // Without any that are its own, those of others are in progress or wait.
            None => left.map_or(Ok(()), Err),
            Some(Ok(())) => Ok(()),
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
    /// All that are there when the orchestrator starts. It ends when nothing is left to be done in them.
    All,
    /// All, also those that come later. The orchestrator stays up until it is asked to stop, and takes a plan
    /// only if it has a free job for it.
    Follow,
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
    /// What the attempt before this one said last of its progress, if it was lost or failed.
    pub const LAST_PROGRESS: &str = "PLANLEASE_LAST_PROGRESS";
    /// The path of a JSON file with what the tasks that it depends on have left: notes, findings, output.
    pub const INPUTS: &str = "PLANLEASE_INPUTS";
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
    /// The span that a command continues, as W3C Trace Context has it (`traceparent`).
    pub const TRACEPARENT: &str = "TRACEPARENT";
    /// What tracing systems say about it (`tracestate`).
    pub const TRACESTATE: &str = "TRACESTATE";
}
