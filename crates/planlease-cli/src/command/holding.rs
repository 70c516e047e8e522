//! What `hold` and `lock` share: the command that a person has typed, and what people read about a hold.

use std::{ffi::OsString, fs::File, time::Duration};

use planlease::{Coordinator, Holder, PlanView, core::counted};
use planlease_orchestrator::{
    Attachment, Cause, CommandSpec, EntryPoint, Status, env,
    hold::{
        CommandFate, Conclusion, Hold, HoldError, Inherited, Lost, Notice, Patience, StopSignal, Wanted, Work,
    },
    shortage::SHORTAGE,
};

use super::{plumbing::SUPERVISOR, task::right::delegation};
use crate::{
    descriptors, environment::Environment, exit::Exit, failure::Failure, messages, output::plain,
    signals::Signals,
};

/// The status if no supervisor could be started.
const NO_SUPERVISOR: u8 = 126;

const NOT_STARTED: &str = "The command was not started.";

/// Why there is a lock delay.
pub(super) const CRASHED: &str = "the last ownership did not end in order";

/// What is held, in words.
pub(super) trait Subject {
    /// Its name: `release`, `lock git of release`.
    fn name(&self) -> String;

    /// What is said of its holder after "is": `owned by …`.
    fn describe(&self, holder: &Holder) -> String;

    /// The command that shows the holder and the queue.
    fn shown_by(&self) -> String;

    /// It was lost.
    fn lost(&self, lost: &Lost) -> Failure;

    /// It turned out to be lost when the command had ended.
    fn lost_at_the_end(&self) -> Failure;

    /// Why it is not free, as far as etcd answers: `is still owned by …`.
    fn still_held(&self, coordinator: &Coordinator) -> impl Future<Output = String>;
}

/// The command that a person has typed, and how long it may take to end.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) command: Vec<OsString>,
    pub(super) variables: Vec<(OsString, Option<OsString>)>,
    pub(super) grace: Duration,
}

impl Typed {
    /// The command with these variables besides.
    pub(super) fn spec(
        &self,
        own: impl IntoIterator<Item = (&'static str, Option<String>)>,
        inherited: (OsString, Option<OsString>),
    ) -> CommandSpec {
        // Whatever its input is: a command that asks its terminal for a password must be in the foreground
        // there.
        let terminal = File::open("/dev/tty").is_ok();
        let attachment = if terminal { Attachment::Terminal } else { Attachment::Inherited };
        let own = own.into_iter().map(|(name, value)| (OsString::from(name), value.map(OsString::from)));
        let mut words = self.command.iter().cloned(); // The command line requires at least one.
        let mut spec = CommandSpec::new(words.next().unwrap_or_default());
        spec.args = words.collect();
        spec.env = self.variables.iter().cloned().chain([inherited]).chain(own).collect();
        spec.grace = self.grace;
        spec.attachment = attachment;
        spec.open_files = descriptors::for_commands();
        spec
    }
}

/// What the commands above this process hold.
pub(super) fn inherited(environment: &Environment) -> Result<Inherited, Failure> {
    let delegation = delegation(environment)?;
    Inherited::read(environment.text(env::HELD).as_deref(), delegation.as_ref()).map_err(|error| {
        Failure::usage(format!("the variable {} cannot be read: {error}", env::HELD))
            .meaning("It is set by `planlease hold`, `lock` and `run` for their commands.")
    })
}

/// Holds what is wanted while the command runs; returns the status to end with.
pub(super) async fn run<W: Wanted>(
    coordinator: &Coordinator,
    inherited: Inherited,
    patience: Patience,
    wanted: &W,
    work: &(impl Work<W::Held> + Subject),
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let hold = Hold::new(coordinator, EntryPoint::of_this_program(SUPERVISOR));
    let concluded = hold.inherited(inherited).patience(patience).run(wanted, work, signals).await;
    match concluded {
        Ok(Conclusion::Ended(cause, status)) => exit(cause, status),
        Ok(Conclusion::Stopped(signal)) => Ok(Exit::Child(signal.status())),
        Ok(Conclusion::Lost(lost)) => Err(work.lost(&lost)),
        Ok(Conclusion::LostAtTheEnd) => Err(work.lost_at_the_end()),
        Err(HoldError::TimedOut) => Err(timed_out(work, coordinator).await),
        Err(error) => Err(failure(work, error)),
    }
}

pub(super) fn failure(subject: &impl Subject, error: HoldError) -> Failure {
    let name = subject.name();
    match error {
        HoldError::HeldAbove(_) => held_above(&name),
        HoldError::HeldBy(holder) => {
            Failure::new(Exit::OwnedByOther, format!("{name} is {}", subject.describe(&holder)))
                .meaning(NOT_STARTED)
                .remedy(format!(
                    "Without --no-wait it waits its turn; `{}` shows the queue.",
                    subject.shown_by()
                ))
        }
        HoldError::Etcd(error) => error.into(),
        HoldError::NotBegun(error) => Failure::from(error).meaning(NOT_STARTED),
        HoldError::Spawn(error) => {
            let code = if error.is_shortage() { SHORTAGE } else { NO_SUPERVISOR };
            Failure::new(Exit::Child(code), planlease::error_chain(&error)).meaning(NOT_STARTED)
        }
        HoldError::Environment(error) => Failure::json(&error),
        error => Failure::new(Exit::Unexpected, error.to_string()),
    }
}

/// Whether a command above this process owns the plan: it waits for this process.
pub(super) fn is_owned_above(plan: &PlanView, inherited: &Inherited) -> bool {
    plan.queue().candidates().first().is_some_and(|first| inherited.contains(first))
}

/// A command above this process holds it.
pub(super) fn held_above(name: &str) -> Failure {
    Failure::new(
        Exit::OwnedByOther,
        format!("cannot wait for {name}: a command that waits for this one has it"),
    )
    .meaning("Each would wait for the other for ever. Nothing was started.")
    .remedy("Use what that command has (`planlease task` works by its ownership), or run this after it.")
}

async fn timed_out(subject: &impl Subject, coordinator: &Coordinator) -> Failure {
    let why = subject.still_held(coordinator).await;
    Failure::new(Exit::TimedOut, format!("the time to wait is up; {} {why}", subject.name()))
        .meaning("The command was not started, and the process left the queue.")
        .remedy("Give a longer --wait, or none to wait as long as it takes.")
}

/// The status to end with, for a command that ended while it was held.
fn exit(cause: Cause, status: Status) -> Result<Exit, Failure> {
    match (cause, status) {
        (_, Status::Exited(code)) => Ok(Exit::Child(u8::try_from(code).unwrap_or(u8::MAX))),
        (_, Status::Signalled(signal)) => Ok(Exit::Child(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
        (Cause::Asked, Status::NotStarted { .. }) => Ok(Exit::Child(StopSignal::TERMINATE.status())),
        (_, Status::NotStarted { why, code }) => {
            Err(Failure::new(Exit::Child(code), why).meaning(NOT_STARTED))
        }
        (_, _) => Err(Failure::new(
            Exit::OutcomeUnknown,
            "the supervisor process of the command was killed, and the command with it",
        )
        .meaning("It is unknown how far the command came.")),
    }
}

/// What became of the command of a lost hold.
pub(super) fn describe_fate(command: &CommandFate) -> String {
    match command {
        CommandFate::NotStarted => NOT_STARTED.to_owned(),
        CommandFate::Ended(status) => format!("The command {status} at about the same time."),
        CommandFate::Killed => "The command and all that it had started were killed.".to_owned(),
    }
}

/// `2 waiting`
pub(super) fn waiting(holder: &Holder) -> String {
    match holder.waiting {
        0 => "the queue is empty".to_owned(),
        1 => "1 waiting".to_owned(),
        n => format!("{n} waiting"),
    }
}

/// Shows a notice to a person.
pub(super) fn show(subject: &impl Subject, notice: &Notice<'_>) {
    let name = subject.name();
    let line = match notice {
        Notice::Waiting(holder) => format!("waiting for {name}: it is {}", subject.describe(holder)),
        Notice::LockDelay(left) => {
            format!("waiting {:.1} s for the end of the lock delay: {CRASHED}", left.as_secs_f64())
        }
        Notice::PlaceLost(error) => {
            format!("lost the place in the queue: {}; trying again", planlease::error_chain(*error))
        }
        Notice::Recovered(tasks) => format!("recovered {} of lost claimants", counted(*tasks, "task")),
        Notice::Due(task, why) => {
            format!("task {} is {}: {}", task.id, task.record.status, plain(why))
        }
        Notice::NotDoneYet(why) => {
            format!("cannot do yet what is due in {name}: {}; trying again", plain(why))
        }
        Notice::ShortOfResources(error) => {
            format!("this host is short of resources: {}; trying again", planlease::error_chain(*error))
        }
        Notice::AskedToEnd => "asked the command to end; signal again to kill it".to_owned(),
        Notice::Survivors => "warning: processes that the command had started could not be killed".to_owned(),
        Notice::LostBeforeStart(lost) => {
            format!("{}; waiting in the queue again", subject.lost(lost).what())
        }
        Notice::NotBegun(error) => format!("{}; waiting in the queue again", planlease::error_chain(*error)),
        Notice::NotReleased(error) => {
            format!("could not release {name}: {}; it ends with the session", planlease::error_chain(*error))
        }
        _ => return,
    };
    messages::tell(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(cause: Cause, status: Status) -> Result<u8, (u8, String)> {
        exit(cause, status)
            .map(Exit::code)
            .map_err(|failure| (failure.exit().code(), failure.lines().collect()))
    }

    fn not_started(why: &str, code: u8) -> Status {
        Status::NotStarted { why: why.into(), code }
    }

    #[test]
    fn the_status_of_the_command_is_passed_on() {
        assert_eq!(ended(Cause::Itself, Status::Exited(0)), Ok(0));
        assert_eq!(ended(Cause::Itself, Status::Exited(3)), Ok(3));
        assert_eq!(ended(Cause::Asked, Status::Signalled(15)), Ok(143));
        assert_eq!(ended(Cause::Asked, not_started("late", 127)), Ok(143));
        let (code, said) = ended(Cause::Itself, not_started("cannot run `x`", 127)).unwrap_err();
        assert_eq!((code, said.as_str()), (127, "cannot run `x`The command was not started."));
        assert_eq!(ended(Cause::Itself, not_started("not executable", 126)).unwrap_err().0, 126);
        assert_eq!(ended(Cause::Deadline, Status::Unknown).unwrap_err().0, 103);
    }
}
