//! The command under its guard: started by a right that hangs on a session, prolonged with it, killed at a
//! loss, asked to end by signals.

use std::{ffi::OsString, fs::File, time::Duration};

use planlease::{
    Error, Lock, Loss, Ownership, Session,
    core::session::{LossReason, Status as SessionStatus},
};
use planlease_orchestrator::{
    Attachment, Cause, CommandSpec, EntryPoint, Finished, GuardedChild, Guards, SpawnError, Status, env,
    shortage::SHORTAGE,
};
use tokio::time::Instant;

use crate::{
    command::plumbing,
    descriptors,
    exit::Exit,
    failure::{Failure, with_cause},
    output,
    signals::{Asked, Signals},
};

/// How long before the session's deadline the command is killed: what killing a process group may take on a
/// busy host.
const KILL_ALLOWANCE: Duration = Duration::from_millis(100);

/// How long a host may be short of resources before the command is not started.
const SHORT_FOR: Duration = Duration::from_secs(10);

/// The first pause before the next try then; each further one is twice as long.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// The status if no supervisor process could be started.
const NO_GUARD: u8 = 126;

const NOT_BEGUN: &str = "The command was not started.";

/// What a command runs by, and not without.
pub(in crate::command) trait Right {
    /// What it hangs on.
    fn session(&self) -> &Session;

    /// Waits until it is lost.
    fn lost(&self) -> impl Future<Output = Loss>;
}

impl Right for Ownership {
    fn session(&self) -> &Session {
        self.session()
    }

    fn lost(&self) -> impl Future<Output = Loss> {
        self.lost()
    }
}

impl Right for Lock {
    fn session(&self) -> &Session {
        self.session()
    }

    fn lost(&self) -> impl Future<Output = Loss> {
        self.lost()
    }
}

/// What became of the command, and of the right to run it.
#[derive(Debug)]
pub(in crate::command) struct Ended {
    pub(in crate::command) end: End,
    /// What became of the command, as a sentence.
    pub(in crate::command) command: String,
    started: bool,
}

impl Ended {
    /// The plan could not be made ready for the command.
    pub(super) fn not_begun(error: Error) -> Self {
        Self { end: End::NotBegun(error), command: NOT_BEGUN.to_owned(), started: false }
    }

    /// The plan was lost while it was made ready.
    pub(super) fn lost_before_the_start(loss: Loss) -> Self {
        Self { end: End::Lost(loss), command: NOT_BEGUN.to_owned(), started: false }
    }

    /// Whether it came to an end before anything had been done that cannot be done another time.
    pub(in crate::command) fn is_before_the_start(&self) -> bool {
        match self.end {
            End::NotBegun(_) => true,
            End::Lost(Loss::Session(_)) => !self.started,
            End::Lost(_) | End::Ended(..) => false,
        }
    }
}

/// How it came to its end.
#[derive(Debug)]
pub(in crate::command) enum End {
    /// By itself, or because it was asked to.
    Ended(Cause, Status),
    /// With the ownership.
    Lost(Loss),
    /// With what had to be asked of etcd first.
    NotBegun(Error),
}

/// What the command of an owner is told. What a task of a plan would be told, and was told to us, is taken
/// away.
pub(super) fn of_owner(ownership: &Ownership) -> Result<[(&'static str, Option<String>); 6], Failure> {
    let right = serde_json::to_string(&ownership.delegate()).map_err(|error| Failure::json(&error))?;
    Ok([
        (env::PLAN, Some(ownership.plan().to_string())),
        (env::FENCING_TOKEN, Some(ownership.token().to_string())),
        (env::OWNERSHIP, Some(right)),
        (env::TASK, None),
        (env::DESCRIPTION, None),
        (env::ATTEMPT, None),
    ])
}

/// The command with everything that it is told.
pub(in crate::command) fn spec(
    command: &[OsString],
    variables: &[(OsString, Option<OsString>)],
    own: impl IntoIterator<Item = (&'static str, Option<String>)>,
    grace: Duration,
) -> Result<CommandSpec, Failure> {
    let [program, args @ ..] = command else { return Err(Failure::usage("no command is given")) };
    // Whatever its input is: a command that asks its terminal for a password must be in the foreground there.
    let terminal = File::open("/dev/tty").is_ok();
    let attachment = if terminal { Attachment::Terminal } else { Attachment::Inherited };
    let own = own.into_iter().map(|(name, value)| (OsString::from(name), value.map(OsString::from)));
    Ok(CommandSpec {
        args: args.to_vec(),
        env: variables.iter().cloned().chain(own).collect(),
        grace,
        attachment,
        open_files: descriptors::for_commands(),
        ..CommandSpec::new(program)
    })
}

/// Starts it. A host that is short of something is given time.
async fn spawn(
    guards: &Guards,
    spec: &CommandSpec,
    right: &impl Right,
    signals: &mut Signals,
) -> Result<GuardedChild, SpawnError> {
    let (until, mut pause) = (Instant::now() + SHORT_FOR, SHORT_PAUSE);
    loop {
        let error = match guards.spawn(spec).await {
            Err(error) if error.is_shortage() && Instant::now() < until => error,
            spawned => return spawned,
        };
        if pause == SHORT_PAUSE {
            output::tell(&format!("this host is short of resources: {}; trying again", with_cause(&error)));
        }
        tokio::select! {
            biased; // Without the right, or with the wish to end, nothing is to be started.
            _ = right.lost() => return Err(error),
            _ = signals.which() => return Err(error),
            () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2),
        }
    }
}

/// Runs it to its end.
pub(in crate::command) async fn run(
    spec: &CommandSpec,
    right: &impl Right,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let guards = Guards::new(EntryPoint::of_this_program(plumbing::GUARD));
    let session = right.session();
    let mut status = session.watch_status();
    extend(&guards, *status.borrow_and_update());
    let mut child = spawn(&guards, spec, right, signals).await.map_err(|error| {
        let code = if error.is_shortage() { SHORTAGE } else { NO_GUARD };
        Failure::new(Exit::Child(code), with_cause(&error)).meaning(NOT_BEGUN)
    })?;
    let mut passing_on = PassingOn::new(spec.attachment);
    let mut loss = None;
    let finished = loop {
        tokio::select! {
            // Renewals first, so that the command is not killed for want of a message; then an end that is
            // there; and the loss before what anybody wants.
            biased;
            Ok(()) = status.changed() => extend(&guards, *status.borrow_and_update()),
            finished = child.wait() => break finished.clone(),
            over = right.lost(), if loss.is_none() => {
                child.kill();
                loss = Some(over);
            }
            asked = signals.which() => passing_on.pass(asked, &child),
        }
    };
    if finished.survivors {
        output::tell("warning: processes that the command had started could not be killed");
    }
    let loss = loss.or_else(|| behind(finished.cause, &finished.status, session.status()));
    let command = describe(&finished);
    let started = !matches!(finished.status, Status::NotStarted { .. });
    let end = loss.map_or(End::Ended(finished.cause, finished.status), End::Lost);
    Ok(Ended { end, command, started })
}

fn extend(guards: &Guards, status: SessionStatus) {
    if let SessionStatus::Live { deadline } = status {
        guards.extend(deadline.minus(KILL_ALLOWANCE));
    }
}

/// The loss that a guard has seen before we did: it acts a moment earlier, and whatever happens to us. A
/// guard that was killed itself is none.
fn behind(cause: Cause, status: &Status, session: SessionStatus) -> Option<Loss> {
    match (cause, status, session) {
        (Cause::Deadline, _, SessionStatus::Lost(reason)) => Some(Loss::Session(reason)),
        (Cause::Deadline, status, SessionStatus::Live { .. }) if *status != Status::Unknown => {
            Some(Loss::Session(LossReason::DeadlinePassed))
        }
        _ => None,
    }
}

fn describe(finished: &Finished) -> String {
    match (finished.cause, &finished.status) {
        (_, Status::NotStarted { .. }) => NOT_BEGUN.to_owned(),
        (Cause::Itself, status) => format!("The command {status} at about the same time."),
        (Cause::Asked | Cause::Deadline, _) => {
            "The command and all that it had started were killed.".to_owned()
        }
    }
}

/// The status to end with, for a command that ended while the plan was ours.
pub(in crate::command) fn exit(ended: Ended) -> Result<Exit, Failure> {
    let End::Ended(cause, status) = ended.end else {
        return Err(Failure::new(Exit::RightGone, ended.command)); // Told in more detail by whoever has the ownership.
    };
    match (cause, status) {
        (_, Status::Exited(code)) => Ok(Exit::Child(u8::try_from(code).unwrap_or(u8::MAX))),
        (_, Status::Signalled(signal)) => Ok(Exit::Child(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
        (Cause::Asked, Status::NotStarted { .. }) => Ok(Exit::Child(Asked::TERMINATE.status())),
        (_, Status::NotStarted { why, code }) => Err(Failure::new(Exit::Child(code), why).meaning(NOT_BEGUN)),
        (_, _) => Err(Failure::new(
            Exit::OutcomeUnknown,
            "the guard of the command was killed, and the command with it",
        )
        .meaning("Nobody knows how far the command came.")),
    }
}

/// What is done about signals.
#[derive(Debug)]
struct PassingOn {
    attachment: Attachment,
    asked: bool,
}

/// What a signal makes of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Terminate,
    Kill,
}

impl PassingOn {
    fn new(attachment: Attachment) -> Self {
        Self { attachment, asked: false }
    }

    fn pass(&mut self, asked: Asked, child: &GuardedChild) {
        match self.wish(asked) {
            Wish::Nothing => {}
            Wish::Terminate => {
                output::tell("asked the command to end; once more to kill it");
                child.terminate();
            }
            Wish::Kill => child.kill(),
        }
    }

    /// On a terminal Ctrl-C and Ctrl-\\ reach the command anyway, which may use it for something else than to
    /// end.
    fn wish(&mut self, asked: Asked) -> Wish {
        match (asked, self.attachment, self.asked) {
            (Asked::INTERRUPT | Asked::QUIT, Attachment::Terminal, _) => Wish::Nothing,
            (_, _, false) => {
                self.asked = true;
                Wish::Terminate
            }
            (_, _, true) => Wish::Kill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(cause: Cause, status: Status) -> Result<u8, (u8, String)> {
        let ended = Ended { end: End::Ended(cause, status), command: String::new(), started: true };
        exit(ended).map(Exit::code).map_err(|failure| (failure.exit().code(), failure.lines().collect()))
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

    #[test]
    fn the_second_signal_kills_and_ctrl_c_goes_to_the_command() {
        let wishes = |attachment, signals: [Asked; 3]| {
            let mut passing_on = PassingOn::new(attachment);
            signals.map(|asked| passing_on.wish(asked))
        };
        let (int, term) = (Asked::INTERRUPT, Asked::TERMINATE);
        let inherited = wishes(Attachment::Inherited, [int, term, int]);
        assert_eq!(inherited, [Wish::Terminate, Wish::Kill, Wish::Kill]);
        let terminal = wishes(Attachment::Terminal, [int, term, term]);
        assert_eq!(terminal, [Wish::Nothing, Wish::Terminate, Wish::Kill]);
    }

    #[test]
    fn a_deadline_is_a_loss_and_a_killed_supervisor_is_none() {
        let live =
            SessionStatus::Live { deadline: planlease::core::BootTime::since_boot(Duration::from_secs(9)) };
        let gone = SessionStatus::Lost(LossReason::LeaseGone);
        let deadline = Some(Loss::Session(LossReason::DeadlinePassed));
        assert_eq!(behind(Cause::Deadline, &Status::Signalled(9), live), deadline);
        assert_eq!(
            behind(Cause::Deadline, &Status::Signalled(9), gone),
            Some(Loss::Session(LossReason::LeaseGone))
        );
        assert_eq!(behind(Cause::Deadline, &Status::Unknown, live), None);
        assert_eq!(behind(Cause::Itself, &Status::Exited(0), gone), None);
    }
}
