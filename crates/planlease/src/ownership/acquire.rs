//! Acquiring a plan: try, wait in the queue, take over.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use planlease_core::{
    PlanName, Revision, WallTime, codec,
    keys::PlanKey,
    record::{CandidateRecord, Ending, HaltRecord, TermRecord},
    session::LossReason,
    term::{self, Candidate, Line, Standing, Succession, Successor},
    view,
};

use super::{AcquireOptions, Holder, Ownership, TryAcquire, cleanup::Abandoned, delay::LockDelay};
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Fault, Op, Reply, Transaction},
    key_watch::gone,
    retry::Backoff,
    session::{Reservation, Session},
    span,
};

impl Session {
    /// Acquires the plan if the queue is empty and no lock delay is left. One transaction; one read before it
    /// if the plan's term is not known yet.
    ///
    /// # Errors
    /// [`Error::HeldLocally`] if this process has it, [`Error::PlanNotFound`], [`Error::SessionLost`], and as
    /// for any request.
    ///
    /// # Cancel safety
    /// A dropped future may leave the plan acquired; the session's task releases it then.
    pub async fn try_acquire(&self, plan: &PlanName) -> Result<TryAcquire, Error> {
        self.try_acquire_with(plan, AcquireOptions::default()).await
    }

    /// As [`Session::try_acquire`], with the lock delay and the condition of `options`; `wait` is ignored.
    ///
    /// # Errors
    /// As [`Session::try_acquire`], and [`Error::NothingLeft`].
    #[tracing::instrument(name = "acquire", level = "debug", skip_all, fields(session = %self.lease(), %plan))]
    pub async fn try_acquire_with(
        &self,
        plan: &PlanName,
        options: AcquireOptions,
    ) -> Result<TryAcquire, Error> {
        let mut place = InLine::new(self, plan, options, self.reserve(plan).await?);
        let mut backoff = QueueBackoff::new(Some(self.coordinator().config().operation_timeout));
        if options.only_for_work {
            let not_now = match Holder::of(&self.coordinator().line(plan).await?) {
                Some(holder) => Some(Ok(TryAcquire::HeldBy(holder))),
                None => place.ensure_work().await.err().map(Err),
            };
            if let Some(not_now) = not_now {
                drop(place.leave());
                return not_now;
            }
        }
        loop {
            self.ensure_live()?;
            match self.attempt(&mut place, false).await? {
                Attempt::Owned { revision, term } => {
                    let ownership = self.own(place, revision, term).await;
                    return Ok(TryAcquire::Acquired(Box::new(ownership)));
                }
                Attempt::Line(line) => {
                    if let Some(holder) = Holder::of(&line) {
                        drop(place.leave());
                        return Ok(TryAcquire::HeldBy(holder));
                    }
                    in_the_way(&line)?;
                    let left = place.delay.left(self.coordinator(), plan, &line).await?;
                    if !left.is_zero() {
                        drop(place.leave());
                        return Ok(TryAcquire::Delayed(left));
                    }
                    // The queue was empty, only the term was not as seen last, or its lock delay was not
                    // known: it is known now.
                    if !backoff.pause(self, line).await {
                        return Err(Error::TimedOut("the queue of the plan cannot be read"));
                    }
                }
            }
        }
    }

    /// Acquires the plan; waits in the queue until it is free and its lock delay is over. Uncontended as
    /// [`Session::try_acquire`]; a takeover is one more transaction.
    ///
    /// # Errors
    /// As [`Session::try_acquire`]; [`Error::TimedOut`] if the time to wait is up; [`Error::NothingLeft`] if
    /// the options say so.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue: the session's task deletes the key.
    #[tracing::instrument(level = "debug", skip_all, fields(session = %self.lease(), %plan))]
    pub async fn acquire(&self, plan: &PlanName, options: AcquireOptions) -> Result<Ownership, Error> {
        let waiting = self.wait_in_line(plan, options);
        match options.wait {
            None => waiting.await,
            Some(wait) => match tokio::time::timeout(wait, waiting).await {
                Ok(acquired) => acquired,
                Err(_) => Err(Error::TimedOut(match self.coordinator().is_unowned(plan) {
                    true => "the plan's lock delay is not over: its last ownership did not end in order",
                    false => "the plan is still owned by another process",
                })),
            },
        }
    }

    async fn wait_in_line(&self, plan: &PlanName, options: AcquireOptions) -> Result<Ownership, Error> {
        let mut place = InLine::new(self, plan, options, self.reserve(plan).await?);
        let mut attempt = self.attempt(&mut place, true).await?;
        let mut backoff = QueueBackoff::new(None);
        loop {
            self.ensure_live()?;
            let line = match attempt {
                Attempt::Owned { revision, term } => return Ok(self.own(place, revision, term).await),
                Attempt::Line(line) => line,
            };
            backoff.pause(self, line.clone()).await;
            attempt = match line.standing(self.lease()) {
                Standing::Absent => self.attempt(&mut place, true).await?,
                Standing::First => {
                    self.wait_out_delay(&mut place, &line).await?;
                    place.ensure_work().await?;
                    match self.take_over(&mut place, &line, None).await? {
                        Attempt::Line(line) if line.standing(self.lease()) == Standing::First => {
                            in_the_way(&line)?;
                            Attempt::Line(line)
                        }
                        attempt => attempt,
                    }
                }
                Standing::Behind(before) => {
                    let left_at = self.wait_behind(plan, &line, &before).await?;
                    let was_owner = line.owner().is_some_and(|(owner, _)| *owner == before);
                    let left_at = left_at.filter(|_| was_owner);
                    if place.delay.is_zero() && !place.only_for_work {
                        self.take_over(&mut place, &line, left_at).await?
                    } else {
                        Attempt::Line(self.coordinator().line(plan).await?)
                    }
                }
            };
        }
    }

    /// Waits until the lock delay after the term of this line is over.
    async fn wait_out_delay(&self, place: &mut InLine, line: &Line) -> Result<(), Error> {
        loop {
            let left = place.delay.left(self.coordinator(), &place.plan, line).await?;
            if left.is_zero() {
                return Ok(());
            }
            tracing::debug!(plan = %place.plan, ?left, "waiting for the end of the lock delay");
            tokio::select! {
                biased; // Without a session there is no place in the queue.
                reason = self.lost() => return Err(Error::SessionLost(reason)),
                () = tokio::time::sleep(left) => {} // Looked at again: the clock that counts is another one.
            }
        }
    }

    /// One transaction that acquires if the queue is empty; else joins it, if wanted, and returns it. A term
    /// that its owner has not ended is not followed at once, unless it is known that no lock delay is left.
    async fn attempt(&self, place: &mut InLine, join: bool) -> Result<Attempt, Error> {
        let coordinator = self.coordinator();
        let plan = &place.plan;
        let seen = match coordinator.known_term(plan) {
            Some(term) => term,
            None => coordinator.line(plan).await?.term,
        };
        let unended = seen.as_ref().filter(|(_, term)| term::needs_lock_delay(term));
        let delayed = unended.is_some_and(|(revision, _)| !place.delay.is_over_after(*revision));
        let not_at_once =
            (delayed || (join && place.only_for_work)).then(|| Compare::Exists(place.key.clone()));
        let candidate = self.candidate();
        let (queue, term_key) =
            (coordinator.layout().queue(plan), coordinator.layout().of(plan, &PlanKey::Term));
        let spec = coordinator.layout().of(plan, &PlanKey::Spec);
        let close = coordinator.layout().of(plan, &PlanKey::Close);
        let succession = self.succession(seen.as_ref().map(|(_, term)| term), None);
        // A request that was given up must not put the key later, when all else holds again: see
        // `Session::fence_stale_joins`.
        let written = self.written();
        let not_outdated = written.clone().map(|(key, modified)| Compare::Modified(key, Some(modified)));
        // A waiter will need to know the lock delay, which is in the definition.
        let read_spec = if join { Op::Get(spec.clone()) } else { Op::Find(spec.clone()) };
        let join = join.then(|| {
            let when = [
                Compare::Created(place.key.clone(), None),
                Compare::Exists(spec.clone()),
                Compare::Created(close.clone(), None),
            ];
            let when = when.into_iter().chain(not_outdated.clone());
            Op::Nested(Transaction::when(when).then([self.put_candidate(&place.key, &candidate)]))
        });
        let txn = Transaction::when(
            [
                Compare::Exists(spec.clone()),
                Compare::Created(close.clone(), None),
                Compare::Empty(queue.clone()),
                Compare::Modified(term_key.clone(), seen.map(|(revision, _)| revision)),
            ]
            .into_iter()
            .chain(not_at_once)
            .chain(place.delay.compare(&spec))
            .chain(not_outdated.clone()),
        )
        .then([self.put_candidate(&place.key, &candidate)])
        .then(term_writes(coordinator, plan, &succession)?)
        .otherwise(join)
        .otherwise([Op::Range(queue, 0), Op::Get(term_key), read_spec, Op::Get(close)])
        .otherwise(written.map(|(key, _)| Op::Get(key)));
        let mut reply = place.execute(&txn).await?;
        if reply.branch == Branch::Then {
            return Ok(self.owned(plan, reply.revision, reply.revision, succession.term));
        }
        let attempt = self.read_line(place, &mut reply)?;
        if not_outdated.is_some() {
            let registration = reply.row().ok_or(Error::SessionLost(LossReason::LeaseGone))?;
            self.seen_written(registration.modified);
        }
        Ok(attempt)
    }

    /// One transaction that takes over if the own key is first. `left_at`: when the owner of the term that
    /// `line` shows left, if that is known. A release has written the term at that very revision; an expiry
    /// has left it as it was.
    async fn take_over(
        &self,
        place: &mut InLine,
        line: &Line,
        left_at: Option<Revision>,
    ) -> Result<Attempt, Error> {
        let coordinator = self.coordinator();
        let plan = &place.plan;
        let Some(own) = line.candidates().iter().find(|candidate| candidate.lease == self.lease()) else {
            return self.attempt(place, true).await; // It is at the end of the queue anyway.
        };
        let joined = own.joined;
        let (queue, term_key) =
            (coordinator.layout().queue(plan), coordinator.layout().of(plan, &PlanKey::Term));
        let spec = coordinator.layout().of(plan, &PlanKey::Spec);
        let close = coordinator.layout().of(plan, &PlanKey::Close);
        let seen = line.term.as_ref();
        let when = |term_at: Option<Revision>| {
            [
                Compare::Created(place.key.clone(), Some(joined)),
                Compare::NoneBefore(queue.clone(), joined),
                Compare::Modified(term_key.clone(), term_at),
                Compare::Created(close.clone(), None),
            ]
            .into_iter()
            .chain(place.delay.compare(&spec))
        };
        // The term as it was seen: ended already, or its owner's session expired.
        let expired = self.succession(seen.map(|(_, term)| term), Some(joined));
        let mut txn = Transaction::when(when(seen.map(|(revision, _)| *revision))).then(term_writes(
            coordinator,
            plan,
            &expired,
        )?);
        // Else its owner has ended it when it left. That it is this very term is sure only if the one before
        // in line *was* the owner: its key and its term can have changed at one revision in no other way.
        if let Some(left_at) = left_at {
            let ended = seen.map(|(_, term)| term::end(term, Ending::Clean, WallTime(0)));
            let released = self.succession(ended.as_ref(), Some(joined));
            let writes = term_writes(coordinator, plan, &released)?;
            txn = txn.otherwise([Op::Nested(Transaction::when(when(Some(left_at))).then(writes))]);
        }
        let txn = txn.otherwise([
            Op::Range(queue, 0),
            Op::Get(term_key),
            Op::Find(spec.clone()),
            Op::Get(close.clone()),
        ]);
        let mut reply = place.execute(&txn).await?;
        if reply.branch == Branch::Then {
            return Ok(self.owned(plan, joined, reply.revision, expired.term));
        }
        self.read_line(place, &mut reply)
    }

    /// Waits until the one before has left; when that was, if it is known.
    async fn wait_behind(
        &self,
        plan: &PlanName,
        line: &Line,
        before: &Candidate,
    ) -> Result<Option<Revision>, Error> {
        tracing::debug!(%plan, behind = %before.name(), "waiting in the queue");
        let key = self.coordinator().layout().of(plan, &PlanKey::Owner(before.lease));
        let seen = line.candidates().last().map_or(before.joined, |last| last.joined);
        let mut leaves = self.watch_key(key, before.joined, seen);
        tokio::select! {
            biased; // Without a session there is no place in the queue.
            reason = self.lost() => Err(Error::SessionLost(reason)),
            left = gone(&mut leaves) => left.map_err(|_| Error::SessionLost(LossReason::Closed)),
        }
    }

    /// The failure branch of both transactions: the queue now, and whether we own the plan after all, because
    /// the answer of an earlier try got lost.
    fn read_line(&self, place: &mut InLine, reply: &mut Reply) -> Result<Attempt, Error> {
        let plan = &place.plan;
        let line = self.coordinator().read_line(plan, reply)?;
        let spec = reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
        place.delay.note(&spec);
        let closed = reply.row();
        match (line.owner(), closed) {
            (Some((candidate, term)), _) if candidate.lease == self.lease() => {
                Ok(Attempt::Owned { revision: candidate.joined, term: term.clone() })
            }
            (_, Some(entry)) => {
                let ((_, HaltRecord { how, by, why, .. }), _) = view::halt_of(plan, &PlanKey::Close, &entry);
                Err(Error::PlanClosed { plan: plan.clone(), how, by, why })
            }
            (_, None) => Ok(Attempt::Line(line)),
        }
    }

    fn owned(&self, plan: &PlanName, joined: Revision, at: Revision, term: TermRecord) -> Attempt {
        self.coordinator().remember_term(plan, (at, term.clone()));
        Attempt::Owned { revision: joined, term }
    }

    async fn own(&self, place: InLine, revision: Revision, term: TermRecord) -> Ownership {
        let gone = self.watch_own_key(place.key.clone(), revision);
        let plan = place.plan.clone();
        let held = place.leave();
        let span = span::ownership(self, &plan, &term, revision);
        tracing::info!(parent: &span, %plan, token = %term.token(), "acquired");
        Ownership { session: self.clone(), plan, revision, term, gone, held, span }
    }

    fn succession(&self, previous: Option<&TermRecord>, guard: Option<Revision>) -> Succession {
        let successor = Successor { record: self.candidate(), lease: self.lease(), guard };
        term::succeed(previous, self.coordinator().generation(), &successor, self.clock().wall())
    }

    pub(crate) fn candidate(&self) -> CandidateRecord {
        CandidateRecord::new(
            self.id().clone(),
            self.identity().host.clone(),
            self.identity().pid,
            self.clock().wall(),
        )
    }

    /// The only place that writes a key of a line: always with the lease, without which it would be immortal.
    pub(crate) fn put_candidate(&self, key: &[u8], candidate: &CandidateRecord) -> Op {
        let value = codec::encode(candidate).unwrap_or_default(); // Two names and two numbers: never too large.
        Op::PutLeased(key.to_vec(), value, self.lease())
    }
}

/// The pauses between rounds that find the queue unchanged: each is longer than the one before it. Without
/// them a waiter behind a key that is no candidate's, or with a faulty server, would ask again and again.
pub(crate) struct QueueBackoff {
    seen: Option<Line>,
    backoff: Backoff,
}

impl QueueBackoff {
    /// `budget`: after how long there is to be no further round; never, if not given.
    pub(crate) fn new(budget: Option<Duration>) -> Self {
        Self { seen: None, backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2), budget) }
    }

    /// Waits, if the queue did not move; `false` if there is to be no further round.
    pub(crate) async fn pause(&mut self, session: &Session, line: Line) -> bool {
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

/// Fails if a key in the queue is no candidate's: etcd counts it as one, and it may never leave.
fn in_the_way(line: &Line) -> Result<(), Error> {
    line.unreadable.first().map_or(Ok(()), |unreadable| Err(unreadable.clone().into()))
}

/// What a transaction of a candidate came to.
enum Attempt {
    Owned { revision: Revision, term: TermRecord },
    Line(Line),
}

/// A place in the queue that is given up when dropped, unless it has become an ownership.
struct InLine {
    session: Session,
    plan: PlanName,
    key: Vec<u8>,
    /// `None` once there is nothing to give up any more.
    held: Option<Reservation>,
    /// How long the plan stays free after an end that was not orderly.
    delay: LockDelay,
    /// Whether the place is given up if an owner would find nothing to do.
    only_for_work: bool,
    /// Whether a transaction that may put the key may still be under way, its answer lost or not waited for:
    /// the key may appear after one has looked for it.
    in_flight: AtomicBool,
}

impl InLine {
    fn new(session: &Session, plan: &PlanName, options: AcquireOptions, held: Reservation) -> Self {
        let key = session.coordinator().layout().of(plan, &PlanKey::Owner(session.lease()));
        Self {
            session: session.clone(),
            plan: plan.clone(),
            key,
            held: Some(held),
            delay: LockDelay::new(options.lock_delay),
            only_for_work: options.only_for_work,
            in_flight: AtomicBool::new(false),
        }
    }

    /// Looks whether an owner would find something to do, if that is a condition. A plan that cannot be read
    /// passes: its owner finds out why. So does one that is cancelled or archived: the transaction says so.
    async fn ensure_work(&self) -> Result<(), Error> {
        if !self.only_for_work {
            return Ok(());
        }
        match self.session.coordinator().plan(&self.plan).await {
            Ok(view) if view.halts().closed.is_none() && !view.has_work() => {
                Err(Error::NothingLeft { plan: self.plan.clone(), summary: view.summary() })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Sends a transaction of a candidate.
    async fn execute(&self, txn: &Transaction) -> Result<Reply, Fault> {
        let before = self.in_flight.swap(true, Ordering::Relaxed);
        let reply = self.session.coordinator().etcd().execute(txn, Admission::TURN).await;
        let certain = match &reply {
            Ok(reply) => !reply.uncertain,
            Err(fault) => fault.not_executed,
        };
        self.in_flight.store(before || !certain, Ordering::Relaxed);
        reply
    }

    /// There is nothing to give up (any more), unless something is still under way.
    fn leave(mut self) -> Option<Reservation> {
        if self.in_flight.load(Ordering::Relaxed) {
            let (session, plan) = (self.session.clone(), self.plan.clone());
            self.session.abandon(Abandoned::Late { session, plan, fenced: false });
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
