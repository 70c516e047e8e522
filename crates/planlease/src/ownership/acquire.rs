//! Acquiring a plan: try, wait in the queue, take over.

use planlease_core::{
    PlanName, Revision, WallTime, codec,
    keys::PlanKey,
    record::{Ending, HaltRecord, TermRecord},
    term::{self, Queue, Standing, Succession, Successor},
    trace::TraceContext,
    view,
};
use tracing::{Instrument as _, Span};

use super::{AcquireOptions, Holder, Ownership, TryAcquire, delay::LockDelay};
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Branch, Compare, Op, Reply, Transaction},
    queue::{Place, QueueBackoff, candidate},
    session::{Reservable, Session},
    span,
    steering::cordoned,
    trace,
};

impl Session {
    /// Acquires the plan if the queue is empty and no lock delay is left. One transaction; one read before it
    /// if the plan's term is not known yet.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::TryAcquire;
    ///
    /// match session.try_acquire(&plan).await? {
    ///     TryAcquire::Acquired(ownership) => ownership.release().await?,
    ///     TryAcquire::HeldBy(holder) => println!("owned by {}", holder.candidate.name()),
    ///     TryAcquire::Delayed(left) => println!("free in {left:?}"),
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::HeldLocally`] if this process has it, [`Error::PlanNotFound`], [`Error::Cordoned`], [`Error::AuthorityLost`], and as
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
    ///
    /// # Cancel safety
    /// As [`Session::try_acquire`].
    pub async fn try_acquire_with(
        &self,
        plan: &PlanName,
        options: AcquireOptions,
    ) -> Result<TryAcquire, Error> {
        self.try_in_queue(plan, options).instrument(span::acquire(self.lease(), plan)).await
    }

    async fn try_in_queue(&self, plan: &PlanName, options: AcquireOptions) -> Result<TryAcquire, Error> {
        let mut candidacy = Candidacy::new(self, plan, options).await?;
        let mut backoff = QueueBackoff::new(Some(self.coordinator().config().operation_timeout));
        if options.only_for_work {
            let not_now = match Holder::of(&self.coordinator().queue(plan).await?) {
                Some(holder) => Some(Ok(TryAcquire::HeldBy(holder))),
                None => candidacy.ensure_work().await.err().map(Err),
            };
            if let Some(not_now) = not_now {
                drop(candidacy.place.leave());
                return not_now;
            }
        }
        loop {
            self.ensure_live()?;
            match self.attempt(&mut candidacy, false).await? {
                Attempt::Owned { revision, term } => {
                    let ownership = self.own(candidacy, revision, term).await;
                    return Ok(TryAcquire::Acquired(Box::new(ownership)));
                }
                Attempt::Queue(queue) => {
                    if let Some(holder) = Holder::of(&queue) {
                        drop(candidacy.place.leave());
                        return Ok(TryAcquire::HeldBy(holder));
                    }
                    in_the_way(&queue)?;
                    let left = candidacy.delay.left(self.coordinator(), plan, &queue).await?;
                    if !left.is_zero() {
                        drop(candidacy.place.leave());
                        return Ok(TryAcquire::Delayed(left));
                    }
                    // The queue was empty, only the term was not as seen last, or its lock delay was not
                    // known: it is known now.
                    if !backoff.pause(self, queue).await {
                        return Err(Error::TimedOut("the queue of the plan cannot be read"));
                    }
                }
            }
        }
    }

    /// Acquires the plan; waits in the queue until it is free and its lock delay is over. Uncontended as
    /// [`Session::try_acquire`]; a takeover is one more transaction.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use std::time::Duration;
    ///
    /// use planlease::AcquireOptions;
    ///
    /// let options = AcquireOptions::default().wait(Duration::from_secs(60));
    /// let ownership = session.acquire(&plan, options).await?;
    /// assert_eq!(ownership.token().to_string(), "1.1");
    /// ownership.release().await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::try_acquire`]; [`Error::TimedOut`] if the time to wait is up; [`Error::NothingLeft`] if
    /// the options say so.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue: the session's task deletes the key.
    pub async fn acquire(&self, plan: &PlanName, options: AcquireOptions) -> Result<Ownership, Error> {
        let waiting = self.wait_in_queue(plan, options).instrument(span::acquire(self.lease(), plan));
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

    async fn wait_in_queue(&self, plan: &PlanName, options: AcquireOptions) -> Result<Ownership, Error> {
        let mut candidacy = Candidacy::new(self, plan, options).await?;
        let mut attempt = self.attempt(&mut candidacy, true).await?;
        let mut backoff = QueueBackoff::new(None);
        loop {
            self.ensure_live()?;
            let queue = match attempt {
                Attempt::Owned { revision, term } => return Ok(self.own(candidacy, revision, term).await),
                Attempt::Queue(queue) => queue,
            };
            backoff.pause(self, queue.clone()).await;
            attempt = match queue.standing(self.lease()) {
                Standing::Absent => self.attempt(&mut candidacy, true).await?,
                Standing::First => {
                    self.wait_out_delay(&mut candidacy, &queue).await?;
                    candidacy.ensure_work().await?;
                    match self.take_over(&mut candidacy, &queue, None).await? {
                        Attempt::Queue(queue) if queue.standing(self.lease()) == Standing::First => {
                            in_the_way(&queue)?;
                            Attempt::Queue(queue)
                        }
                        attempt => attempt,
                    }
                }
                Standing::Behind(before) => {
                    tracing::debug!(%plan, behind = %before.name(), "waiting in the queue");
                    let left_at = candidacy.place.wait_behind(&queue, &before).await?;
                    let was_owner = queue.owner().is_some_and(|(owner, _)| *owner == before);
                    let left_at = left_at.filter(|_| was_owner);
                    if candidacy.delay.is_zero() && !candidacy.only_for_work {
                        self.take_over(&mut candidacy, &queue, left_at).await?
                    } else {
                        Attempt::Queue(self.coordinator().queue(plan).await?)
                    }
                }
            };
        }
    }

    /// Waits until the lock delay after the term of this queue is over.
    async fn wait_out_delay(&self, candidacy: &mut Candidacy, queue: &Queue) -> Result<(), Error> {
        loop {
            let left = candidacy.delay.left(self.coordinator(), &candidacy.plan, queue).await?;
            if left.is_zero() {
                return Ok(());
            }
            tracing::debug!(plan = %candidacy.plan, ?left, "waiting for the end of the lock delay");
            tokio::select! {
                biased; // Without a session there is no place in the queue.
                reason = self.lost() => return Err(Error::session_lost(reason)),
                () = tokio::time::sleep(left) => {} // Looked at again: the clock that counts is another one.
            }
        }
    }

    /// One transaction that acquires if the queue is empty; else joins it, if wanted, and returns it. A term
    /// that its owner has not ended is not followed at once, unless it is known that no lock delay is left.
    async fn attempt(&self, candidacy: &mut Candidacy, join: bool) -> Result<Attempt, Error> {
        let coordinator = self.coordinator();
        let seen = match coordinator.known_term(&candidacy.plan) {
            Some(term) => term,
            None => coordinator.queue(&candidacy.plan).await?.term,
        };
        candidacy.follows(seen.as_ref().map(|(_, term)| term));
        let Candidacy { place, plan, delay, only_for_work, .. } = &*candidacy;
        let unended = seen.as_ref().filter(|(_, term)| term::needs_lock_delay(term));
        let delayed = unended.is_some_and(|(revision, _)| !delay.is_over_after(*revision));
        let not_at_once =
            (delayed || (join && *only_for_work)).then(|| Compare::Exists(place.key().to_vec()));
        let (range, term_key) =
            (coordinator.layout().queue(plan), coordinator.layout().of(plan, &PlanKey::Term));
        let spec = coordinator.layout().of(plan, &PlanKey::Spec);
        let close = coordinator.layout().of(plan, &PlanKey::Close);
        let succession = self.succession(seen.as_ref().map(|(_, term)| term), None);
        let (not_outdated, read_registration) = place.not_outdated();
        let (eligible, read_cordon) = coordinator.may_acquire(self.id());
        // A waiter will need to know the lock delay, which is in the definition.
        let read_spec = if join { Op::Get(spec.clone()) } else { Op::Find(spec.clone()) };
        let join = join.then(|| {
            let when = [
                Compare::Created(place.key().to_vec(), None),
                Compare::Exists(spec.clone()),
                Compare::Created(close.clone(), None),
                eligible.clone(),
            ];
            let when = when.into_iter().chain(not_outdated.clone());
            Op::Nested(Transaction::when(when).then([place.put()]))
        });
        let txn = Transaction::when(
            [
                Compare::Exists(spec.clone()),
                Compare::Created(close.clone(), None),
                Compare::Empty(range.clone()),
                Compare::Modified(term_key.clone(), seen.map(|(revision, _)| revision)),
                eligible,
            ]
            .into_iter()
            .chain(not_at_once)
            .chain(delay.compare(&spec))
            .chain(not_outdated),
        )
        .then([place.put()])
        .then(term_writes(coordinator, plan, &succession)?)
        .otherwise(join)
        .otherwise([Op::Range(range, 0), Op::Get(term_key), read_spec, Op::Get(close), read_cordon])
        .otherwise(read_registration);
        let mut reply = place.execute(&txn).await?;
        if reply.branch == Branch::Then {
            return Ok(self.owned(plan, reply.revision, reply.revision, succession.term));
        }
        let attempt = self.read_queue(candidacy, &mut reply)?;
        candidacy.place.note_registration(reply.row())?;
        Ok(attempt)
    }

    /// One transaction that takes over if the own key is first. `left_at`: when the owner of the term that
    /// `queue` shows left, if that is known. A release has written the term at that very revision; an expiry
    /// has left it as it was.
    async fn take_over(
        &self,
        candidacy: &mut Candidacy,
        queue: &Queue,
        left_at: Option<Revision>,
    ) -> Result<Attempt, Error> {
        let coordinator = self.coordinator();
        candidacy.follows(queue.term.as_ref().map(|(_, term)| term));
        let Candidacy { place, plan, delay, .. } = &*candidacy;
        let Some(own) = queue.candidates().iter().find(|candidate| candidate.lease == self.lease()) else {
            return self.attempt(candidacy, true).await; // It is at the end of the queue anyway.
        };
        let joined = own.joined;
        let (range, term_key) =
            (coordinator.layout().queue(plan), coordinator.layout().of(plan, &PlanKey::Term));
        let spec = coordinator.layout().of(plan, &PlanKey::Spec);
        let close = coordinator.layout().of(plan, &PlanKey::Close);
        let (eligible, read_cordon) = coordinator.may_acquire(self.id());
        let seen = queue.term.as_ref();
        let when = |term_at: Option<Revision>| {
            [
                Compare::Created(place.key().to_vec(), Some(joined)),
                Compare::NoneBefore(range.clone(), joined),
                Compare::Modified(term_key.clone(), term_at),
                Compare::Created(close.clone(), None),
                eligible.clone(),
            ]
            .into_iter()
            .chain(delay.compare(&spec))
        };
        // The term as it was seen: ended already, or its owner's session expired.
        let expired = self.succession(seen.map(|(_, term)| term), Some(joined));
        let mut txn = Transaction::when(when(seen.map(|(revision, _)| *revision))).then(term_writes(
            coordinator,
            plan,
            &expired,
        )?);
        // Else its owner has ended it when it left. That it is this very term is sure only if the one before
        // in queue *was* the owner: its key and its term can have changed at one revision in no other way.
        if let Some(left_at) = left_at {
            let ended = seen.map(|(_, term)| term::end(term, Ending::Clean, WallTime(0)));
            let released = self.succession(ended.as_ref(), Some(joined));
            let writes = term_writes(coordinator, plan, &released)?;
            txn = txn.otherwise([Op::Nested(Transaction::when(when(Some(left_at))).then(writes))]);
        }
        let txn = txn.otherwise([
            Op::Range(range, 0),
            Op::Get(term_key),
            Op::Find(spec.clone()),
            Op::Get(close.clone()),
            read_cordon,
        ]);
        let mut reply = place.execute(&txn).await?;
        if reply.branch == Branch::Then {
            return Ok(self.owned(plan, joined, reply.revision, expired.term));
        }
        self.read_queue(candidacy, &mut reply)
    }

    /// The failure branch of both transactions: the queue now, and whether we own the plan after all, because
    /// the answer of an earlier try got lost.
    fn read_queue(&self, candidacy: &mut Candidacy, reply: &mut Reply) -> Result<Attempt, Error> {
        let plan = &candidacy.plan;
        let queue = self.coordinator().read_queue(plan, reply)?;
        let spec = reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
        candidacy.delay.note(&spec);
        let (closed, cordon) = (reply.row(), reply.row());
        match (queue.owner(), closed) {
            (Some((candidate, term)), _) if candidate.lease == self.lease() => {
                Ok(Attempt::Owned { revision: candidate.joined, term: term.clone() })
            }
            (_, Some(entry)) => {
                let ((_, HaltRecord { how, by, why, .. }), _) = view::halt_of(plan, &PlanKey::Close, &entry);
                Err(Error::PlanClosed { plan: plan.clone(), how, by, why })
            }
            (_, None) => match cordon {
                Some(entry) => Err(cordoned(self.id(), &entry.value)),
                None => Ok(Attempt::Queue(queue)),
            },
        }
    }

    fn owned(&self, plan: &PlanName, joined: Revision, at: Revision, term: TermRecord) -> Attempt {
        self.coordinator().remember_term(plan, (at, term.clone()));
        Attempt::Owned { revision: joined, term }
    }

    async fn own(&self, candidacy: Candidacy, revision: Revision, term: TermRecord) -> Ownership {
        let Candidacy { place, plan, before, .. } = candidacy;
        let gone = self.watch_own_key(place.key().to_vec(), revision);
        let held = place.leave();
        let span = span::ownership((self.span(), self.lease()), &plan, &term, revision, before.as_deref());
        tracing::info!(parent: &span, %plan, token = %term.token(), "acquired");
        Ownership { session: self.clone(), plan, revision, term, gone, held, span }
    }

    fn succession(&self, previous: Option<&TermRecord>, guard: Option<Revision>) -> Succession {
        let successor = Successor { record: candidate(self), lease: self.lease(), guard };
        let mut next =
            term::succeed(previous, self.coordinator().generation(), &successor, self.clock().wall());
        next.term.trace = trace::stored(&Span::current());
        next
    }
}

/// Fails if a key in the queue is no candidate's: etcd counts it as one, and it may never leave.
fn in_the_way(queue: &Queue) -> Result<(), Error> {
    queue.unreadable.first().map_or(Ok(()), |unreadable| Err(unreadable.clone().into()))
}

/// What a transaction of a candidate came to.
enum Attempt {
    Owned { revision: Revision, term: TermRecord },
    Queue(Queue),
}

/// A candidacy for an ownership: a place in the plan's queue, and under which conditions it is taken up.
struct Candidacy {
    place: Place,
    plan: PlanName,
    /// How long the plan stays free after an end that was not orderly.
    delay: LockDelay,
    /// Whether the place is given up if an owner would find nothing to do.
    only_for_work: bool,
    /// The span of the term that it follows, as that was seen last.
    before: Option<Box<TraceContext>>,
}

impl Candidacy {
    async fn new(session: &Session, plan: &PlanName, options: AcquireOptions) -> Result<Self, Error> {
        Ok(Self {
            place: Place::reserve(session, Reservable::Plan(plan.clone())).await?,
            plan: plan.clone(),
            delay: LockDelay::new(options.lock_delay),
            only_for_work: options.only_for_work,
            before: None,
        })
    }

    /// It is about to follow this term.
    fn follows(&mut self, term: Option<&TermRecord>) {
        self.before = term.and_then(|term| term.trace.clone());
    }

    /// Looks whether an owner would find something to do, if that is a condition. A plan that cannot be read
    /// passes: its owner finds out why. So does one that is cancelled or archived: the transaction says so.
    async fn ensure_work(&self) -> Result<(), Error> {
        if !self.only_for_work {
            return Ok(());
        }
        match self.place.session().coordinator().plan(&self.plan).await {
            Ok(view) if view.halts().closed.is_none() && !view.has_work() => {
                Err(Error::NothingLeft { plan: self.plan.clone(), summary: view.summary() })
            }
            Ok(_) | Err(_) => Ok(()),
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
