//! One attempt at one task: its command, and what came of it.

use std::{ffi::OsString, sync::Arc, time::Duration};

use planlease::{Ownership, TaskView};
use planlease_core::{TaskId, spec::TaskSpec};
use tokio::{sync::watch, time::Instant};

use crate::{
    child::Finished,
    command::CommandSpec,
    control::{Cause, Status},
    executor::{Commands, Running},
    options::{Options, TaskCommand, env},
};

/// What the runner wants of the attempts that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    /// Go on.
    Run,
    /// Come to an end: SIGTERM, and SIGKILL after the grace.
    Terminate,
    /// The right to run is gone: SIGKILL.
    Kill,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) started: TaskView,
    pub(crate) end: End,
    pub(crate) took: Duration,
    pub(crate) output: String,
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Well.
    Completed,
    /// By itself, but not well.
    Failed(String),
    /// We stopped it: it neither completed nor failed.
    Stopped,
}

/// The command of a task, with everything that tells the task what it is. `None` if nobody says what to run.
pub(crate) fn command(
    options: &Options,
    ownership: &Ownership,
    spec: &TaskSpec,
    started: &TaskView,
) -> Option<CommandSpec> {
    let mut command = match (&spec.command, &options.command) {
        (Some(words), _) => program(words.iter().map(OsString::from))?,
        (None, Some(TaskCommand::Program(words))) => program(words.iter().cloned())?,
        (None, Some(TaskCommand::Shell(script))) => CommandSpec::shell(script),
        (None, None) => return None,
    };
    let delegation = serde_json::to_string(&ownership.delegate()).ok()?;
    let own = [
        (env::PLAN, ownership.plan().to_string()),
        (env::TASK, spec.id.to_string()),
        (env::DESCRIPTION, spec.description.clone()),
        (env::ATTEMPT, started.record.attempt.to_string()),
        (env::FENCING_TOKEN, ownership.token().to_string()),
        (env::OWNERSHIP, delegation),
    ];
    command.env = options.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    command.env.extend(own.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
    command.dir.clone_from(&options.dir);
    command.grace = options.grace;
    Some(command)
}

fn program(mut words: impl Iterator<Item = OsString>) -> Option<CommandSpec> {
    let mut command = CommandSpec::new(words.next()?);
    command.args = words.collect();
    Some(command)
}

/// Runs the command of an attempt to its end. `overdue`: why it is to be ended, as soon as it is.
pub(crate) async fn run(
    commands: Arc<dyn Commands>,
    command: Option<CommandSpec>,
    started: TaskView,
    mut overdue: watch::Receiver<Option<String>>,
    mut ask: watch::Receiver<Ask>,
) -> Result {
    let began = Instant::now();
    let fail = |why: String| (End::Failed(why), String::new());
    let (end, output) = match command {
        None => fail(no_command(&started.id)),
        Some(command) => match commands.spawn(&command).await {
            Ok(child) => follow(child, &mut overdue, &mut ask).await,
            Err(error) => fail(chain(&error)),
        },
    };
    Result { started, end, took: began.elapsed(), output }
}

fn no_command(task: &TaskId) -> String {
    format!(
        "nobody says what to run for task {task}: give the task a command, or the orchestrator a default one"
    )
}

async fn follow(
    mut child: Box<dyn Running>,
    overdue: &mut watch::Receiver<Option<String>>,
    ask: &mut watch::Receiver<Ask>,
) -> (End, String) {
    loop {
        tokio::select! {
            biased; // An end that is there counts, whatever was asked for meanwhile.
            finished = child.wait() => {
                let why = overdue.borrow().clone();
                return (judge(finished, why), finished.output.clone());
            }
            asked = ask.changed() => match (asked, *ask.borrow_and_update()) {
                (Ok(()), Ask::Run) => {}
                (Ok(()), Ask::Terminate) => child.terminate(),
                (Ok(()), Ask::Kill) | (Err(_), _) => child.kill(),
            },
            Ok(()) = overdue.changed() => child.terminate(),
        }
    }
}

fn judge(finished: &Finished, overdue: Option<String>) -> End {
    match (finished.cause, &finished.status, overdue) {
        (_, Status::Exited(0), _) => End::Completed,
        (Cause::Asked, _, Some(why)) => End::Failed(why),
        (Cause::Asked | Cause::Deadline, _, _) => End::Stopped,
        (Cause::Itself, status, _) => End::Failed(with_output(status, &finished.output)),
    }
}

/// The status, and the last line that the command wrote: what people want to know first.
fn with_output(status: &Status, output: &str) -> String {
    let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.trim().chars().take(200).collect();
    if last.is_empty() { status.to_string() } else { format!("{status}: {last}") }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
