//! Named locks, of a plan or of the namespace: fair, fenced, and released by a crash.
//!
//! The first candidate in the lock's [queue](crate::queue) holds the lock; with several permits, the first
//! ones do. There is no term, since nothing in etcd is written by its authority: what a lock protects is
//! outside, and has to look at the token, whose number is the create revision of the holder's key.

use std::{collections::BTreeSet, time::Duration};

use planlease_core::{
    BootTime, LeaseId, LockName, LockToken, PlanName, Revision,
    codec::CodecError,
    counted,
    keys::{Key, Layout, PlanKey},
    term::{Candidate, Queue, Standing},
    unreadable::Unreadable,
};
use tokio::sync::watch;

use crate::{
    coordinator::{Coordinator, queue_of},
    error::{Error, error_chain},
    etcd::{Admission, Branch, Compare, Op, Reply, Row, Transaction},
    feed::Feed,
    key_watch::Gone,
    list::List,
    ownership::{self, Holder, Loss},
    queue::{Place, QueueBackoff},
    session::{Reservable, Session},
};

/// How long etcd is left alone when the queue of a lock cannot be followed.
const FOLLOW_AGAIN: Duration = Duration::from_millis(500);

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
    pub queue: Queue,
}

/// Which lock is wanted, and how: of the namespace, for one holder at a time, for as long as it takes, unless
/// its setters say otherwise.
///
/// ```
/// use std::time::Duration;
///
/// use planlease::LockOptions;
///
/// let of_the_namespace = LockOptions::default().permits(3).wait(Duration::from_secs(60));
/// let of_a_plan = LockOptions::default().of_plan("release".parse()?);
/// # Ok::<(), planlease::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockOptions {
    plan: Option<PlanName>,
    permits: u32,
    wait: Option<Duration>,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self { plan: None, permits: 1, wait: None }
    }
}

impl LockOptions {
    /// A lock of this plan: its name is the plan's own, and it goes with the plan.
    #[must_use]
    pub fn of_plan(self, plan: PlanName) -> Self {
        Self { plan: Some(plan), ..self }
    }

    /// As many sessions can have it at a time, as a counting semaphore; at least 1 and at most
    /// [`MAX_LOCK_PERMITS`]. All have to say the same number: another one than that of the sessions ahead is
    /// refused.
    #[must_use]
    pub fn permits(self, permits: u32) -> Self {
        Self { permits: permits.clamp(1, MAX_LOCK_PERMITS), ..self }
    }

    /// How long to wait in the queue; `None` for as long as it takes.
    #[must_use]
    pub fn wait(self, wait: impl Into<Option<Duration>>) -> Self {
        Self { wait: wait.into(), ..self }
    }
}

/// The most sessions that can have one lock at a time.
pub const MAX_LOCK_PERMITS: u32 = 1_000;

/// A lock of a plan or of the namespace, held for as long as the session lives.
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
        self.try_lock_with(lock, LockOptions::default().of_plan(plan.clone())).await
    }

    /// Acquires a lock if it has room: if its queue is empty; with several permits, if fewer than that are
    /// in the queue. One transaction; with several permits, one read before it. The time to wait does not
    /// matter.
    ///
    /// # Errors
    /// As [`Session::try_lock`]; [`Error::LockPermits`] if it is used with another number of permits.
    ///
    /// # Cancel safety
    /// A dropped future may leave the lock taken; the session's task releases it then.
    pub async fn try_lock_with(&self, lock: &LockName, options: LockOptions) -> Result<TryLock, Error> {
        let permits = options.permits;
        let candidacy = Candidacy::new(self, options.plan, lock, permits).await?;
        if permits > 1 {
            let queue = candidacy.look().await?;
            candidacy.agree(&queue)?;
            if queue.candidates().len() >= usize::try_from(permits).unwrap_or(usize::MAX) {
                return held_by(&queue);
            }
        }
        let queue = candidacy.join(permits == 1).await?;
        candidacy.agree(&queue)?;
        if let Some(since) = candidacy.held_since(&queue) {
            return Ok(TryLock::Locked(Box::new(candidacy.locked(since))));
        }
        if permits == 1 {
            drop(candidacy.place.leave());
        }
        held_by(&queue)
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
        self.lock_with(lock, LockOptions::default().of_plan(plan.clone()).wait(wait)).await
    }

    /// As [`Session::lock`], for a lock of the namespace, and for one that several can have at a time. The
    /// order is that of arrival. A waiter for one of several permits follows the queue by one watch, and
    /// needs no further request.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{LockName, LockOptions};
    ///
    /// // A job of cron on several hosts: one of them at a time, without a plan.
    /// let lock = session.lock_with(&LockName::new("nightly-backup")?, LockOptions::default()).await?;
    /// // … and at most three downloads at a time.
    /// let three = LockOptions::default().permits(3);
    /// let download = session.lock_with(&LockName::new("downloads")?, three).await?;
    /// download.release().await?;
    /// lock.release().await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::lock`]; [`Error::LockPermits`] if it is used with another number of permits.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue: the session's task deletes the key.
    pub async fn lock_with(&self, lock: &LockName, options: LockOptions) -> Result<Lock, Error> {
        let wait = options.wait;
        let waiting = self.wait_for_lock(lock, options);
        match wait {
            None => waiting.await,
            Some(wait) => match tokio::time::timeout(wait, waiting).await {
                Ok(locked) => locked,
                Err(_) => Err(Error::TimedOut("another session still holds the lock")),
            },
        }
    }

    async fn wait_for_lock(&self, lock: &LockName, options: LockOptions) -> Result<Lock, Error> {
        let candidacy = Candidacy::new(self, options.plan, lock, options.permits).await?;
        let mut queue = candidacy.join(false).await?;
        let mut backoff = QueueBackoff::new(None);
        loop {
            self.ensure_live()?;
            candidacy.agree(&queue)?;
            backoff.pause(self, queue.clone()).await;
            if let Some(since) = candidacy.held_since(&queue) {
                return Ok(candidacy.locked(since));
            }
            queue = match queue.standing(self.lease()) {
                Standing::First | Standing::Absent => candidacy.join(false).await?,
                Standing::Behind(_) if candidacy.permits > 1 => {
                    candidacy.wait_for_room(&queue).await?;
                    candidacy.look().await?
                }
                Standing::Behind(before) => {
                    candidacy.place.wait_behind(&queue, &before).await?;
                    candidacy.look().await?
                }
            };
        }
    }
}

impl Lock {
    /// The plan; `None` for a lock of the namespace.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanName> {
        self.candidacy.plan.as_ref()
    }

    /// How many can have it at a time.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.candidacy.permits
    }

    /// Its name.
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
    /// each holder of this lock than for the one before. With several permits, several holders have tokens
    /// at a time, so a resource must not refuse the lower one. It is not a plan's:
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
        let Self { candidacy: Candidacy { place, plan, lock, .. }, revision, .. } = self;
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
        Ok(self.locks_in(Some(plan), page.rows))
    }

    /// The locks of the namespace that are held or waited for, with their holders and queues. One read.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn global_locks(&self) -> Result<List<LockView>, Error> {
        let page = self.etcd().scan(&self.layout().global_locks(), None).await?;
        Ok(self.locks_in(None, page.rows))
    }

    /// The queues that these rows are. All keys of one lock stand together.
    fn locks_in(&self, plan: Option<&PlanName>, rows: Vec<Row>) -> List<LockView> {
        let name = |row: &Row| match self.layout().parse(&row.0) {
            Some(Key::Plan(_, PlanKey::Lock(lock, _)) | Key::Lock(lock, _)) => Some(lock),
            _ => None,
        };
        let mut locks = List::default();
        for rows in rows.chunk_by(|one, other| name(one) == name(other)) {
            let queue = lock_queue_of(self.layout(), plan, rows.to_vec());
            locks.unreadable.extend_from_slice(&queue.unreadable);
            locks.items.extend(rows.first().and_then(name).map(|lock| LockView { lock, queue }));
        }
        locks
    }
}

/// Who has the lock that was tried.
fn held_by(queue: &Queue) -> Result<TryLock, Error> {
    match Holder::of(queue) {
        Some(holder) => Ok(TryLock::HeldBy(Box::new(holder))),
        None => Err(Error::TimedOut("a key in the queue for the lock is no candidate's")),
    }
}

/// The queue of a lock, of a plan or of the namespace.
fn lock_queue_of(layout: &Layout, plan: Option<&PlanName>, rows: Vec<Row>) -> Queue {
    if let Some(plan) = plan {
        return queue_of(layout, plan, rows, None);
    }
    let mut queue = Queue::default();
    let mut candidates = Vec::new();
    for (key, entry) in rows {
        match layout.parse(&key) {
            Some(Key::Lock(_, lease)) => candidates.push(Candidate::read(lease, &entry)),
            Some(key) => queue.unreadable.push(Unreadable::new(key, &CodecError::UnknownKey)),
            None => {}
        }
    }
    queue.set_candidates(candidates);
    queue
}

/// A candidacy for a lock: a place in its queue.
#[derive(Debug)]
struct Candidacy {
    place: Place,
    plan: Option<PlanName>,
    lock: LockName,
    permits: u32,
}

impl Candidacy {
    async fn new(
        session: &Session,
        plan: Option<PlanName>,
        lock: &LockName,
        permits: u32,
    ) -> Result<Self, Error> {
        lock.check_new()?;
        let place = Place::reserve(session, Reservable::Lock(plan.clone(), lock.clone())).await?;
        Ok(Self { place, plan, lock: lock.clone(), permits })
    }

    /// Refuses a queue in which a candidate before the own key counts other permits: the two would not agree
    /// on who has the lock. The later one of them sees the earlier one.
    fn agree(&self, queue: &Queue) -> Result<(), Error> {
        let own = self.place.session().lease();
        let ahead = queue.candidates().iter().take_while(|candidate| candidate.lease != own);
        let permits =
            |candidate: &Candidate| candidate.record.as_ref().and_then(|record| record.permits).unwrap_or(1);
        match ahead.map(|candidate| (candidate, permits(candidate))).find(|(_, n)| *n != self.permits) {
            None => Ok(()),
            Some((candidate, theirs)) => Err(Error::LockPermits {
                lock: self.lock.clone(),
                by: candidate.name(),
                theirs: counted(theirs, "permit"),
                ours: counted(self.permits, "permit"),
            }),
        }
    }

    /// Waits until so few are ahead that the own key is among those that have the lock. Others that come
    /// later come behind it, so each key that goes only helps. No request but the watch.
    async fn wait_for_room(&self, queue: &Queue) -> Result<(), Error> {
        let session = self.place.session();
        let (own, coordinator) = (session.lease(), session.coordinator());
        let Some(joined) = queue.candidates().iter().find(|one| one.lease == own).map(|one| one.joined)
        else {
            return Ok(());
        };
        let mut ahead: BTreeSet<LeaseId> =
            queue.candidates().iter().take_while(|one| one.lease != own).map(|one| one.lease).collect();
        let mut changes = coordinator.raw().changes(self.place.range(), joined.next());
        while ahead.len() >= usize::try_from(self.permits).unwrap_or(usize::MAX) {
            let feed = tokio::select! {
                biased; // Without a session there is no place in the queue.
                reason = session.lost() => return Err(Error::session_lost(reason)),
                feed = changes.next() => feed,
            };
            match feed {
                Ok(Feed::Changes(sets)) => {
                    for change in sets.iter().flat_map(|set| &set.changes) {
                        let (Key::Lock(_, lease) | Key::Plan(_, PlanKey::Lock(_, lease))) = &change.key
                        else {
                            continue;
                        };
                        if change.entry.is_some() {
                            continue; // A candidate that came later.
                        }
                        if *lease == own {
                            return Ok(()); // The queue says what is the case.
                        }
                        ahead.remove(lease);
                    }
                }
                Ok(Feed::Compacted(_)) => return Ok(()),
                Ok(Feed::Connected | Feed::Alive(_) | Feed::Broken(_)) => {}
                Err(error) if error.is_transient() => {
                    tracing::debug!(error = error_chain(&error), "the queue of the lock is not followed");
                    tokio::time::sleep(FOLLOW_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts the own key, unless it is there already, and returns the queue. `alone`: only if the queue is
    /// empty.
    async fn join(&self, alone: bool) -> Result<Queue, Error> {
        let (place, session) = (&self.place, self.place.session());
        let coordinator = session.coordinator();
        let mut backoff = QueueBackoff::new(Some(coordinator.config().operation_timeout));
        loop {
            session.ensure_live()?;
            let range = place.range();
            let spec = self.plan.as_ref().map(|plan| coordinator.layout().of(plan, &PlanKey::Spec));
            let (not_outdated, read_registration) = place.not_outdated();
            let exists = spec.clone().map(Compare::Exists);
            let when = exists.into_iter().chain([Compare::Created(place.key().to_vec(), None)]);
            let empty = alone.then(|| Compare::Empty(range.clone()));
            let txn = Transaction::when(when.chain(empty).chain(not_outdated))
                .then([place.put_with(self.permits)])
                .then([Op::Range(range.clone(), 0)])
                .otherwise([Op::Range(range, 0)])
                .otherwise(spec.map(Op::Find))
                .otherwise(read_registration);
            let mut reply = place.execute(&txn).await?;
            let queue = self.read(&mut reply);
            if reply.branch == Branch::Then {
                return Ok(queue);
            }
            if let Some(plan) = &self.plan
                && reply.row().is_none()
            {
                return Err(Error::PlanNotFound(plan.clone()));
            }
            let outdated = place.note_registration(reply.row())?;
            let ours = !matches!(queue.standing(session.lease()), Standing::Absent);
            if ours || (alone && !outdated) || !backoff.pause(session, queue.clone()).await {
                return Ok(queue);
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
        lock_queue_of(self.place.session().coordinator().layout(), self.plan.as_ref(), reply.rows().0)
    }

    /// Since when the own key is in the queue, if it is among the first ones, as many as can have the lock.
    fn held_since(&self, queue: &Queue) -> Option<Revision> {
        let first = queue.candidates().iter().take(usize::try_from(self.permits).unwrap_or(usize::MAX));
        let own = self.place.session().lease();
        first.into_iter().find(|candidate| candidate.lease == own).map(|candidate| candidate.joined)
    }

    /// Among the first in the queue, with a key of this create revision.
    fn locked(self, revision: Revision) -> Lock {
        let gone = self.place.session().watch_own_key(self.place.key().to_vec(), revision);
        let lock = Lock { candidacy: self, revision, gone };
        tracing::info!(plan = lock.plan().map(PlanName::as_str), lock = %lock.name(), token = %lock.token(), "locked");
        lock
    }
}
