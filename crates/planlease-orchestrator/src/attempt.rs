//! One attempt at one task: its command, and what came of it.

use std::{sync::Arc, time::Duration};

use planlease::{Ownership, TaskView, error_chain};
use planlease_core::spec::TaskSpec;
use tokio::{sync::watch, time::Instant};

use crate::{
    command::CommandSpec,
    ending::{Cause, Finished, Status},
    executor::{Commands, Running},
    options::{Options, env},
    shortage::SHORTAGE,
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
    /// By itself but not well, or by our signal since its time was up.
    Failed(String),
    /// We stopped it: it neither completed nor failed.
    Stopped,
    /// Its command did not start, for this reason: nothing was done, and no retry is used.
    NotStarted(String),
    /// Its command did not start since this host is short of something. Nothing was done, and it may start
    /// later.
    Short(String),
    /// Its command was killed, and it is unknown how far it came: its supervisor process died, or the
    /// session's deadline passed.
    Lost(String),
}

/// The command of a task, with the environment that describes the task to it.
///
/// # Errors
/// Why there is none to run.
pub(crate) fn command(
    options: &Options,
    ownership: &Ownership,
    spec: &TaskSpec,
    started: &TaskView,
) -> std::result::Result<CommandSpec, String> {
    let own = spec.command.as_deref();
    let mut command = options.plain_command(own).ok_or_else(|| options.no_command(&spec.id, own))?;
    let delegation = serde_json::to_string(&ownership.delegate()).map_err(|error| error.to_string())?;
    let own = [
        (env::PLAN, ownership.plan().to_string()),
        (env::TASK, spec.id.to_string()),
        (env::DESCRIPTION, spec.description.clone()),
        (env::ATTEMPT, started.record.attempt.to_string()),
        (env::FENCING_TOKEN, ownership.token().to_string()),
        (env::OWNERSHIP, delegation),
    ];
    command.env.clone_from(&options.env);
    command.env.extend(own.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
    command.grace = options.grace;
    Ok(command)
}

/// Runs the command of an attempt to its end. `overdue`: why it is to be ended, as soon as it is.
pub(crate) async fn run(
    commands: Arc<dyn Commands>,
    command: std::result::Result<CommandSpec, String>,
    started: TaskView,
    mut overdue: watch::Receiver<Option<String>>,
    mut ask: watch::Receiver<Ask>,
) -> Result {
    let began = Instant::now();
    let not_started = |why: String| (End::NotStarted(why), String::new());
    let (end, output) = match command {
        Err(why) => not_started(why),
        Ok(command) => match commands.spawn(&command).await {
            Ok(child) => follow(child, &mut overdue, &mut ask).await,
            Err(error) if error.is_shortage() => (End::Short(error_chain(&error)), String::new()),
            Err(error) => not_started(error_chain(&error)),
        },
    };
    Result { started, end, took: began.elapsed(), output }
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

/// Judges an attempt by how its command ended. Only a command that ended by itself has a result: what a
/// command makes of a signal of ours, an exit with status 0 too, says nothing about the work.
fn judge(finished: &Finished, overdue: Option<String>) -> End {
    match (finished.cause, &finished.status, overdue) {
        (Cause::Itself, Status::NotStarted { why, code: SHORTAGE }, _) => End::Short(why.clone()),
        (Cause::Itself, Status::NotStarted { why, .. }, _) => End::NotStarted(why.clone()),
        (Cause::Itself, Status::Exited(0), _) => End::Completed,
        (Cause::Itself, status, _) => End::Failed(with_output(status, &finished.output)),
        (_, Status::NotStarted { .. }, Some(why)) => End::NotStarted(why),
        (_, _, Some(why)) => End::Failed(why),
        (_, Status::NotStarted { .. }, None) | (Cause::Asked, _, None) => End::Stopped,
        (Cause::Deadline, Status::Unknown, None) => {
            End::Lost("the supervisor process of its command died, and the command with it".to_owned())
        }
        (Cause::Deadline, _, None) => {
            End::Lost("its command was killed at the deadline of the session".to_owned())
        }
    }
}

/// The status, and the last line that the command wrote: what people want to know first.
fn with_output(status: &Status, output: &str) -> String {
    let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.trim().chars().take(200).collect();
    if last.is_empty() { status.to_string() } else { format!("{status}: {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_that_ended_by_itself_has_a_result() {
        let end = |cause, status, overdue: Option<&str>| {
            judge(&Finished::new(cause, status, "last line\n".into()), overdue.map(str::to_owned))
        };
        let failed = |why: &str| End::Failed(why.to_owned());
        assert_eq!(end(Cause::Itself, Status::Exited(0), None), End::Completed);
        assert_eq!(end(Cause::Itself, Status::Exited(0), Some("late")), End::Completed, "it was faster");
        assert_eq!(end(Cause::Itself, Status::Exited(3), None), failed("exited with code 3: last line"));
        for status in [Status::Exited(0), Status::Exited(3), Status::Signalled(15), Status::Unknown] {
            assert_eq!(end(Cause::Asked, status.clone(), Some("late")), failed("late"), "{status}");
            assert_eq!(end(Cause::Asked, status.clone(), None), End::Stopped, "{status}");
            assert!(matches!(end(Cause::Deadline, status, None), End::Lost(_)));
        }
        let not_started = || Status::NotStarted { why: "no such file".into(), code: 127 };
        assert_eq!(end(Cause::Itself, not_started(), None), End::NotStarted("no such file".into()));
        let short = Status::NotStarted { why: "too many open files".into(), code: SHORTAGE };
        assert_eq!(end(Cause::Itself, short, None), End::Short("too many open files".into()));
        assert_eq!(end(Cause::Asked, not_started(), Some("late")), End::NotStarted("late".into()));
        assert_eq!(end(Cause::Asked, not_started(), None), End::Stopped);
        assert_eq!(end(Cause::Deadline, not_started(), None), End::Stopped);
    }
}
