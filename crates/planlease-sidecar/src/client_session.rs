//! A session of a program: its lease in etcd, and the plans and locks that hang on it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use planlease::{AcquireOptions, Authority, Error, Lock, Ownership, Session, TryAcquire, TryLock};
use planlease_core::{BootTime, LockName, PlanName};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    cancelled::Claims,
    origin::Origin,
    problem::{Kind, Problem},
};

/// How long an orderly end waits for the releases of a session.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// How a session is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bond {
    /// By a connection: as long as it stands.
    Connection,
    /// By being heard of at least so often.
    Heartbeat(Duration),
}

/// One client session, with its ownerships, locks and waits.
#[derive(Debug)]
pub(crate) struct ClientSession {
    pub(crate) id: Uuid,
    pub(crate) session: Session,
    /// Which client has opened it.
    pub(crate) origin: Origin,
    pub(crate) bond: Bond,
    plans: Mutex<BTreeMap<PlanName, Kept<Ownership>>>,
    locks: Mutex<BTreeMap<(PlanName, LockName), Kept<Lock>>>,
    /// What it has claimed, for events of cancellations.
    pub(crate) claims: Claims,
    news: mpsc::Sender<Bytes>,
    heard: watch::Sender<BootTime>,
    /// The session is over, or is to be.
    pub(crate) over: CancellationToken,
    tasks: TaskTracker,
    _room: OwnedSemaphorePermit,
}

/// A right that hangs on a session, and the task that looks after it.
#[derive(Debug)]
struct Kept<T> {
    right: Arc<T>,
    stop: CancellationToken,
    maintenance: tokio::task::JoinHandle<()>,
}

impl<T> Kept<T> {
    /// Takes it back from who looks after it. `None` if a request that is under way has it as well: it is
    /// released when that drops it.
    async fn take(self) -> Option<T> {
        self.stop.cancel();
        let _ended = self.maintenance.await;
        Arc::into_inner(self.right)
    }
}

impl ClientSession {
    /// A session, and the news of it.
    pub(crate) fn new(
        session: Session,
        origin: Origin,
        bond: Bond,
        room: OwnedSemaphorePermit,
    ) -> (Arc<Self>, mpsc::Receiver<Bytes>) {
        let (news, inbox) = mpsc::channel(crate::options::MAX_NEWS);
        let heard = watch::Sender::new(session.coordinator().clock().boot());
        let client = Self {
            id: Uuid::new_v4(),
            session,
            origin,
            bond,
            plans: Mutex::default(),
            locks: Mutex::default(),
            claims: Claims::default(),
            news,
            heard,
            over: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _room: room,
        };
        (Arc::new(client), inbox)
    }

    /// Its program was heard of.
    pub(crate) fn note(&self) {
        self.heard.send_replace(self.session.coordinator().clock().boot());
    }

    /// When its program was heard of last, and again each time that it is.
    pub(crate) fn heard(&self) -> watch::Receiver<BootTime> {
        self.heard.subscribe()
    }

    /// Sends an event to the program. If the program does not read its events, the session ends: it would not
    /// learn of a loss.
    pub(crate) fn tell(&self, event: Bytes) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.news.try_send(event) {
            tracing::warn!(orchestrator = %self.session.id(), "its program does not read its events");
            self.over.cancel();
        }
    }

    /// The right to a plan's tasks: the owner's if the session owns the plan, else a worker's.
    ///
    /// # Errors
    /// [`Kind::AuthorityLost`] if the session is over.
    pub(crate) fn authority(&self, plan: &PlanName) -> Result<Authority, Problem> {
        let owned = self.plans().get(plan).map(|owned| owned.right.authority());
        match owned {
            Some(authority) => Ok(authority),
            None => Ok(self.session.coordinator().worker(&self.session, plan)?),
        }
    }

    /// Acquires a plan; waits in its queue for so long. A repeated request gets the same answer. Dropping the
    /// future leaves the queue.
    ///
    /// # Errors
    /// [`Kind::Held`] if another process has it, and as for [`Session::acquire`].
    pub(crate) async fn acquire(
        &self,
        plan: &PlanName,
        wait: Option<Duration>,
    ) -> Result<Ownership, Problem> {
        if wait == Some(Duration::ZERO) {
            return match self.session.try_acquire(plan).await? {
                TryAcquire::Delayed(left) => {
                    let left = left.as_millis().div_ceil(1000);
                    let detail = format!(
                        "the last ownership of {plan} did not end in order; its lock delay ends in {left} s"
                    );
                    let left = u64::try_from(left).unwrap_or(u64::MAX);
                    Err(Problem::new(Kind::Held, detail).with("retry_after_s", left))
                }
                TryAcquire::Acquired(ownership) => Ok(*ownership),
                TryAcquire::HeldBy(holder) => {
                    let by = holder.candidate.name();
                    let detail = format!("{by} owns {plan}, or is about to; {} wait", holder.waiting);
                    Err(Problem::new(Kind::Held, detail).with("owner", by))
                }
            };
        }
        match self.session.acquire(plan, AcquireOptions::default().wait(wait)).await {
            Ok(ownership) => Ok(ownership),
            Err(Error::TimedOut(why)) => Err(Problem::new(Kind::Held, why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps an ownership, and looks after it by the task that `maintain` makes of it.
    pub(crate) fn keep<F>(
        &self,
        ownership: Ownership,
        maintain: impl FnOnce(Arc<Ownership>, CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (right, stop) = (Arc::new(ownership), CancellationToken::new());
        let maintenance = self.tasks.spawn(maintain(Arc::clone(&right), stop.clone()));
        self.plans().insert(right.plan().clone(), Kept { right, stop, maintenance });
    }

    /// The session does not own the plan any more. Whether it had thought that it does.
    pub(crate) fn forget(&self, plan: &PlanName) -> bool {
        self.plans().remove(plan).is_some()
    }

    /// Releases a plan: the next waiter owns it at once.
    ///
    /// # Errors
    /// [`Kind::AuthorityLost`] if the session does not own it, and as for [`Ownership::release`].
    pub(crate) async fn release(&self, plan: &PlanName) -> Result<(), Problem> {
        let kept = self.plans().remove(plan);
        let Some(kept) = kept else {
            return Err(Problem::new(Kind::AuthorityLost, format!("this session does not own {plan}")));
        };
        match kept.take().await {
            Some(ownership) => Ok(ownership.release().await?),
            None => Ok(()),
        }
    }

    /// Takes a lock; waits in its queue for so long. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Kind::Held`] if another process has it, and as for [`Session::lock`].
    pub(crate) async fn lock(
        &self,
        plan: &PlanName,
        name: &LockName,
        wait: Duration,
    ) -> Result<Lock, Problem> {
        if wait.is_zero() {
            return match self.session.try_lock(plan, name).await? {
                TryLock::Locked(lock) => Ok(*lock),
                TryLock::HeldBy(holder) => {
                    let by = holder.candidate.name();
                    let detail = format!("{by} has lock {name} of {plan}; {} wait", holder.waiting);
                    Err(Problem::new(Kind::Held, detail).with("holder", by))
                }
            };
        }
        match self.session.lock(plan, name, Some(wait)).await {
            Ok(lock) => Ok(lock),
            Err(Error::TimedOut(why)) => Err(Problem::new(Kind::Held, why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a lock of a plan, and looks after it by the task that `maintain` makes of it.
    pub(crate) fn keep_lock<F>(
        &self,
        plan: &PlanName,
        lock: Lock,
        maintain: impl FnOnce(Arc<Lock>, CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (right, stop) = (Arc::new(lock), CancellationToken::new());
        let maintenance = self.tasks.spawn(maintain(Arc::clone(&right), stop.clone()));
        let key = (plan.clone(), right.name().clone());
        self.locks().insert(key, Kept { right, stop, maintenance });
    }

    /// The session does not have the lock any more. Whether it had thought that it does.
    pub(crate) fn forget_lock(&self, plan: &PlanName, name: &LockName) -> bool {
        self.locks().remove(&(plan.clone(), name.clone())).is_some()
    }

    /// Lets go of a lock.
    ///
    /// # Errors
    /// [`Kind::AuthorityLost`] if the session does not have it, and as for [`Lock::release`].
    pub(crate) async fn unlock(&self, plan: &PlanName, name: &LockName) -> Result<(), Problem> {
        let kept = self.locks().remove(&(plan.clone(), name.clone()));
        let Some(kept) = kept else {
            return Err(Problem::new(Kind::AuthorityLost, format!("this session does not have lock {name}")));
        };
        match kept.take().await {
            Some(lock) => Ok(lock.release().await?),
            None => Ok(()),
        }
    }

    /// Ends it. `orderly`: its program has said so, and what it owns is released first. Otherwise the lease
    /// is revoked with all that hangs on it, and the terms end uncleanly, as after a crash: it is unknown
    /// whether the program still works.
    pub(crate) async fn end(&self, orderly: bool) {
        if orderly {
            let releasing = tokio::time::timeout(RELEASE_WITHIN, self.release_all());
            if releasing.await.is_err() {
                tracing::warn!(orchestrator = %self.session.id(), "not all was released in time; it ends with the session");
            }
        }
        if let Err(error) = self.session.clone().close().await {
            tracing::info!(orchestrator = %self.session.id(), %error, "the session was not closed; it expires");
        }
        self.over.cancel();
        for kept in self.plans().values() {
            kept.stop.cancel();
        }
        for kept in self.locks().values() {
            kept.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
        self.plans().clear();
        self.locks().clear();
    }

    async fn release_all(&self) {
        let plans: Vec<PlanName> = self.plans().keys().cloned().collect();
        for plan in plans {
            if let Err(problem) = self.release(&plan).await {
                tracing::info!(%plan, why = problem.detail(), "not released; it ends with the session");
            }
        }
        let locks: Vec<(PlanName, LockName)> = self.locks().keys().cloned().collect();
        for (plan, name) in locks {
            if let Err(problem) = self.unlock(&plan, &name).await {
                tracing::info!(%plan, %name, why = problem.detail(), "not released; it ends with the session");
            }
        }
    }

    /// Looks at the ownership of a plan, if it is there.
    pub(crate) fn look_at<T>(&self, plan: &PlanName, look: impl FnOnce(&Ownership) -> T) -> Option<T> {
        self.plans().get(plan).map(|kept| look(&kept.right))
    }

    /// Looks at all that it owns.
    pub(crate) fn look_at_plans<T>(&self, look: impl Fn(&Ownership) -> T) -> Vec<T> {
        self.plans().values().map(|kept| look(&kept.right)).collect()
    }

    /// Looks at all that it has locked.
    pub(crate) fn look_at_locks<T>(&self, look: impl Fn(&PlanName, &Lock) -> T) -> Vec<T> {
        self.locks().iter().map(|((plan, _), kept)| look(plan, &kept.right)).collect()
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<PlanName, Kept<Ownership>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<(PlanName, LockName), Kept<Lock>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
