//! Named locks of a plan: fair, fenced, and released by a crash.
//!
//! The first candidate in the lock's [queue](crate::queue) holds the lock. There is no term, since nothing in
//! etcd is written by its authority: what a lock protects is outside, and has to look at the token, whose
//! number is the create revision of the holder's key.

use std::time::Duration;

use planlease_core::{
    BootTime, LockName, LockToken, PlanName, Revision,
    keys::{Key, PlanKey},
    term::{Queue, Standing},
};
use tokio::sync::watch;

use crate::{
    coordinator::{Coordinator, line_of},
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Reply, Row, Transaction},
    key_watch::Gone,
    list::List,
    ownership::{self, Holder, Loss},
    queue::{Place, QueueBackoff},
    session::{Reservable, Session},
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
    pub line: Queue,
}

/// A lock of a plan, held for as long as the session lives.
///
/// Dropping it releases it, by the session's own task; [`Lock::release`] waits for that and says how it went.
#[derive(Debug)]
#[must_use = "dropping the lock releases it"]
pub struct Lock {
    candidacy: Candidacy,
    revision: Revision,
    gone: watch::Receiver<Gone>,
}

impl Session {
    /// Acquires a lock of a plan if its queue is empty. Needs no ownership of the plan. One transaction.
    ///
    /// # Errors
    /// [`Error::LockedLocally`] if this session has it, or waits for it; [`Error::PlanNotFound`],
    /// [`Error::AuthorityLost`], and as for any request.
    ///
    /// # Cancel safety
    /// A dropped future may leave the lock taken; the session's task releases it then.
    #[tracing::instrument(name = "lock", level = "debug", skip_all, fields(session = %self.lease(), %plan, %lock))]
    pub async fn try_lock(&self, plan: &PlanName, lock: &LockName) -> Result<TryLock, Error> {
        let candidacy = Candidacy::new(self, plan, lock).await?;
        let line = candidacy.join(true).await?;
        if let Some(since) = candidacy.first_since(&line) {
            return Ok(TryLock::Locked(Box::new(candidacy.locked(since))));
        }
        drop(candidacy.place.leave());
        match Holder::of(&line) {
            Some(holder) => Ok(TryLock::HeldBy(Box::new(holder))),
            None => Err(Error::TimedOut("a key in the queue for the lock is no candidate's")),
        }
    }

    /// Acquires a lock of a plan; waits in its queue, in the order of arrival, while another session holds
    /// it. `wait`: for how long; `None` for as long as it takes. Uncontended as [`Session::try_lock`]; the
    /// turn of who waits costs one read.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::LockName;
    ///
    /// let lock = session.lock(&plan, &LockName::new("registry")?, None).await?;
    /// // Whatever it protects, until `lock.lost()` resolves.
    /// lock.release().await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
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
        let candidacy = Candidacy::new(self, plan, lock).await?;
        let mut line = candidacy.join(false).await?;
        let mut backoff = QueueBackoff::new(None);
        loop {
            self.ensure_live()?;
            backoff.pause(self, line.clone()).await;
            if let Some(since) = candidacy.first_since(&line) {
                return Ok(candidacy.locked(since));
            }
            line = match line.standing(self.lease()) {
                Standing::First | Standing::Absent => candidacy.join(false).await?,
                Standing::Behind(before) => {
                    candidacy.place.wait_behind(&line, &before).await?;
                    candidacy.look().await?
                }
            };
        }
    }
}

impl Lock {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        &self.candidacy.plan
    }

    /// Which lock of it.
    #[must_use]
    pub fn name(&self) -> &LockName {
        &self.candidacy.lock
    }

    /// The session that it hangs on.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.candidacy.place.session()
    }

    /// The token for the resource that the lock protects, so that it can refuse earlier holders: greater for
    /// each holder of this lock than for the one before. It is not a plan's:
    ///
    /// ```compile_fail,E0308
    /// # fn example(lock: &planlease::Lock, ownership: &planlease::Ownership) -> bool {
    /// lock.token() > ownership.token()
    /// # }
    /// ```
    #[must_use]
    pub fn token(&self) -> LockToken {
        LockToken { generation: self.session().coordinator().generation(), revision: self.revision }
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
    ///
    /// # Cancel safety
    /// If the future is dropped, the session's task releases the lock.
    pub async fn release(self) -> Result<(), Error> {
        let Self { candidacy: Candidacy { place, plan, lock }, revision, .. } = self;
        if place.is_in_flight() {
            // A request to join that was sent again may still be under way, and would put the key once more.
            place.session().fence_stale_joins().await?;
        }
        let key = place.key().to_vec();
        let txn = Transaction::when([Compare::Created(key.clone(), Some(revision))]).then([Op::Delete(key)]);
        let reply = place.session().coordinator().etcd().execute(&txn, Admission::TURN).await?;
        place.released();
        // Refused after a lost answer: the first try has deleted it.
        if reply.branch == Branch::Then || reply.uncertain {
            return Ok(());
        }
        Err(Error::LockLost { plan, lock })
    }
}

impl Coordinator {
    /// The locks of a plan that are held or waited for, with their holders and queues. Two reads.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
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

/// A candidacy for a lock: a place in its queue.
#[derive(Debug)]
struct Candidacy {
    place: Place,
    plan: PlanName,
    lock: LockName,
}

impl Candidacy {
    async fn new(session: &Session, plan: &PlanName, lock: &LockName) -> Result<Self, Error> {
        lock.check_new()?;
        let place = Place::reserve(session, Reservable::Lock(plan.clone(), lock.clone())).await?;
        Ok(Self { place, plan: plan.clone(), lock: lock.clone() })
    }

    /// Puts the own key, unless it is there already, and returns the queue. `alone`: only if the queue is
    /// empty.
    async fn join(&self, alone: bool) -> Result<Queue, Error> {
        let (place, session) = (&self.place, self.place.session());
        let coordinator = session.coordinator();
        let mut backoff = QueueBackoff::new(Some(coordinator.config().operation_timeout));
        loop {
            session.ensure_live()?;
            let (queue, spec) = (place.range(), coordinator.layout().of(&self.plan, &PlanKey::Spec));
            let (not_outdated, read_registration) = place.not_outdated();
            let when = [Compare::Exists(spec.clone()), Compare::Created(place.key().to_vec(), None)];
            let empty = alone.then(|| Compare::Empty(queue.clone()));
            let txn = Transaction::when(when.into_iter().chain(empty).chain(not_outdated))
                .then([place.put()])
                .then([Op::Range(queue.clone(), 0)])
                .otherwise([Op::Range(queue, 0), Op::Find(spec)])
                .otherwise(read_registration);
            let mut reply = place.execute(&txn).await?;
            let line = self.read(&mut reply);
            if reply.branch == Branch::Then {
                return Ok(line);
            }
            if reply.row().is_none() {
                return Err(Error::PlanNotFound(self.plan.clone()));
            }
            let outdated = place.note_registration(reply.row())?;
            let ours = !matches!(line.standing(session.lease()), Standing::Absent);
            if ours || (alone && !outdated) || !backoff.pause(session, line.clone()).await {
                return Ok(line);
            }
        }
    }

    /// The queue as it is now.
    async fn look(&self) -> Result<Queue, Error> {
        let txn = Transaction::default().then([Op::Range(self.place.range(), 0)]);
        let mut reply = self.place.session().coordinator().etcd().execute(&txn, Admission::TURN).await?;
        Ok(self.read(&mut reply))
    }

    fn read(&self, reply: &mut Reply) -> Queue {
        line_of(self.place.session().coordinator().layout(), &self.plan, reply.rows().0, None)
    }

    /// Since when the own key is first in the queue, if it is.
    fn first_since(&self, line: &Queue) -> Option<Revision> {
        let first = line.candidates().first()?;
        (first.lease == self.place.session().lease()).then_some(first.joined)
    }

    /// First in the queue, with a key of this create revision.
    fn locked(self, revision: Revision) -> Lock {
        let gone = self.place.session().watch_own_key(self.place.key().to_vec(), revision);
        let lock = Lock { candidacy: self, revision, gone };
        tracing::info!(plan = %lock.plan(), lock = %lock.name(), token = %lock.token(), "locked");
        lock
    }
}
