//! What a process queues for and holds: the ownership of a plan, a named lock of it.

use std::time::Duration;

use planlease::{
    AcquireOptions, Error, Holder, Lock, LockOptions, Loss, Ownership, Session, TryAcquire, TryLock,
};
use planlease_core::{LockName, PlanName, orphan};

use super::{timers, work::Notice};

/// Something that one process holds at a time, for which the others queue.
pub trait Wanted {
    /// The handle of the process that holds it.
    type Held: Held;

    /// Takes it if the queue is empty; else returns why it cannot be taken now.
    fn take_now(
        &self,
        session: &Session,
    ) -> impl Future<Output = Result<Result<Self::Held, Busy>, Error>> + Send;

    /// Waits for it in the queue.
    fn wait(
        &self,
        session: &Session,
        wait: Option<Duration>,
    ) -> impl Future<Output = Result<Self::Held, Error>> + Send;

    /// Does what comes before the command: recovers lost tasks, and returns how many.
    fn prepare(&self, held: &Self::Held) -> impl Future<Output = Result<usize, Error>> + Send;

    /// Does what its holder has to do while the command runs, and shows it. Does not end.
    fn maintain(&self, held: &Self::Held, show: impl Fn(Notice<'_>)) -> impl Future<Output = ()> {
        let _ = (held, show);
        std::future::pending()
    }
}

/// An ownership or a lock: what the command needs in order to run.
pub trait Held {
    /// The session that it depends on.
    fn session(&self) -> &Session;

    /// Waits until it is lost.
    fn lost(&self) -> impl Future<Output = Loss> + Send;

    /// What the history says about its loss.
    fn explain_loss(&self) -> impl Future<Output = Option<String>> + Send;

    /// Gives it back.
    fn release(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Why something cannot be taken now.
#[derive(Debug)]
pub enum Busy {
    /// Another process holds it.
    Held(Box<Holder>),
    /// It is free, but a lock delay is left.
    Delayed(Duration),
}

/// The ownership of a plan.
#[derive(Clone, Debug)]
pub struct PlanOwnership {
    plan: PlanName,
    lock_delay: Option<Duration>,
    recover: bool,
    timers: bool,
}

impl PlanOwnership {
    /// That of this plan, with the plan's own lock delay; tasks of lost claimants are recovered, and the
    /// timers of the plan are kept.
    #[must_use]
    pub fn new(plan: PlanName) -> Self {
        Self { plan, lock_delay: None, recover: true, timers: true }
    }

    /// With another lock delay than the plan's own.
    #[must_use]
    pub fn lock_delay(self, lock_delay: Option<Duration>) -> Self {
        Self { lock_delay, ..self }
    }

    /// Whether tasks that the last owner left in progress are recovered before the command starts.
    #[must_use]
    pub fn recover(self, recover: bool) -> Self {
        Self { recover, ..self }
    }

    /// Whether the timers of the plan are kept while the command runs: see [`Ownership::keep_timers`].
    #[must_use]
    pub fn timers(self, timers: bool) -> Self {
        Self { timers, ..self }
    }

    fn options(&self, wait: Option<Duration>) -> AcquireOptions {
        AcquireOptions::default().wait(wait).lock_delay(self.lock_delay)
    }
}

impl Wanted for PlanOwnership {
    type Held = Ownership;

    async fn take_now(&self, session: &Session) -> Result<Result<Ownership, Busy>, Error> {
        Ok(match session.try_acquire_with(&self.plan, self.options(None)).await? {
            TryAcquire::Acquired(ownership) => Ok(*ownership),
            TryAcquire::HeldBy(holder) => Err(Busy::Held(Box::new(holder))),
            TryAcquire::Delayed(left) => Err(Busy::Delayed(left)),
        })
    }

    async fn wait(&self, session: &Session, wait: Option<Duration>) -> Result<Ownership, Error> {
        session.acquire(&self.plan, self.options(wait)).await
    }

    async fn prepare(&self, ownership: &Ownership) -> Result<usize, Error> {
        if !self.recover {
            return Ok(0);
        }
        // With timers, what may run again rests first.
        let recovery = if self.timers { orphan::recovery_after_rest } else { orphan::recovery };
        ownership.recover_with(recovery).await.map(|(recovered, _)| recovered.len())
    }

    async fn maintain(&self, ownership: &Ownership, show: impl Fn(Notice<'_>)) {
        if self.timers {
            timers::keep(ownership, self.recover, show).await;
        } else {
            std::future::pending().await
        }
    }
}

impl Held for Ownership {
    fn session(&self) -> &Session {
        self.session()
    }

    async fn lost(&self) -> Loss {
        self.lost().await
    }

    async fn explain_loss(&self) -> Option<String> {
        self.explain_loss().await.ok()
    }

    async fn release(self) -> Result<(), Error> {
        self.release().await
    }
}

/// A named lock, of a plan or of the namespace.
#[derive(Clone, Debug)]
pub struct NamedLock {
    lock: LockName,
    options: LockOptions,
}

impl NamedLock {
    /// The lock of this name, with these options; how long to wait is said by its [`Patience`].
    ///
    /// [`Patience`]: super::Patience
    #[must_use]
    pub fn new(lock: LockName, options: LockOptions) -> Self {
        Self { lock, options }
    }
}

impl Wanted for NamedLock {
    type Held = Lock;

    async fn take_now(&self, session: &Session) -> Result<Result<Lock, Busy>, Error> {
        Ok(match session.try_lock_with(&self.lock, self.options.clone()).await? {
            TryLock::Locked(lock) => Ok(*lock),
            TryLock::HeldBy(holder) => Err(Busy::Held(holder)),
        })
    }

    async fn wait(&self, session: &Session, wait: Option<Duration>) -> Result<Lock, Error> {
        session.lock_with(&self.lock, self.options.clone().wait(wait)).await
    }

    async fn prepare(&self, _lock: &Lock) -> Result<usize, Error> {
        Ok(0)
    }
}

impl Held for Lock {
    fn session(&self) -> &Session {
        self.session()
    }

    async fn lost(&self) -> Loss {
        self.lost().await
    }

    async fn explain_loss(&self) -> Option<String> {
        None
    }

    async fn release(self) -> Result<(), Error> {
        self.release().await
    }
}
