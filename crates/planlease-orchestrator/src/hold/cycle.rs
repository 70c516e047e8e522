//! One hold from its queue to its release, repeated if it is lost before the command started.

use std::time::Duration;

use planlease::{Coordinator, EntryPoint, Error, Holder, Loss};

use super::{
    command::{self, End, Ended},
    inherited::Inherited,
    lost::Lost,
    patience::Patience,
    queue::{self, Turn, is_passing},
    session::close,
    stop::{StopRequests, StopSignal},
    wanted::{Held, Wanted},
    work::{Notice, Work},
};
use crate::{
    child::SpawnError,
    ending::{Cause, Status},
};

/// How long an explanation of a loss is waited for.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(2);

/// Runs a command while this process holds an ownership or a lock.
#[derive(Clone, Debug)]
pub struct Hold<'a> {
    coordinator: &'a Coordinator,
    supervisor: EntryPoint,
    inherited: Inherited,
    patience: Patience,
}

/// How a hold came to its end.
#[derive(Debug)]
pub enum Conclusion {
    /// The command ended while it was held.
    Ended(Cause, Status),
    /// A signal came while this process was waiting; it left the queue.
    Stopped(StopSignal),
    /// It was lost, and the command with it.
    Lost(Lost),
    /// It turned out to be lost when the command had ended: the command may have gone on for a moment while
    /// another process held it.
    LostAtTheEnd,
}

/// Why a command was not run to its end. Nothing is held any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// A command that waits for this process holds it.
    #[error("a command that waits for this one holds it")]
    HeldAbove(Box<Holder>),
    /// Another process holds it, and [`Patience`] says not to wait.
    #[error("another process holds it")]
    HeldBy(Box<Holder>),
    /// The time to wait is up.
    #[error("the time to wait is up")]
    TimedOut,
    /// etcd refused something, or did not answer.
    #[error(transparent)]
    Etcd(Error),
    /// etcd did not answer what comes before the command, which was not started.
    #[error(transparent)]
    NotBegun(Error),
    /// The command was not started.
    #[error(transparent)]
    Spawn(SpawnError),
    /// What is handed down to the command cannot be written as JSON.
    #[error(transparent)]
    Environment(serde_json::Error),
}

impl<'a> Hold<'a> {
    /// In sessions of this coordinator, with commands under supervisors that this entry point starts. Waits
    /// as long as it takes.
    #[must_use]
    pub fn new(coordinator: &'a Coordinator, supervisor: EntryPoint) -> Self {
        let (inherited, patience) = (Inherited::default(), Patience::new(true, None));
        Self { coordinator, supervisor, inherited, patience }
    }

    /// Does not wait for what these commands hold, since they wait for this process.
    #[must_use]
    pub fn inherited(self, inherited: Inherited) -> Self {
        Self { inherited, ..self }
    }

    /// Waits for so long.
    #[must_use]
    pub fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Queues for what is wanted, runs the command of `work` while it is held, and gives it back. A hold that
    /// is lost before its command started is queued for again.
    ///
    /// # Errors
    /// [`HoldError`]: the command was not started.
    ///
    /// # Cancel safety
    /// Dropping the future kills the command; what is held is released in the background, or expires with its
    /// session.
    pub async fn run<W: Wanted>(
        mut self,
        wanted: &W,
        work: &impl Work<W::Held>,
        stops: &mut impl StopRequests,
    ) -> Result<Conclusion, HoldError> {
        loop {
            let (coordinator, inherited) = (self.coordinator, &self.inherited);
            let turn = queue::acquire(coordinator, wanted, inherited, &mut self.patience, work, stops).await;
            let held = match turn {
                Turn::Held(held) => *held,
                Turn::Stopped(signal) => return Ok(Conclusion::Stopped(signal)),
                Turn::HeldBy(holder) if self.inherited.contains(&holder.candidate) => {
                    return Err(HoldError::HeldAbove(holder));
                }
                Turn::HeldBy(holder) => return Err(HoldError::HeldBy(holder)),
                Turn::TimedOut => return Err(HoldError::TimedOut),
                Turn::Failed(error) => return Err(HoldError::Etcd(error)),
            };
            work.acquired(&held);
            let ended = self.work(wanted, &held, work, stops).await;
            let again = ended.as_ref().is_ok_and(Ended::may_be_repeated) && self.patience.lasts();
            match (conclude(held, ended, work, stops).await, again) {
                (Ok(Conclusion::Lost(lost)), true) => work.notice(Notice::LostBeforeStart(&lost)),
                (Err(HoldError::NotBegun(error)), true) => work.notice(Notice::NotBegun(&error)),
                (concluded, _) => return concluded,
            }
        }
    }

    /// Prepares what is held, and runs the command.
    async fn work<W: Wanted>(
        &self,
        wanted: &W,
        held: &W::Held,
        work: &impl Work<W::Held>,
        stops: &mut impl StopRequests,
    ) -> Result<Ended, HoldError> {
        let prepared = tokio::select! {
            biased; // After a loss there is nothing to prepare.
            loss = held.lost() => return Ok(Ended::before_start(End::Lost(loss))),
            prepared = wanted.prepare(held) => prepared,
        };
        match prepared {
            Ok(0) => {}
            Ok(recovered) => work.notice(Notice::Recovered(recovered)),
            Err(error) if is_passing(&error) => return Ok(Ended::before_start(End::NotBegun(error))),
            Err(error) => return Err(HoldError::Etcd(error)),
        }
        let spec = work.spec(held).map_err(HoldError::Environment)?;
        tokio::select! {
            biased; // The end of the command ends the rest.
            ended = command::run(&spec, &self.supervisor, held, work, stops) => ended.map_err(HoldError::Spawn),
            () = wanted.maintain(held, |notice| work.notice(notice)) => {
                Ok(Ended::before_start(End::Lost(held.lost().await)))
            }
        }
    }
}

/// Gives up what is held, and returns how it went.
async fn conclude<H: Held>(
    held: H,
    ended: Result<Ended, HoldError>,
    work: &impl Work<H>,
    stops: &mut impl StopRequests,
) -> Result<Conclusion, HoldError> {
    let session = held.session().clone();
    let concluded = match ended {
        Ok(Ended { end: End::Lost(loss), command }) => {
            let explained = tokio::time::timeout(EXPLAIN_WITHIN, held.explain_loss()).await;
            match loss {
                Loss::Session(_) => drop(held),  // It is gone with the session.
                _ => drop(held.release().await), // Refused, as is to be expected.
            }
            Ok(Conclusion::Lost(Lost { loss, command, explained: explained.ok().flatten() }))
        }
        Ok(Ended { end: End::NotBegun(error), .. }) => {
            drop(held.release().await); // If it fails, the end of the session releases it.
            Err(HoldError::NotBegun(error))
        }
        Ok(Ended { end: End::Ended(cause, status), .. }) => {
            release(held, Ok(Conclusion::Ended(cause, status)), work, stops).await
        }
        Err(error) => release(held, Err(error), work, stops).await,
    };
    close(session, stops).await;
    concluded
}

async fn release<H: Held>(
    held: H,
    concluded: Result<Conclusion, HoldError>,
    work: &impl Work<H>,
    stops: &mut impl StopRequests,
) -> Result<Conclusion, HoldError> {
    let released = tokio::select! {
        biased; // A release is better than leaving it to the session at a signal.
        released = held.release() => released,
        _ = stops.next_request() => Ok(()), // It ends with the session.
    };
    match released {
        Ok(()) => concluded,
        Err(Error::AuthorityLost(_) | Error::LockLost { .. }) => Ok(Conclusion::LostAtTheEnd),
        Err(error) => {
            work.notice(Notice::NotReleased(&error));
            concluded
        }
    }
}
