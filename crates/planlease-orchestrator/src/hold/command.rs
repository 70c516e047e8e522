//! The command under its supervisor: its deadline follows the session, a loss kills it, signals ask it to
//! end.

use std::time::Duration;

use planlease::{EntryPoint, Error, Loss};
use planlease_core::session::{LossReason, Status as SessionStatus};
use tokio::time::Instant;

use super::{
    lost::CommandFate,
    stop::{Forwarding, StopRequests, Wish},
    wanted::Held,
    work::{Notice, Work},
};
use crate::{
    child::{SpawnError, SupervisedChild, Supervisors},
    command::CommandSpec,
    ending::{Cause, Finished, Status},
    executor::extend,
};

/// How long a host may be short of resources before the command is not started.
const SHORT_FOR: Duration = Duration::from_secs(10);

/// The first pause before the next try then; each further one is twice as long.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// What became of the command, and of what was held for it.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) command: CommandFate,
}

/// How the command came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, or because it was asked to.
    Ended(Cause, Status),
    /// With the hold.
    Lost(Loss),
    /// With what etcd had to answer before the command.
    NotBegun(Error),
}

impl Ended {
    /// Ended before the command was started.
    pub(super) fn before_start(end: End) -> Self {
        Self { end, command: CommandFate::NotStarted }
    }

    /// Whether it ended before anything had been done that cannot be done another time.
    pub(super) fn may_be_repeated(&self) -> bool {
        match self.end {
            End::NotBegun(_) => true,
            End::Lost(Loss::Session(_)) => self.command == CommandFate::NotStarted,
            End::Lost(_) | End::Ended(..) => false,
        }
    }
}

/// Runs the command to its end.
pub(super) async fn run<H: Held>(
    spec: &CommandSpec,
    supervisor: &EntryPoint,
    held: &H,
    work: &impl Work<H>,
    stops: &mut impl StopRequests,
) -> Result<Ended, SpawnError> {
    let session = held.session();
    let supervisors = Supervisors::of_session(supervisor.clone(), session);
    let mut status = session.watch_status();
    extend(&supervisors, *status.borrow_and_update());
    let mut child = spawn(&supervisors, spec, held, work, stops).await?;
    let mut forwarding = Forwarding::new(spec.attachment);
    let mut loss = None;
    let finished = loop {
        tokio::select! {
            // Renewals first, so that the command is not killed for want of a message; then an end that is
            // there; and the loss before any signal.
            biased;
            Ok(()) = status.changed() => extend(&supervisors, *status.borrow_and_update()),
            finished = child.wait() => break finished.clone(),
            over = held.lost(), if loss.is_none() => {
                child.kill();
                loss = Some(over);
            }
            signal = stops.next_request() => {
                if forwarding.forward(signal, &child) == Wish::Terminate {
                    work.notice(Notice::AskedToEnd);
                }
            }
        }
    };
    if finished.survivors {
        work.notice(Notice::Survivors);
    }
    let loss = loss.or_else(|| seen_by_supervisor(finished.cause, &finished.status, session.status()));
    let command = fate(&finished);
    let end = loss.map_or(End::Ended(finished.cause, finished.status), End::Lost);
    Ok(Ended { end, command })
}

/// Starts the command. A host that is short of something is given time.
async fn spawn<H: Held>(
    supervisors: &Supervisors,
    spec: &CommandSpec,
    held: &H,
    work: &impl Work<H>,
    stops: &mut impl StopRequests,
) -> Result<SupervisedChild, SpawnError> {
    let (until, mut pause) = (Instant::now() + SHORT_FOR, SHORT_PAUSE);
    loop {
        let error = match supervisors.spawn(spec).await {
            Err(error) if error.is_shortage() && Instant::now() < until => error,
            spawned => return spawned,
        };
        if pause == SHORT_PAUSE {
            work.notice(Notice::ShortOfResources(&error));
        }
        tokio::select! {
            biased; // After a loss, or at a signal, nothing is to be started.
            _ = held.lost() => return Err(error),
            _ = stops.next_request() => return Err(error),
            () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2),
        }
    }
}

/// The loss that a supervisor has seen before this process did: it acts a moment earlier, even if this
/// process is paused. A supervisor that was killed itself is no loss.
fn seen_by_supervisor(cause: Cause, status: &Status, session: SessionStatus) -> Option<Loss> {
    match (cause, status, session) {
        (Cause::Deadline, _, SessionStatus::Lost(reason)) => Some(Loss::Session(reason)),
        (Cause::Deadline, status, SessionStatus::Live { .. }) if *status != Status::Unknown => {
            Some(Loss::Session(LossReason::DeadlinePassed))
        }
        _ => None,
    }
}

fn fate(finished: &Finished) -> CommandFate {
    match (finished.cause, &finished.status) {
        (_, Status::NotStarted { .. }) => CommandFate::NotStarted,
        (Cause::Itself, status) => CommandFate::Ended(status.clone()),
        (Cause::Asked | Cause::Deadline, _) => CommandFate::Killed,
    }
}

#[cfg(test)]
mod tests {
    use planlease_core::BootTime;

    use super::*;

    #[test]
    fn a_deadline_is_a_loss_and_a_killed_supervisor_is_none() {
        let live = SessionStatus::Live { deadline: BootTime::since_boot(Duration::from_secs(9)) };
        let gone = SessionStatus::Lost(LossReason::LeaseGone);
        let seen = |cause, status, session| seen_by_supervisor(cause, &status, session);
        let deadline = Some(Loss::Session(LossReason::DeadlinePassed));
        assert_eq!(seen(Cause::Deadline, Status::Signalled(9), live), deadline);
        let lost = seen(Cause::Deadline, Status::Signalled(9), gone);
        assert_eq!(lost, Some(Loss::Session(LossReason::LeaseGone)));
        assert_eq!(seen(Cause::Deadline, Status::Unknown, live), None);
        assert_eq!(seen(Cause::Itself, Status::Exited(0), gone), None);
    }
}
