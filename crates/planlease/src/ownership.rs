//! Ownership of a plan: what its holder has, and how it lets go of it. [`acquire`] gets it, from a place in
//! the plan's [queue](crate::queue).
//!
//! An [`Ownership`] exists only after a transaction has written its term: there is no owner without a term,
//! and no two by construction. Each transaction here can be sent again after a lost answer: its refusal shows
//! whether it had been carried out.

mod acquire;
mod delay;

use std::time::Duration;

use planlease_core::{
    BootTime, FencingToken, OrchestratorId, PlanName, Revision,
    record::{Ending, Guard, Role, TermRecord, Writer},
    session::{LossReason, Status},
    term::{self, Candidate, Queue},
};
use tokio::sync::watch;
use tracing::Span;

use crate::{
    authority::{Authority, Delegation},
    error::Error,
    key_watch::{Gone, gone},
    queue::{Abandoned, Reservation, Ticket, end_term},
    session::Session,
    trace,
};

/// How an ownership is acquired.
///
/// ```
/// use std::time::Duration;
///
/// use planlease::AcquireOptions;
///
/// let options = AcquireOptions::default().wait(Duration::from_secs(60)).only_for_work(true);
/// assert_eq!(options.wait, Some(Duration::from_secs(60)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AcquireOptions {
    /// How long to wait in the queue. `None`: for as long as it takes.
    pub wait: Option<Duration>,
    /// Lock delay in place of the plan's own (`lock_delay_s`): how long the plan stays free after an end of
    /// the previous ownership that was *not orderly* (an expired session, an operator's forced end), so that
    /// its side effects outside etcd can die down. There is none after a release.
    ///
    /// It counts from when this process first saw that the owner is gone. If it is longer than `wait`, a
    /// later try waits for the rest only.
    pub lock_delay: Option<Duration>,
    /// Leave the queue with [`Error::NothingLeft`], without beginning a term, if an owner would find nothing
    /// to do by the time the plan is free. One more read before each takeover.
    pub only_for_work: bool,
}

impl AcquireOptions {
    /// Sets how long to wait in the queue.
    #[must_use]
    pub fn wait(self, wait: impl Into<Option<Duration>>) -> Self {
        Self { wait: wait.into(), ..self }
    }

    /// Sets the lock delay in place of the plan's own.
    #[must_use]
    pub fn lock_delay(self, delay: impl Into<Option<Duration>>) -> Self {
        Self { lock_delay: delay.into(), ..self }
    }

    /// Sets whether to leave the queue if an owner would find nothing to do.
    #[must_use]
    pub fn only_for_work(self, only: bool) -> Self {
        Self { only_for_work: only, ..self }
    }
}

/// What trying to acquire came to.
#[expect(clippy::large_enum_variant, reason = "made once per acquisition, and taken apart at once")]
#[derive(Debug)]
pub enum TryAcquire {
    /// The plan is ours.
    Acquired(Box<Ownership>),
    /// Another candidate is first.
    HeldBy(Holder),
    /// The plan is free, but its last ownership did not end in order: this much is left of the lock delay.
    Delayed(Duration),
}

/// The first candidate in the queue of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The first one.
    pub candidate: Candidate,
    /// Its term; `None` while it has not taken over yet, and for an unmanaged candidate.
    pub term: Option<TermRecord>,
    /// Those that have it besides: of a lock with several permits.
    pub others: Vec<Candidate>,
    /// How many wait behind them.
    pub waiting: usize,
}

impl Holder {
    pub(crate) fn of(queue: &Queue) -> Option<Self> {
        let (holders, waiters) = queue.holders_and_waiters();
        let (first, others) = holders.split_first()?;
        let term = queue.owner().map(|(_, term)| term.clone());
        Some(Self { candidate: first.clone(), term, others: others.to_vec(), waiting: waiters.len() })
    }
}

/// Why an ownership is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The session under it is over.
    Session(LossReason),
    /// The owner's key was deleted: by an operator, or with its lease. [`Ownership::explain_loss`] returns
    /// which.
    KeyGone,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(reason) => write!(f, "{reason}"),
            Self::KeyGone => f.write_str("the owner's key was deleted"),
        }
    }
}

/// Time until which an authority may be relied on that depends on a session and a key; `None` if it is lost.
pub(crate) fn deadline(session: &Session, key: &watch::Receiver<Gone>) -> Option<BootTime> {
    match (session.status(), key.borrow().is_some()) {
        (Status::Live { deadline }, false) => Some(deadline),
        _ => None,
    }
}

/// Waits until such a right is over, and says why.
pub(crate) async fn lost(session: &Session, key: &watch::Receiver<Gone>) -> Loss {
    let mut key = key.clone();
    tokio::select! {
        biased; // The deadline is the promise; it goes first.
        reason = session.lost() => Loss::Session(reason),
        end = gone(&mut key) => match end {
            Ok(_) => Loss::KeyGone,
            Err(_) => Loss::Session(session.lost().await),
        },
    }
}

/// The exclusive, time-bounded right to one plan.
///
/// Dropping it releases it, by the session's own task; [`Ownership::release`] waits for that and says how it
/// went.
#[derive(Debug)]
#[must_use = "dropping the ownership releases the plan"]
pub struct Ownership {
    session: Session,
    plan: PlanName,
    revision: Revision,
    term: TermRecord,
    gone: watch::Receiver<Gone>,
    held: Option<Reservation>,
    /// Lasts as long as this handle, and ends with it.
    span: Span,
}

impl Ownership {
    /// Which plan.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        &self.plan
    }

    /// The fencing token for resources outside etcd, so that they can refuse earlier owners.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.term.token()
    }

    /// The term as it was written when the plan was acquired.
    #[must_use]
    pub fn term(&self) -> &TermRecord {
        &self.term
    }

    /// Its span, as long as this handle lasts: the parent of the spans of what is done under it.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The session that it hangs on.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What every write of this ownership compares.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::Owner { lease: self.session.lease(), revision: self.revision }
    }

    /// The right to write the plan's tasks.
    #[must_use]
    pub fn authority(&self) -> Authority {
        let writer = Writer {
            who: self.session.id().to_string(),
            role: Role::Owner,
            term: Some(self.term.number),
            guard: self.guard(),
        };
        Authority::new(
            self.session.coordinator().clone(),
            self.plan.clone(),
            writer,
            Some(self.session.clone()),
        )
        .traced(trace::context(&self.span))
    }

    /// The same right as a value that another process of the same owner can be given (by an environment
    /// variable, say). It is worth exactly as much as the ownership: every write under it compares the
    /// owner's key.
    #[must_use]
    pub fn delegate(&self) -> Delegation {
        Delegation {
            plan: self.plan.clone(),
            owner: self.session.id().clone(),
            term: self.term.number,
            token: self.token(),
            guard: self.guard(),
        }
    }

    /// Time until which the ownership may be relied on: the session's deadline. `None` if it is lost.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        deadline(&self.session, &self.gone)
    }

    /// Waits until it is over, and says why. Everything that was done by its right has to stop then. Cancel
    /// safe.
    pub async fn lost(&self) -> Loss {
        lost(&self.session, &self.gone).await
    }

    /// How the term ended, as the successor or an operator wrote it. For people; one read.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn explain_loss(&self) -> Result<String, Error> {
        let Some((ending, successor)) = self.end_in_records().await? else {
            return Ok("the plan was deleted".to_owned());
        };
        let how = match ending {
            Some(Ending::Forced { by, reason }) => format!("{by} ended it: {reason}"),
            Some(Ending::Clean) => "it was released".to_owned(),
            Some(Ending::HandedOver { to }) => format!("it was handed over to {to}"),
            Some(Ending::Unclean) | None => "its session expired".to_owned(),
        };
        Ok(successor.map_or_else(|| how.clone(), |successor| format!("{how}; {successor} owns the plan now")))
    }

    /// Whether an operator ended the term by force, of a plan that can be owned further on: it is neither
    /// cancelled nor archived. A caller that acquires plans by itself leaves such a plan to others for a
    /// while. Up to three reads.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn was_taken_away(&self) -> Result<bool, Error> {
        let end = self.end_in_records().await?;
        if !matches!(end, Some((Some(Ending::Forced { .. }), _))) {
            return Ok(false);
        }
        match self.session.coordinator().plan(&self.plan).await {
            Ok(view) => Ok(view.halts().closed.is_none()),
            Err(Error::PlanNotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How the term ended, if its record says so, and the name of a later owner. `None` if the plan is
    /// deleted.
    async fn end_in_records(&self) -> Result<Option<(Option<Ending>, Option<String>)>, Error> {
        let queue = self.session.coordinator().queue(&self.plan).await?;
        let Some((_, term)) = queue.term else { return Ok(None) };
        let successor = (term.number > self.term.number).then(|| term.owner.orchestrator.to_string());
        let ours = if term.number == self.term.number {
            Some(term)
        } else {
            self.session.coordinator().history(&self.plan).term(self.term.number).await?
        };
        Ok(Some((ours.and_then(|term| term.ended).map(|end| end.how), successor)))
    }

    /// Releases the plan: the next one in the queue takes over at once. One transaction.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if it was over already; [`Error::OutcomeUnknown`] or [`Error::Unreachable`]
    /// if etcd did not answer: the session's task goes on trying then, and the plan is free at the latest
    /// when the session ends.
    ///
    /// # Cancel safety
    /// If the future is dropped, the session's task releases the plan.
    #[tracing::instrument(level = "debug", skip_all, parent = &self.span, fields(session = %self.session.lease(), plan = %self.plan, term = self.term.number.0))]
    pub async fn release(mut self) -> Result<(), Error> {
        let ticket = self.ticket();
        let released = end_term(self.session.coordinator(), &ticket, Ending::Clean, None).await;
        if !released.as_ref().is_err_and(Error::is_transient) {
            drop(self.held.take()); // Else the session's task goes on trying.
        }
        released
    }

    /// Hands the plan over to `to`, which must wait in the queue. The waiters before it lose their place and
    /// join again at the end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{AcquireOptions, OrchestratorId};
    ///
    /// let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    /// let to = OrchestratorId::new("builder-2")?;
    /// if let Err(failed) = ownership.hand_over(&to).await {
    ///     let (ownership, why) = failed.into_parts();
    ///     println!("{why}"); // builder-2 does not wait in the queue.
    ///     ownership.release().await?;
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotHandedOver`], which has the ownership, with [`Error::HandOver`] if it cannot be done, and else as
    /// [`Ownership::release`]. `?` drops both, so it releases the plan.
    ///
    /// # Cancel safety
    /// If the future is dropped, the plan is handed over, or the session's task releases it.
    #[tracing::instrument(level = "debug", skip_all, parent = &self.span, fields(session = %self.session.lease(), plan = %self.plan, term = self.term.number.0, %to))]
    pub async fn hand_over(mut self, to: &OrchestratorId) -> Result<(), NotHandedOver> {
        let coordinator = self.session.coordinator().clone();
        let queue = match coordinator.queue(&self.plan).await {
            Ok(queue) => queue,
            Err(error) => return Err(NotHandedOver::new(self, error)),
        };
        let hand_over = match term::hand_over(&queue, to) {
            Ok(hand_over) => hand_over,
            Err(error) => return Err(NotHandedOver::new(self, error.into())),
        };
        let ending = Ending::HandedOver { to: to.clone() };
        match end_term(&coordinator, &self.ticket(), ending, Some(hand_over)).await {
            Ok(()) => {
                drop(self.held.take());
                Ok(())
            }
            Err(error) => Err(NotHandedOver::new(self, error)),
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket {
            plan: self.plan.clone(),
            lease: self.session.lease(),
            revision: self.revision,
            term: self.term.clone(),
        }
    }
}

/// A plan that was not handed over, with the ownership, which stays until this is dropped.
#[derive(Debug, thiserror::Error)]
#[error("the plan was not handed over")]
pub struct NotHandedOver {
    ownership: Box<Ownership>,
    #[source]
    error: Error,
}

impl NotHandedOver {
    fn new(ownership: Ownership, error: Error) -> Self {
        Self { ownership: Box::new(ownership), error }
    }

    /// Why it was not handed over.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The ownership, and why it was not handed over.
    pub fn into_parts(self) -> (Ownership, Error) {
        (*self.ownership, self.error)
    }
}

impl From<NotHandedOver> for Error {
    fn from(failed: NotHandedOver) -> Self {
        failed.error
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let ticket = Box::new(self.ticket());
            self.session.clean_up_after(Abandoned::Ownership { ticket, _held: held.abandoned() });
        }
    }
}
