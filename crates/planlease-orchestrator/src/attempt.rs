//! One attempt at one task: its command, and what came of it.

use std::{sync::Arc, time::Duration};

use planlease::{Ownership, TaskView, error_chain};
use planlease_core::spec::TaskSpec;
use planlease_observe::AttemptId;
use tokio::{sync::watch, time::Instant};
use tracing::Span;

use crate::{
    command::CommandSpec,
    ending::{Cause, Finished, Status},
    executor::{Commands, Running},
    inputs::{Inputs, InputsFile},
    options::{Options, env},
    shortage::SHORTAGE,
    trace,
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

impl Ask {
    /// Follows whether what runs is to end. What was to end is taken back with its reason, so that later
    /// attempts run, unless the caller `is_gone` and can want nothing more. Whether it has changed.
    pub(crate) fn follow(&mut self, is_to_end: bool, is_gone: bool) -> bool {
        let next = match *self {
            Self::Run if is_to_end => Self::Terminate,
            Self::Terminate if !is_to_end && !is_gone => Self::Run,
            present => present,
        };
        std::mem::replace(self, next) != next
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) started: TaskView,
    pub(crate) end: End,
    pub(crate) took: Duration,
    pub(crate) output: String,
    /// The span of the attempt, until its end is recorded.
    pub(crate) span: Span,
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Well.
    Completed,
    /// By our signal, since its time was up.
    Failed(String),
    /// By itself and not well, with this status.
    FailedWith(Status, String),
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

impl End {
    /// The word for it in traces.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed(_) | Self::FailedWith(..) => "failed",
            Self::Stopped => "returned",
            Self::NotStarted(_) | Self::Short(_) => "not_started",
            Self::Lost(_) => "lost",
        }
    }
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
    span: &Span,
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
    // A variable cannot have NUL in it.
    let progress = started.record.last_progress.as_ref().map(|progress| progress.replace('\0', ""));
    command.env.clone_from(&options.env);
    command.env.extend(own.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
    command.env.push((env::LAST_PROGRESS.into(), progress.map(Into::into)));
    let context = planlease::trace::context(span);
    let traced = trace::variables(context.as_ref());
    command.env.extend(traced.map(|(name, value)| (name.into(), value.map(Into::into))));
    command.env.push((env::INPUTS.into(), None)); // Set when its file is there.
    command.grace = options.grace;
    command.record = options.outputs.as_ref().map(|outputs| {
        let (plan, token) = (ownership.plan().clone(), ownership.token());
        outputs.place(&AttemptId { plan, task: spec.id.clone(), attempt: started.record.attempt, token })
    });
    Ok(command)
}

/// Runs the command of an attempt to its end. `overdue`: why it is to be ended, as soon as it is.
pub(crate) async fn run(
    commands: Arc<dyn Commands>,
    command: std::result::Result<CommandSpec, String>,
    inputs: Option<Inputs>,
    (started, span): (TaskView, Span),
    mut overdue: watch::Receiver<Option<String>>,
    mut ask: watch::Receiver<Ask>,
) -> Result {
    let began = Instant::now();
    let not_started = |why: String| (End::NotStarted(why), String::new());
    let prepared = tokio::select! {
        biased; // What is to end is not started.
        _ = ask.wait_for(|ask| *ask != Ask::Run), if inputs.is_some() => None,
        prepared = with_inputs(command, inputs.as_ref()) => Some(prepared),
    };
    let Some((command, _file)) = prepared else {
        return Result { started, end: End::Stopped, took: began.elapsed(), output: String::new(), span };
    };
    let (end, output) = match command {
        Err(why) => not_started(why),
        Ok(command) => match commands.spawn(&command).await {
            Ok(child) => follow(child, &mut overdue, &mut ask).await,
            Err(error) if error.is_shortage() => (End::Short(error_chain(&error)), String::new()),
            Err(error) => not_started(error_chain(&error)),
        },
    };
    Result { started, end, took: began.elapsed(), output, span }
}

/// The command with the path of its inputs, and their file, which lasts as long as it is held.
async fn with_inputs(
    command: std::result::Result<CommandSpec, String>,
    inputs: Option<&Inputs>,
) -> (std::result::Result<CommandSpec, String>, Option<InputsFile>) {
    let (mut command, inputs) = match (command, inputs) {
        (Ok(command), Some(inputs)) => (command, inputs),
        (command, _) => return (command, None),
    };
    match inputs.write().await {
        Ok(file) => {
            command.env.push((env::INPUTS.into(), Some(file.path().into())));
            (Ok(command), Some(file))
        }
        Err(why) => (Err(why), None),
    }
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
        (Cause::Itself, status, _) => End::FailedWith(status.clone(), with_output(status, &finished.output)),
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
    fn what_was_to_end_is_taken_back_with_its_reason() {
        let mut ask = Ask::Run;
        // Whether what runs is to end, and the caller is gone; what is asked then, and whether that is new.
        let table = [
            (false, false, Ask::Run, false),
            (true, false, Ask::Terminate, true),
            (true, false, Ask::Terminate, false),
            (false, false, Ask::Run, true),
            (true, false, Ask::Terminate, true),
            (false, true, Ask::Terminate, false),
            (false, false, Ask::Run, true),
        ];
        for (is_to_end, is_gone, expected, is_new) in table {
            assert_eq!((ask.follow(is_to_end, is_gone), ask), (is_new, expected), "{is_to_end}, {is_gone}");
        }
        let mut ask = Ask::Kill;
        assert!(!ask.follow(false, false) && !ask.follow(true, false), "a loss is for ever");
    }

    #[test]
    fn only_a_command_that_ended_by_itself_has_a_result() {
        let end = |cause, status, overdue: Option<&str>| {
            judge(&Finished::new(cause, status, "last line\n".into()), overdue.map(str::to_owned))
        };
        let failed = |why: &str| End::Failed(why.to_owned());
        assert_eq!(end(Cause::Itself, Status::Exited(0), None), End::Completed);
        assert_eq!(end(Cause::Itself, Status::Exited(0), Some("late")), End::Completed, "it was faster");
        let with_status = End::FailedWith(Status::Exited(3), "exited with code 3: last line".into());
        assert_eq!(end(Cause::Itself, Status::Exited(3), None), with_status);
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
