//! Named locks of a plan: fair, fenced, and released by a crash.
//!
//! The line is etcd's own Mutex recipe, as that of ownership is: a range of keys, one per candidate, in the
//! order of their create revisions. The first one holds the lock. There is no term, since nothing in etcd is
//! written by its authority: what a lock protects is outside, and has to look at the token, whose number is
//! the create revision of the holder's key.

use std::time::Duration;

use planlease_core::{
    BootTime, FencingToken, LeaseId, LockName, PlanName, Revision, TermNumber,
    keys::{Key, PlanKey},
    session::LossReason,
    term::{Line, Standing},
};
use tokio::sync::watch;

use crate::{
    coordinator::{Coordinator, line_of},
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Reply, Row, Transaction},
    key_watch::{Gone, gone},
    list::List,
    ownership::{self, Abandoned, Holder, Loss, QueueBackoff},
    session::{Reservable, Reservation, Session},
};

/// What trying to take a lock came to.
#[derive(Debug)]
pub enum TryLock {
    /// It is ours.
    Locked(Box<Lock>),
    /// Another session holds it.
    HeldBy(Box<Holder>),
}

/// The holder of a lock, and the queue behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct LockView {
    /// The lock.
    pub lock: LockName,
    /// The first one has it. There is no term.
    pub line: Line,
}

/// A lock of a plan, held for as long as the session lives.
///
/// Dropping it releases it, by the session's own task; [`Lock::release`] waits for that and says how it went.
#[derive(Debug)]
#[must_use = "dropping the lock releases it"]
pub struct Lock {
    place: Place,
    revision: Revision,
    gone: watch::Receiver<Gone>,
}

impl Session {
    /// Acquires a lock of a plan if its queue is empty. Needs no ownership of the plan. One transaction.
    ///
    /// # Errors
    /// [`Error::LockedLocally`] if this session has it, or waits for it; [`Error::PlanNotFound`],
    /// [`Error::SessionLost`], and as for any request.
    ///
    /// # Cancel safety
    /// A dropped future may leave the lock taken; the session's task releases it then.
    #[tracing::instrument(name = "lock", level = "debug", skip_all, fields(session = %self.lease(), %plan, %lock))]
    pub async fn try_lock(&self, plan: &PlanName, lock: &LockName) -> Result<TryLock, Error> {
        let mut place = Place::new(self, plan, lock).await?;
        let line = place.join(true).await?;
        if let Some(since) = place.first_since(&line) {
            return Ok(TryLock::Locked(Box::new(place.locked(since))));
        }
        if !place.in_flight {
            drop(place.held.take()); // There is nothing to give up.
        }
        match Holder::of(&line) {
            Some(holder) => Ok(TryLock::HeldBy(Box::new(holder))),
            None => Err(Error::TimedOut("a key in the queue for the lock is no candidate's")),
        }
    }

    /// Acquires a lock of a plan; waits in its queue, in the order of arrival, while another session holds
    /// it. `wait`: for how long; `None` for as long as it takes. Uncontended as [`Session::try_lock`]; the
    /// turn of who waits costs one read.
    ///
    /// # Errors
    /// As [`Session::try_lock`]; [`Error::TimedOut`] if the time to wait is up.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue: the session's task deletes the key.
    #[tracing::instrument(level = "debug", skip_all, fields(session = %self.lease(), %plan, %lock))]
    pub async fn lock(
        &self,
        plan: &PlanName,
        lock: &LockName,
        wait: Option<Duration>,
    ) -> Result<Lock, Error> {
        let waiting = self.wait_for_lock(plan, lock);
        match wait {
            None => waiting.await,
            Some(wait) => match tokio::time::timeout(wait, waiting).await {
                Ok(locked) => locked,
                Err(_) => Err(Error::TimedOut("another session still holds the lock")),
            },
        }
    }

    async fn wait_for_lock(&self, plan: &PlanName, lock: &LockName) -> Result<Lock, Error> {
        let mut place = Place::new(self, plan, lock).await?;
        let mut line = place.join(false).await?;
        let mut backoff = QueueBackoff::new(None);
        loop {
            self.ensure_live()?;
            backoff.pause(self, line.clone()).await;
            if let Some(since) = place.first_since(&line) {
                return Ok(place.locked(since));
            }
            line = match line.standing(self.lease()) {
                Standing::First | Standing::Absent => place.join(false).await?,
                Standing::Behind(before) => {
                    let key = place.key_of(before.lease);
                    let seen = line.candidates().last().map_or(before.joined, |last| last.joined);
                    let mut leaves = self.watch_key(key, before.joined, seen);
                    tokio::select! {
                        biased; // Without a session there is no place in the queue.
                        reason = self.lost() => return Err(Error::SessionLost(reason)),
                        left = gone(&mut leaves) => left.map_err(|_| Error::SessionLost(LossReason::Closed))?,
                    };
                    place.look().await?
                }
            };
        }
    }
}

impl Lock {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        &self.place.plan
    }

    /// Which lock of it.
    #[must_use]
    pub fn name(&self) -> &LockName {
        &self.place.lock
    }

    /// The session that it hangs on.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.place.session
    }

    /// The token for the resource that the lock protects, so that it can refuse earlier holders: the store's
    /// generation and the create revision of the holder's key, greater for each holder of this lock than for
    /// the one before. Not to be compared with tokens of ownerships.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        let generation = self.session().coordinator().generation();
        FencingToken { generation, term: TermNumber(self.revision.get()) }
    }

    /// The create revision of the holder's key.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Time until which the lock may be relied on: the session's deadline. `None` if it is lost.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        ownership::deadline(self.session(), &self.gone)
    }

    /// Waits until it is lost, and says why. Everything that was done under it has to stop then. Cancel safe.
    pub async fn lost(&self) -> Loss {
        ownership::lost(self.session(), &self.gone).await
    }

    /// Releases the lock: the next one in the queue holds it at once. One transaction.
    ///
    /// # Errors
    /// [`Error::LockLost`] if it was lost already; [`Error::OutcomeUnknown`] or [`Error::Unreachable`] if
    /// etcd did not answer: the session's task goes on trying then, and it is free at the latest when the
    /// session ends.
    pub async fn release(mut self) -> Result<(), Error> {
        if self.place.in_flight {
            // A request to join that was sent again may still be under way, and would put the key once more.
            self.session().fence_stale_joins().await?;
        }
        let key = self.place.key.clone();
        let txn =
            Transaction::when([Compare::Created(key.clone(), Some(self.revision))]).then([Op::Delete(key)]);
        let reply = self.session().coordinator().etcd().execute(&txn, Admission::TURN).await?;
        drop(self.place.held.take());
        // Refused after a lost answer: the first try has deleted it.
        if reply.branch == Branch::Then || reply.uncertain {
            return Ok(());
        }
        Err(Error::LockLost { plan: self.plan().clone(), lock: self.name().clone() })
    }
}

impl Coordinator {
    /// The locks of a plan that are held or waited for, with their holders and queues. Two reads.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any read.
    pub async fn locks(&self, plan: &PlanName) -> Result<List<LockView>, Error> {
        let layout = self.layout();
        let spec = Transaction::default().then([Op::Find(layout.of(plan, &PlanKey::Spec))]);
        let mut reply = self.etcd().execute(&spec, Admission::TURN).await?;
        reply.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?;
        let page = self.etcd().scan(&layout.locks(plan), Some(reply.revision)).await?;
        let name = |row: &Row| match layout.parse(&row.0) {
            Some(Key::Plan(_, PlanKey::Lock(lock, _))) => Some(lock),
            _ => None,
        };
        // All keys of one lock stand together.
        let mut locks = List::default();
        for rows in page.rows.chunk_by(|one, other| name(one) == name(other)) {
            let line = line_of(layout, plan, rows.to_vec(), None);
            locks.unreadable.extend_from_slice(&line.unreadable);
            locks.items.extend(rows.first().and_then(name).map(|lock| LockView { lock, line }));
        }
        Ok(locks)
    }
}

/// A place in the queue for a lock, which is given up when it is dropped.
#[derive(Debug)]
struct Place {
    session: Session,
    plan: PlanName,
    lock: LockName,
    key: Vec<u8>,
    /// `None` once there is nothing to give up any more.
    held: Option<Reservation>,
    /// Whether a transaction that may put the key may still be under way, its answer lost or not waited for.
    in_flight: bool,
}

impl Place {
    async fn new(session: &Session, plan: &PlanName, lock: &LockName) -> Result<Self, Error> {
        lock.check_new()?;
        let held = session.reserve(Reservable::Lock(plan.clone(), lock.clone())).await?;
        let key = session.coordinator().layout().of(plan, &PlanKey::Lock(lock.clone(), session.lease()));
        let (session, plan, lock) = (session.clone(), plan.clone(), lock.clone());
        Ok(Self { session, plan, lock, key, held: Some(held), in_flight: false })
    }

    fn key_of(&self, lease: LeaseId) -> Vec<u8> {
        self.session.coordinator().layout().of(&self.plan, &PlanKey::Lock(self.lock.clone(), lease))
    }

    /// Puts the own key, unless it is there already, and returns the queue. `alone`: only if the queue is
    /// empty.
    async fn join(&mut self, alone: bool) -> Result<Line, Error> {
        let mut backoff = QueueBackoff::new(Some(self.session.coordinator().config().operation_timeout));
        loop {
            self.session.ensure_live()?;
            let layout = self.session.coordinator().layout();
            let (queue, spec) =
                (layout.lock_queue(&self.plan, &self.lock), layout.of(&self.plan, &PlanKey::Spec));
            // As for ownership: a request that was given up must not put the key later, see
            // `Session::fence_stale_joins`.
            let written = self.session.written();
            let not_outdated = written.clone().map(|(key, modified)| Compare::Modified(key, Some(modified)));
            let when = [Compare::Exists(spec.clone()), Compare::Created(self.key.clone(), None)];
            let empty = alone.then(|| Compare::Empty(queue.clone()));
            let txn = Transaction::when(when.into_iter().chain(empty).chain(not_outdated))
                .then([self.session.put_candidate(&self.key, &self.session.candidate())])
                .then([Op::Range(queue.clone(), 0)])
                .otherwise([Op::Range(queue, 0), Op::Find(spec)])
                .otherwise(written.map(|(key, _)| Op::Get(key)));
            let mut reply = self.execute(&txn).await?;
            let line = self.read(&mut reply)?;
            if reply.branch == Branch::Then {
                return Ok(line);
            }
            if reply.row().is_none() {
                return Err(Error::PlanNotFound(self.plan.clone()));
            }
            let outdated = match (reply.row(), self.session.written()) {
                (Some(entry), Some((_, known))) => {
                    self.session.seen_written(entry.modified);
                    entry.modified != known
                }
                (None, Some(_)) => return Err(Error::SessionLost(LossReason::LeaseGone)),
                (_, None) => false,
            };
            let ours = !matches!(line.standing(self.session.lease()), Standing::Absent);
            if ours || (alone && !outdated) || !backoff.pause(&self.session, line.clone()).await {
                return Ok(line);
            }
        }
    }

    /// The queue as it is now.
    async fn look(&self) -> Result<Line, Error> {
        let layout = self.session.coordinator().layout();
        let queue = layout.lock_queue(&self.plan, &self.lock);
        let txn = Transaction::default().then([Op::Range(queue, 0)]);
        let mut reply = self.session.coordinator().etcd().execute(&txn, Admission::TURN).await?;
        self.read(&mut reply)
    }

    fn read(&self, reply: &mut Reply) -> Result<Line, Error> {
        Ok(line_of(self.session.coordinator().layout(), &self.plan, reply.rows().0, None))
    }

    /// Since when the own key is first in the queue, if it is.
    fn first_since(&self, line: &Line) -> Option<Revision> {
        let first = line.candidates().first()?;
        (first.lease == self.session.lease()).then_some(first.joined)
    }

    /// Sends a transaction that may put the key.
    async fn execute(&mut self, txn: &Transaction) -> Result<Reply, Error> {
        let before = std::mem::replace(&mut self.in_flight, true);
        let reply = self.session.coordinator().etcd().execute(txn, Admission::TURN).await;
        let certain = match &reply {
            Ok(reply) => !reply.uncertain,
            Err(fault) => fault.not_executed,
        };
        self.in_flight = before || !certain;
        Ok(reply?)
    }

    /// First in the queue, with a key of this create revision.
    fn locked(self, revision: Revision) -> Lock {
        let gone = self.session.watch_own_key(self.key.clone(), revision);
        let lock = Lock { place: self, revision, gone };
        tracing::info!(plan = %lock.plan(), lock = %lock.name(), token = %lock.token(), "locked");
        lock
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let (key, in_flight) = (self.key.clone(), self.in_flight);
            self.session.abandon(Abandoned::Lock { key, held: held.abandoned(), in_flight });
        }
    }
}
