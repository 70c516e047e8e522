//! Ownership of a plan: acquire, wait in line, take over, release, hand over.
//!
//! The line is a range of keys, one per candidate, in the order of their create revisions: etcd's own Election recipe, so
//! that `etcdctl elect` waits in the same line and is waited for. An [`Ownership`] exists only after a transaction
//! has written its term: there is no owner without a term, and no two by construction. Each transaction here can be
//! sent again after a lost answer: its refusal shows whether it had been carried out.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use planlease_core::{
    BootTime, FencingToken, LeaseId, OrchestratorId, PlanName, Revision, WallTime,
    codec::{self, FormatVersion},
    keys::PlanKey,
    record::{CandidateRecord, Ending, Guard, Role, TermRecord, Writer},
    session::{LossReason, Status},
    term::{self, Candidate, Line, Standing, Succession, Successor},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    authority::{Authority, Delegation},
    coordinator::Coordinator,
    error::Error,
    etcd::{Branch, Compare, Fault, FaultKind, Op, Reply, Transaction},
    retry::Backoff,
    session::{Held, Session},
    vigil::{Gone, gone},
};

/// How an ownership is acquired.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcquireOptions {
    /// How long to wait in line. `None`: for as long as it takes.
    pub wait: Option<Duration>,
    /// How long to wait after an *unclean* end of the previous ownership before taking over: time for its side effects
    /// outside etcd to die down (the lock delay of Chubby). Nothing after a clean release.
    pub lock_delay: Duration,
}

/// What trying to acquire came to.
#[expect(clippy::large_enum_variant, reason = "made once per acquisition, and taken apart at once")]
#[derive(Debug)]
pub enum TryAcquire {
    /// The plan is ours.
    Acquired(Box<Ownership>),
    /// Somebody else is first.
    HeldBy(Holder),
}

/// Who is first in line for a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The first one.
    pub candidate: Candidate,
    /// Its term; `None` while it has not taken over yet, and for a stranger.
    pub term: Option<TermRecord>,
    /// How many wait behind it.
    pub waiting: usize,
}

impl Holder {
    pub(crate) fn of(line: &Line) -> Option<Self> {
        let candidate = line.candidates().first()?.clone();
        let term = line.owner().map(|(_, term)| term.clone());
        Some(Self { candidate, term, waiting: line.candidates().len() - 1 })
    }
}

/// Why an ownership is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The session under it is over.
    Session(LossReason),
    /// The owner's key was deleted: by an operator, or with its lease. [`Ownership::explain_loss`] tells.
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

/// The exclusive, time-bounded right to one plan.
///
/// Dropping it releases it, by the session's own task; [`Ownership::release`] waits for that and says how it went.
#[derive(Debug)]
#[must_use = "dropping the ownership releases the plan"]
pub struct Ownership {
    session: Session,
    plan: PlanName,
    revision: Revision,
    term: TermRecord,
    gone: watch::Receiver<Gone>,
    held: Option<Held>,
}

impl Session {
    /// Acquires the plan if nobody is in line. One transaction; one read before it if the plan's term is not known yet.
    ///
    /// # Errors
    /// [`Error::HeldLocally`] if this process has it, [`Error::PlanNotFound`], [`Error::SessionLost`], and as for any
    /// request.
    ///
    /// # Cancel safety
    /// A dropped future may leave the plan acquired; the session's task releases it then.
    pub async fn try_acquire(&self, plan: &PlanName) -> Result<TryAcquire, Error> {
        let place = InLine::new(self, plan, self.hold(plan).await?);
        let mut pace = Pace::new(Some(self.coordinator().config().operation_timeout));
        loop {
            self.ensure_live()?;
            match self.attempt(&place, false, Duration::ZERO).await? {
                Attempt::Owned { revision, term } => {
                    let ownership = self.own(place, revision, term).await;
                    return Ok(TryAcquire::Acquired(Box::new(ownership)));
                }
                Attempt::Line(line) => {
                    if let Some(holder) = Holder::of(&line) {
                        drop(place.leave());
                        return Ok(TryAcquire::HeldBy(holder));
                    }
                    // Nobody was in line, only the term was not as seen last: it is known now. Unless a key in the line is
                    // no candidate's.
                    if !pace.keep(self, line).await {
                        return Err(Error::TimedOut("a key in the line for the plan is no candidate's"));
                    }
                }
            }
        }
    }

    /// Acquires the plan; waits in line for it if somebody is first. Uncontended as [`Session::try_acquire`]; a takeover
    /// is one more transaction.
    ///
    /// # Errors
    /// As [`Session::try_acquire`]; [`Error::TimedOut`] if the time to wait is up.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line: the session's task takes the key away.
    pub async fn acquire(&self, plan: &PlanName, options: AcquireOptions) -> Result<Ownership, Error> {
        let waiting = self.wait_in_line(plan, options.lock_delay);
        match options.wait {
            None => waiting.await,
            Some(wait) => match tokio::time::timeout(wait, waiting).await {
                Ok(acquired) => acquired,
                Err(_) => Err(Error::TimedOut("the plan is still owned by somebody else")),
            },
        }
    }

    async fn wait_in_line(&self, plan: &PlanName, lock_delay: Duration) -> Result<Ownership, Error> {
        let place = InLine::new(self, plan, self.hold(plan).await?);
        let mut attempt = self.attempt(&place, true, lock_delay).await?;
        let mut pace = Pace::new(None);
        loop {
            self.ensure_live()?;
            let line = match attempt {
                Attempt::Owned { revision, term } => return Ok(self.own(place, revision, term).await),
                Attempt::Line(line) => line,
            };
            pace.keep(self, line.clone()).await;
            attempt = match line.standing(self.lease()) {
                Standing::Absent => self.attempt(&place, true, lock_delay).await?,
                Standing::First => {
                    if !lock_delay.is_zero()
                        && line.term.as_ref().is_some_and(|(_, term)| term.ended.is_none())
                    {
                        tokio::time::sleep(lock_delay).await;
                    }
                    self.take_over(&place, &line, None).await?
                }
                Standing::Behind(before) => {
                    let left_at = self.wait_behind(plan, &line, &before).await?;
                    let was_owner = line.owner().is_some_and(|(owner, _)| *owner == before);
                    let left_at = left_at.filter(|_| was_owner);
                    if lock_delay.is_zero() {
                        self.take_over(&place, &line, left_at).await?
                    } else {
                        Attempt::Line(self.coordinator().line(plan).await?)
                    }
                }
            };
        }
    }

    /// One transaction that acquires if nobody is in line; else joins it, if wanted, and tells who is. With a lock delay a
    /// term that nobody has ended is not followed at once: its successor joins the line, and waits there.
    async fn attempt(&self, place: &InLine, join: bool, lock_delay: Duration) -> Result<Attempt, Error> {
        let coordinator = self.coordinator();
        let plan = &place.plan;
        let seen = match coordinator.known_term(plan) {
            Some(term) => term,
            None => coordinator.line(plan).await?.term,
        };
        let unended = seen.as_ref().is_some_and(|(_, term)| term.ended.is_none());
        let not_at_once = (!lock_delay.is_zero() && unended).then(|| Compare::Exists(place.key.clone()));
        let candidate = self.candidate();
        let (queue, term_key) =
            (coordinator.layout().queue(plan), coordinator.layout().of(plan, &PlanKey::Term));
        let spec = coordinator.layout().of(plan, &PlanKey::Spec);
        let succession = self.succession(seen.as_ref().map(|(_, term)| term), None);
        // A request that was given up must not put the key later, when all else holds again: see `Session::outdate`.
        let written = self.written();
        let not_outdated = written.clone().map(|(key, modified)| Compare::Modified(key, Some(modified)));
        let join = join.then(|| {
            let when = [Compare::Created(place.key.clone(), None), Compare::Exists(spec.clone())];
            let when = when.into_iter().chain(not_outdated.clone());
            Op::Nested(Transaction::when(when).then([self.put_candidate(&place.key, &candidate)]))
        });
        let txn = Transaction::when(
            [
                Compare::Exists(spec.clone()),
                Compare::Empty(queue.clone()),
                Compare::Modified(term_key.clone(), seen.map(|(revision, _)| revision)),
            ]
            .into_iter()
            .chain(not_at_once)
            .chain(not_outdated.clone()),
        )
        .then([self.put_candidate(&place.key, &candidate)])
        .then(term_writes(coordinator, plan, &succession)?)
        .otherwise(join)
        .otherwise([Op::Range(queue, 0), Op::Get(term_key), Op::Find(spec)])
        .otherwise(written.map(|(key, _)| Op::Get(key)));
        let mut reply = place.settle(&txn).await?;
        if reply.branch == Branch::Then {
            return Ok(self.owned(plan, reply.revision, reply.revision, succession.term));
        }
        let attempt = self.read_line(plan, &mut reply)?;
        if not_outdated.is_some() {
            let registration = reply.row().ok_or(Error::SessionLost(LossReason::LeaseGone))?;
            self.seen_written(registration.modified);
        }
        Ok(attempt)
    }

    /// One transaction that takes over if the own key is first. `left_at`: when the owner of the term that `line` shows
    /// left, if that is known. A release has written the term at that very revision; an expiry has left it as it was.
    async fn take_over(
        &self,
        place: &InLine,
        line: &Line,
        left_at: Option<Revision>,
    ) -> Result<Attempt, Error> {
        let coordinator = self.coordinator();
        let plan = &place.plan;
        let Some(own) = line.candidates().iter().find(|candidate| candidate.lease == self.lease()) else {
            return self.attempt(place, true, Duration::ZERO).await; // It is at the end of the line anyway.
        };
        let joined = own.joined;
        let (queue, term_key) =
            (coordinator.layout().queue(plan), coordinator.layout().of(plan, &PlanKey::Term));
        let spec = coordinator.layout().of(plan, &PlanKey::Spec);
        let seen = line.term.as_ref();
        let when = |term_at: Option<Revision>| {
            [
                Compare::Created(place.key.clone(), Some(joined)),
                Compare::NoneBefore(queue.clone(), joined),
                Compare::Modified(term_key.clone(), term_at),
            ]
        };
        // The term as it was seen: ended already, or its owner's session expired.
        let expired = self.succession(seen.map(|(_, term)| term), Some(joined));
        let mut txn = Transaction::when(when(seen.map(|(revision, _)| *revision))).then(term_writes(
            coordinator,
            plan,
            &expired,
        )?);
        // Else its owner has ended it when it left. That it is this very term is sure only if the one before in line *was*
        // the owner: its key and its term can have changed at one revision in no other way.
        if let Some(left_at) = left_at {
            let ended = seen.map(|(_, term)| term::end(term, Ending::Clean, WallTime(0)));
            let released = self.succession(ended.as_ref(), Some(joined));
            let writes = term_writes(coordinator, plan, &released)?;
            txn = txn.otherwise([Op::Nested(Transaction::when(when(Some(left_at))).then(writes))]);
        }
        let txn = txn.otherwise([Op::Range(queue, 0), Op::Get(term_key), Op::Find(spec)]);
        let mut reply = place.settle(&txn).await?;
        if reply.branch == Branch::Then {
            return Ok(self.owned(plan, joined, reply.revision, expired.term));
        }
        self.read_line(plan, &mut reply)
    }

    /// Waits until the one before has left; when that was, if it is known.
    async fn wait_behind(
        &self,
        plan: &PlanName,
        line: &Line,
        before: &Candidate,
    ) -> Result<Option<Revision>, Error> {
        tracing::debug!(%plan, behind = %before.name(), "waiting in line");
        let key = self.coordinator().layout().of(plan, &PlanKey::Owner(before.lease));
        let seen = line.candidates().last().map_or(before.joined, |last| last.joined);
        let mut leaves = self.vigil(key, before.joined, seen).await;
        tokio::select! {
            biased; // Without a session there is no place in line.
            reason = self.lost() => Err(Error::SessionLost(reason)),
            left = gone(&mut leaves) => left.map_err(|_| Error::SessionLost(LossReason::Closed)),
        }
    }

    /// The failure branch of both transactions: who is in line now, and whether we are its owner after all, because the
    /// answer of an earlier try got lost.
    fn read_line(&self, plan: &PlanName, reply: &mut Reply) -> Result<Attempt, Error> {
        let line = self.coordinator().read_line(plan, reply)?;
        if reply.row().is_none() {
            return Err(Error::PlanNotFound(plan.clone()));
        }
        match line.owner() {
            Some((candidate, term)) if candidate.lease == self.lease() => {
                Ok(Attempt::Owned { revision: candidate.joined, term: term.clone() })
            }
            _ => Ok(Attempt::Line(line)),
        }
    }

    fn owned(&self, plan: &PlanName, joined: Revision, at: Revision, term: TermRecord) -> Attempt {
        self.coordinator().remember_term(plan, Some((at, term.clone())));
        Attempt::Owned { revision: joined, term }
    }

    async fn own(&self, place: InLine, revision: Revision, term: TermRecord) -> Ownership {
        let gone = self.vigil(place.key.clone(), revision, revision).await;
        let plan = place.plan.clone();
        let held = place.leave();
        tracing::info!(%plan, token = %term.token(), "acquired");
        Ownership { session: self.clone(), plan, revision, term, gone, held }
    }

    fn succession(&self, previous: Option<&TermRecord>, guard: Option<Revision>) -> Succession {
        let successor = Successor { record: self.candidate(), lease: self.lease(), guard };
        term::succeed(previous, self.coordinator().generation(), &successor, self.clock().wall())
    }

    fn candidate(&self) -> CandidateRecord {
        CandidateRecord {
            v: FormatVersion::default(),
            orchestrator: self.id().clone(),
            host: self.identity().host.clone(),
            pid: self.identity().pid,
            since: self.clock().wall(),
        }
    }

    /// The only place that writes a key of the line: always with the lease, without which it would be immortal.
    fn put_candidate(&self, key: &[u8], candidate: &CandidateRecord) -> Op {
        let value = codec::encode(candidate).unwrap_or_default(); // Two names and two numbers: never too large.
        Op::PutLeased(key.to_vec(), value, self.lease())
    }
}

/// The pace of rounds after which the line is as it was before: each waits longer than the one before it. Without it
/// whoever meets a key in the line that is no candidate's, or a server that errs, would ask again and again.
struct Pace {
    seen: Option<Line>,
    backoff: Backoff,
}

impl Pace {
    /// `budget`: after how long there is to be no further round; never, if not given.
    fn new(budget: Option<Duration>) -> Self {
        Self { seen: None, backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2), budget) }
    }

    /// Waits, if the line did not move; `false` if there is to be no further round.
    async fn keep(&mut self, session: &Session, line: Line) -> bool {
        if self.seen.as_ref() != Some(&line) {
            self.seen = Some(line);
            self.backoff.reset();
            return true;
        }
        match self.backoff.next(session.coordinator().etcd().random()) {
            Some(delay) => {
                tokio::time::sleep(delay).await;
                true
            }
            None => false,
        }
    }
}

/// How often leaving a line is tried at once while the line moves.
const LEAVE_TRIES: usize = 8;

/// What a transaction of a candidate came to.
enum Attempt {
    Owned { revision: Revision, term: TermRecord },
    Line(Line),
}

/// A place in line that is given up when dropped, unless it has become an ownership.
struct InLine {
    session: Session,
    plan: PlanName,
    key: Vec<u8>,
    /// `None` once there is nothing to give up any more.
    held: Option<Held>,
    /// Whether a transaction that may put the key may still be under way, its answer lost or not waited for: the key may
    /// appear after one has looked for it.
    in_flight: AtomicBool,
}

impl InLine {
    fn new(session: &Session, plan: &PlanName, held: Held) -> Self {
        let key = session.coordinator().layout().of(plan, &PlanKey::Owner(session.lease()));
        Self {
            session: session.clone(),
            plan: plan.clone(),
            key,
            held: Some(held),
            in_flight: AtomicBool::new(false),
        }
    }

    /// Sends a transaction of a candidate.
    async fn settle(&self, txn: &Transaction) -> Result<Reply, Fault> {
        let before = self.in_flight.swap(true, Ordering::Relaxed);
        let reply = self.session.coordinator().etcd().settle(txn).await;
        let certain = match &reply {
            Ok(reply) => !reply.uncertain,
            Err(fault) => fault.not_executed,
        };
        self.in_flight.store(before || !certain, Ordering::Relaxed);
        reply
    }

    /// There is nothing to give up (any more), unless something is still under way.
    fn leave(mut self) -> Option<Held> {
        if self.in_flight.load(Ordering::Relaxed) {
            let (session, plan) = (self.session.clone(), self.plan.clone());
            self.session.abandon(Abandoned::Late { session, plan, outdated: false });
        }
        self.held.take()
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let (plan, in_flight) = (self.plan.clone(), self.in_flight.load(Ordering::Relaxed));
            self.session.abandon(Abandoned::Place { plan, held: held.abandoned(), in_flight });
        }
    }
}

impl Ownership {
    /// Which plan.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        &self.plan
    }

    /// What to show to resources outside etcd, so that they can refuse whoever owned the plan before.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.term.token()
    }

    /// The term as it was written when the plan was acquired.
    #[must_use]
    pub fn term(&self) -> &TermRecord {
        &self.term
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
    }

    /// The same right as a value that another process of the same owner can be given (by an environment variable, say).
    /// It is worth exactly as much as the ownership: every write under it compares the owner's key.
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

    /// Until when to believe in it: the session's deadline. `None` if it is over.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        match (self.session.status(), self.gone.borrow().is_some()) {
            (Status::Live { deadline }, false) => Some(deadline),
            _ => None,
        }
    }

    /// Waits until it is over, and says why. Everything that was done by its right has to stop then. Cancel safe.
    pub async fn lost(&self) -> Loss {
        let mut key = self.gone.clone();
        tokio::select! {
            biased; // The deadline is the promise; it goes first.
            reason = self.session.lost() => Loss::Session(reason),
            end = gone(&mut key) => match end {
                Ok(_) => Loss::KeyGone,
                Err(_) => Loss::Session(self.session.lost().await),
            },
        }
    }

    /// How the term ended, as the successor or an operator wrote it. For people; one read.
    ///
    /// # Errors
    /// As for any read.
    pub async fn explain_loss(&self) -> Result<String, Error> {
        let line = self.session.coordinator().line(&self.plan).await?;
        let Some((_, term)) = line.term else { return Ok("the plan was deleted".to_owned()) };
        let successor = (term.number > self.term.number).then(|| term.owner.orchestrator.to_string());
        let ours = if term.number == self.term.number {
            Some(term)
        } else {
            self.session.coordinator().past_term(&self.plan, self.term.number).await?
        };
        let how = match ours.and_then(|term| term.ended).map(|end| end.how) {
            Some(Ending::Forced { by, reason }) => format!("{by} ended it: {reason}"),
            Some(Ending::Clean) => "it was released".to_owned(),
            Some(Ending::HandedOver { to }) => format!("it was handed over to {to}"),
            Some(Ending::Unclean) | None => "its session expired".to_owned(),
        };
        Ok(successor.map_or_else(|| how.clone(), |successor| format!("{how}; {successor} owns the plan now")))
    }

    /// Lets go: the next one in line takes over at once. One transaction.
    ///
    /// # Errors
    /// [`Error::OwnershipLost`] if it was over already; [`Error::OutcomeUnknown`] or [`Error::Unreachable`] if etcd did not
    /// answer: the session's task goes on trying then, and the plan is free at the latest when the session ends.
    pub async fn release(mut self) -> Result<(), Error> {
        let ticket = self.ticket();
        let released = end_term(self.session.coordinator(), &ticket, Ending::Clean, &[]).await;
        if !released.as_ref().is_err_and(is_passing) {
            drop(self.held.take()); // Else the session's task goes on trying.
        }
        released
    }

    /// Lets go in favour of `to`, who has to wait in line. Those in between lose their place and join again at the end.
    ///
    /// # Errors
    /// [`Error::HandOver`] if it cannot be done; the ownership stays then. Else as [`Ownership::release`].
    pub async fn hand_over(mut self, to: &OrchestratorId) -> Result<(), (Self, Error)> {
        let coordinator = self.session.coordinator().clone();
        let displaced = match coordinator.line(&self.plan).await {
            Ok(line) => term::hand_over(&line, to)
                .map(|between| between.iter().map(|candidate| candidate.lease).collect::<Vec<_>>())
                .map_err(Error::from),
            Err(error) => Err(error),
        };
        let displaced = match displaced {
            Ok(displaced) => displaced,
            Err(error) => return Err((self, error)),
        };
        let ending = Ending::HandedOver { to: to.clone() };
        match end_term(&coordinator, &self.ticket(), ending, &displaced).await {
            Ok(()) => {
                drop(self.held.take());
                Ok(())
            }
            Err(error) => Err((self, error)),
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

impl Drop for Ownership {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let ticket = Box::new(self.ticket());
            self.session.abandon(Abandoned::Ownership { ticket, _held: held.abandoned() });
        }
    }
}

/// What it takes to end an ownership.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) plan: PlanName,
    pub(crate) lease: LeaseId,
    pub(crate) revision: Revision,
    pub(crate) term: TermRecord,
}

/// What the session's task has to clean up. The plan stays marked as held until that is done.
#[derive(Debug)]
pub(crate) enum Abandoned {
    /// An ownership whose handle was dropped.
    Ownership { ticket: Box<Ticket>, _held: Held },
    /// A place in line whose future was dropped.
    Place { plan: PlanName, held: Held, in_flight: bool },
    /// A transaction that may put the key arrives late, if ever. It must not: nobody would know of that place.
    Late { session: Session, plan: PlanName, outdated: bool },
    /// Nothing: tells when everything before it is done.
    Flush(oneshot::Sender<()>),
}

/// The task: releases what was dropped, one after the other. Ends when the session does.
pub(crate) async fn release_abandoned(
    coordinator: Coordinator,
    mut inbox: mpsc::UnboundedReceiver<Abandoned>,
    status: watch::Receiver<Status>,
) {
    let look_after = coordinator.config().request_timeout * 2;
    let mut again: VecDeque<(Instant, Abandoned)> = VecDeque::new();
    loop {
        let due = again.front().map(|(due, _)| *due);
        let mut abandoned = tokio::select! {
            biased; // What was dropped just now first: somebody may wait for it.
            abandoned = inbox.recv() => match abandoned {
                Some(abandoned) => abandoned,
                None => return,
            },
            () = until(due) => match again.pop_front() {
                Some((_, abandoned)) => abandoned,
                None => continue,
            },
        };
        let live = matches!(*status.borrow(), Status::Live { .. });
        if let Abandoned::Flush(done) = abandoned {
            let _ = done.send(());
        } else if live && let Err(error) = clean_up(&coordinator, &mut abandoned).await {
            if is_passing(&error) {
                tracing::debug!(%error, "cleaned up later");
                again.push_back((Instant::now() + look_after, abandoned));
            } else {
                tracing::warn!(%error, "could not clean up; the end of the session will");
            }
        }
        // Else everything is gone with the session.
    }
}

/// Whether trying again later may mend it.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable(_) | Error::OutcomeUnknown(_) | Error::NoSpace(_) | Error::HeldLocally(_)
    )
}

/// Cleans up one thing. Can be done again.
async fn clean_up(coordinator: &Coordinator, abandoned: &mut Abandoned) -> Result<(), Error> {
    match abandoned {
        Abandoned::Flush(_) => Ok(()),
        Abandoned::Ownership { ticket, .. } => end_term(coordinator, ticket, Ending::Clean, &[]).await,
        Abandoned::Place { plan, held, in_flight } => {
            let session = held.session();
            if *in_flight {
                session.outdate().await?;
            }
            leave_line(coordinator, plan, session.lease()).await
        }
        Abandoned::Late { session, plan, outdated } => {
            if !*outdated {
                session.outdate().await?;
                *outdated = true;
            }
            // Looked at when this process has the plan no more: only then is a key of ours in its line one too many.
            match session.hold_if_free(plan) {
                Some(_held) => leave_line(coordinator, plan, session.lease()).await,
                None => Err(Error::HeldLocally(plan.clone())),
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Takes a candidate's key out of the line; if it has taken over meanwhile, releases the plan.
async fn leave_line(coordinator: &Coordinator, plan: &PlanName, lease: LeaseId) -> Result<(), Error> {
    for _ in 0..LEAVE_TRIES {
        let line = coordinator.line(plan).await?;
        let Some(candidate) = line.candidates().iter().find(|candidate| candidate.lease == lease) else {
            return Ok(());
        };
        match line.owner() {
            Some((owner, term)) if owner.lease == lease => {
                let ticket = Ticket { plan: plan.clone(), lease, revision: owner.joined, term: term.clone() };
                return end_term(coordinator, &ticket, Ending::Clean, &[]).await;
            }
            _ => {
                // The term as seen: else it could be the key of an owner by now, whose term would have no end.
                let key = coordinator.layout().of(plan, &PlanKey::Owner(lease));
                let term = coordinator.layout().of(plan, &PlanKey::Term);
                let seen = line.term.as_ref().map(|(revision, _)| *revision);
                let when =
                    [Compare::Created(key.clone(), Some(candidate.joined)), Compare::Modified(term, seen)];
                let txn = Transaction::when(when).then([Op::Delete(key)]);
                if coordinator.etcd().settle(&txn).await?.branch == Branch::Then {
                    return Ok(());
                }
            }
        }
    }
    Err(Error::outcome_unknown("the line for the plan keeps moving"))
}

/// Ends a term, whoever says so: deletes the owner's key, and the keys of those who lose their place with it, if the
/// owner's key is still the one that is meant. A late repetition cannot hurt a successor.
pub(crate) async fn end_term(
    coordinator: &Coordinator,
    ticket: &Ticket,
    how: Ending,
    displaced: &[LeaseId],
) -> Result<(), Error> {
    let Ticket { plan, lease, revision, term } = ticket;
    let layout = coordinator.layout();
    let ended = term::end(term, how.clone(), coordinator.clock().wall());
    let key = layout.of(plan, &PlanKey::Owner(*lease));
    let term_key = layout.of(plan, &PlanKey::Term);
    let value = codec::encode(&ended)?;
    let displaced = displaced.iter().map(|lease| Op::Delete(layout.of(plan, &PlanKey::Owner(*lease))));
    let txn = Transaction::when([Compare::Created(key.clone(), Some(*revision))])
        .then([
            Op::Delete(key),
            Op::Put(term_key.clone(), value.clone()),
            Op::Put(layout.of(plan, &PlanKey::PastTerm(term.number)), value),
        ])
        .then(displaced)
        .otherwise([Op::Get(term_key)]);
    let mut reply = match coordinator.etcd().settle(&txn).await {
        // A full database takes no record of the end, but it lets go of the key. To the successor that is an expiry.
        Err(fault) if fault.kind == FaultKind::NoSpace => {
            let key = layout.of(plan, &PlanKey::Owner(*lease));
            let bare =
                Transaction::when([Compare::Created(key.clone(), Some(*revision))]).then([Op::Delete(key)]);
            let reply = coordinator.etcd().settle(&bare).await?;
            tracing::info!(%plan, token = %term.token(), "let go of, with a full database");
            return match reply.branch {
                Branch::Then => Ok(()),
                Branch::Otherwise => Err(Error::outcome_unknown(
                    "the ownership is over; whether the release was recorded is not known, since the database is full",
                )),
            };
        }
        reply => reply?,
    };
    if reply.branch == Branch::Then {
        tracing::info!(%plan, token = %term.token(), ?how, "ended");
        coordinator.remember_term(plan, Some((reply.revision, ended)));
        return Ok(());
    }
    // Refused, after a try that was not answered: that try did it if the term says so in our words.
    let present = reply.row().and_then(|entry| codec::decode::<TermRecord>(&entry.value).ok());
    match present {
        Some(present) if reply.uncertain && present.number == term.number && present.ended == ended.ended => {
            Ok(())
        }
        Some(present) if reply.uncertain && present.number > term.number => {
            let past = coordinator.past_term(plan, term.number).await;
            let past = past.map_err(|_| Error::outcome_unknown("how the term ended cannot be read"))?;
            match past.filter(|past| past.ended == ended.ended) {
                Some(_) => Ok(()),
                None => Err(Error::OwnershipLost(plan.clone())),
            }
        }
        _ => Err(Error::OwnershipLost(plan.clone())),
    }
}

/// The writes of a takeover besides the owner's key.
fn term_writes(
    coordinator: &Coordinator,
    plan: &PlanName,
    succession: &Succession,
) -> Result<Vec<Op>, Error> {
    let layout = coordinator.layout();
    let mut ops = vec![Op::Put(layout.of(plan, &PlanKey::Term), codec::encode(&succession.term)?)];
    if let Some(closed) = &succession.closed {
        ops.push(Op::Put(layout.of(plan, &PlanKey::PastTerm(closed.number)), codec::encode(closed)?));
    }
    if let Some(forgotten) = succession.forgotten {
        ops.push(Op::Delete(layout.of(plan, &PlanKey::PastTerm(forgotten))));
    }
    Ok(ops)
}
