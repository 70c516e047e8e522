//! A session: the lease of this process, the task that renews it, and the registration that shows it to
//! others.
//!
//! The task owns the connection and the timer; the decisions are [`planlease_core::session::Machine`]'s. It
//! never starts over: a lost session is reported, not repaired, since everything that hung on it is lost with
//! it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use planlease_core::{
    BootTime, LeaseId, LockName, OrchestratorId, PlanName, Revision,
    codec::{self, FormatVersion},
    keys::Key,
    record::Registration,
    session::{Command, Event, LossReason, Machine, Status, Timing},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, sleep_until},
    coordinator::Coordinator,
    error::Error,
    etcd::{Branch, Compare, Etcd, Fault, FaultKind, KeepAlive, Op, Transaction},
    ownership::Abandoned,
    retry::Backoff,
    vigil::Vigil,
};

/// The most plans that one session owns or waits for. All of their keys hang on one lease, and etcd deletes
/// them in one transaction when it ends: thousands at once would hold up everybody else.
pub const MAX_HELD: usize = 1_000;

/// The identity of a process.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The orchestrator's name. `None`: made of host, pid and a random part. It names one incarnation: a new
    /// process needs a new one.
    pub id: Option<OrchestratorId>,
    /// The host's name.
    pub host: String,
    /// The boot of the host, where it is known.
    pub boot_id: Option<String>,
    /// The process.
    pub pid: u32,
    /// What its user says about it.
    pub labels: BTreeMap<String, String>,
    /// Where it can be reached.
    pub endpoint: Option<String>,
}

impl Identity {
    /// This process on this host, from the operating system.
    #[must_use]
    pub fn of_process() -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            id: None,
            host: host.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned()),
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            pid: std::process::id(),
            labels: BTreeMap::new(),
            endpoint: None,
        }
    }
}

/// A lease that is kept alive, and everything that hangs on it. Cheap to clone; the session ends with
/// [`Session::close`], or some time after the last clone is dropped (when its lease expires).
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    coordinator: Coordinator,
    id: OrchestratorId,
    identity: Identity,
    lease: LeaseId,
    timing: Timing,
    /// The registration; `None` for a session that is not shown to others.
    registered: Option<Registered>,
    status: watch::Receiver<Status>,
    cancel: CancellationToken,
    vigil: Vigil,
    /// The plans that this process owns or waits for: a second part of it must not share them by accident.
    held: watch::Sender<BTreeMap<Seat, Hold>>,
    abandoned: mpsc::UnboundedSender<Abandoned>,
    gate: watch::Sender<Gate>,
    tasks: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

/// The registration of a session. It is written again, unchanged, to move its mod revision: see
/// [`Session::outdate`].
#[derive(Debug)]
struct Registered {
    key: Vec<u8>,
    value: Vec<u8>,
    /// Its create revision.
    created: Revision,
    /// The revision that wrote it last, as far as is known.
    modified: watch::Sender<Revision>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Session {
    /// Opens a session and, if `register`, shows it to others. One grant, one transaction.
    ///
    /// # Errors
    /// As for any request; [`Error::TtlNotGranted`].
    pub(crate) async fn open(
        coordinator: &Coordinator,
        identity: Identity,
        register: bool,
    ) -> Result<Self, Error> {
        let etcd = coordinator.etcd();
        let config = etcd.config();
        let clock = Arc::clone(&config.clock);
        let id = match &identity.id {
            Some(id) => id.clone(),
            None => made_up_id(etcd, &identity)?,
        };
        let lease = etcd.random().lease_id();
        let asked = clock.boot();
        let ttl = etcd.grant(lease, config.ttl).await?;
        if ttl >= config.ttl + Duration::from_secs(1) {
            // A takeover would take longer than the user expects: better to report it now.
            etcd.revoke(lease).await?;
            return Err(Error::TtlNotGranted { asked: config.ttl, granted: ttl });
        }
        let timing =
            Timing { ttl, ..config.timing() }.validate().map_err(crate::config::ConfigError::from)?;
        let machine = Machine::open(timing, asked);
        let registered = match register {
            true => Some(announce(coordinator, &identity, &id, lease).await?),
            false => None,
        };
        Ok(Self::start(coordinator, (id, identity), (lease, timing, registered), machine))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the session owns its tasks, stops them and waits for them in close"
    )]
    fn start(
        coordinator: &Coordinator,
        (id, identity): (OrchestratorId, Identity),
        (lease, timing, registered): (LeaseId, Timing, Option<Registered>),
        machine: Machine,
    ) -> Self {
        let etcd = coordinator.etcd().clone();
        let cancel = CancellationToken::new();
        let (publish, status) = watch::channel(machine.status());
        let (abandoned, inbox) = mpsc::unbounded_channel();
        let (gate, gate_seen) = watch::channel(None);
        let clock = Arc::clone(&etcd.config().clock);
        let backoff = Backoff::new(Duration::from_millis(50), timing.patience(), None);
        let renewer = Renewer {
            etcd: etcd.clone(),
            clock,
            lease,
            machine,
            publish,
            stream: None,
            gate: gate_seen,
            backoff,
            wake_at: BootTime::since_boot(Duration::ZERO),
        };
        let keeper = coordinator.clone();
        let tasks = vec![
            tokio::spawn(renewer.run(cancel.clone())),
            tokio::spawn(crate::ownership::release_abandoned(keeper, inbox, status.clone())),
        ];
        Self {
            inner: Arc::new(Inner {
                coordinator: coordinator.clone(),
                id,
                identity,
                lease,
                timing,
                registered,
                status,
                cancel,
                vigil: Vigil::start(etcd),
                held: watch::Sender::new(BTreeMap::new()),
                abandoned,
                gate,
                tasks: tokio::sync::Mutex::new(tasks),
            }),
        }
    }

    /// The name of this incarnation.
    #[must_use]
    pub fn id(&self) -> &OrchestratorId {
        &self.inner.id
    }

    /// The lease under it.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.inner.lease
    }

    /// How the session is timed; the TTL is the one that the server granted.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.inner.timing
    }

    /// Whether it can be relied on, looked at by the clock: also right when the renewing task did not get to
    /// run.
    #[must_use]
    pub fn status(&self) -> Status {
        let status = *self.inner.status.borrow();
        match status {
            Status::Live { deadline } if deadline <= self.clock().boot() => {
                Status::Lost(LossReason::DeadlinePassed)
            }
            status => status,
        }
    }

    /// Every change of the status: the deadline moves with each renewal.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.inner.status.clone()
    }

    /// Waits until the session is lost. Cancel safe.
    pub async fn lost(&self) -> LossReason {
        let mut status = self.inner.status.clone();
        match status.wait_for(|status| matches!(status, Status::Lost(_))).await.map(|status| *status) {
            Ok(Status::Lost(reason)) => reason,
            Ok(Status::Live { .. }) | Err(_) => LossReason::Closed,
        }
    }

    /// The coordinator that the session belongs to.
    #[must_use]
    pub fn coordinator(&self) -> &Coordinator {
        &self.inner.coordinator
    }

    /// From now on renews only as long as the work under the session makes progress: as long as
    /// [`Progress::note`] was called within that time. Work that is stuck while its process lives loses its
    /// plans on purpose, with [`LossReason::NoProgress`], some time between that and the TTL later. A second
    /// call replaces the first.
    #[must_use = "the session ends unless progress is noted"]
    pub fn require_progress(&self, within: Duration) -> Progress {
        let last = watch::Sender::new(self.clock().boot());
        self.inner.gate.send_replace(Some((within, last.subscribe())));
        Progress { session: self.clone(), last }
    }

    /// Ends the session: stops renewing and revokes the lease, with which everything that hangs on it
    /// disappears in one revision. Ownerships that were not released end uncleanly.
    ///
    /// # Errors
    /// If the lease could not be revoked; it expires by itself then.
    pub async fn close(self) -> Result<(), Error> {
        let (done, flushed) = oneshot::channel();
        self.abandon(Abandoned::Flush(done));
        let _ = flushed.await; // Releases that are under way come first; they are bounded.
        self.inner.cancel.cancel();
        self.inner.vigil.stop().await;
        let revoked = self.inner.coordinator.etcd().revoke(self.inner.lease).await;
        for task in self.inner.tasks.lock().await.drain(..) {
            task.abort(); // The releasing task would wait for clones of this session, which may live on.
            let _ = task.await;
        }
        Ok(revoked?)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.coordinator.clock()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    pub(crate) fn registered(&self) -> Option<Revision> {
        self.inner.registered.as_ref().map(|registered| registered.created)
    }

    /// The key of the registration, with the revision that wrote it last: compared by every transaction that
    /// puts a key into a line. `None` for a session that is not shown to others.
    pub(crate) fn written(&self) -> Option<(Vec<u8>, Revision)> {
        self.inner.registered.as_ref().map(|own| (own.key.clone(), *own.modified.borrow()))
    }

    /// The registration was seen, as written by this revision. What is under way compares an earlier one.
    pub(crate) fn seen_written(&self, modified: Revision) {
        if let Some(own) = &self.inner.registered {
            own.modified.send_if_modified(|known| {
                let newer = modified > *known;
                *known = modified.max(*known);
                newer
            });
        }
    }

    /// Makes sure that no transaction which was sent before can put a key into a line any more: a request
    /// that was given up may still be under way, and arrive when its other compares hold again. The
    /// registration is written again, and they all compare its revision.
    ///
    /// # Errors
    /// As for any request; it is to be done again then.
    pub(crate) async fn outdate(&self) -> Result<(), Error> {
        let Some(own) = &self.inner.registered else { return Ok(()) };
        let txn = Transaction::when([Compare::Created(own.key.clone(), Some(own.created))])
            .then([Op::PutLeased(own.key.clone(), own.value.clone(), self.inner.lease)]);
        let reply = self.inner.coordinator.etcd().settle(&txn).await?;
        if reply.branch == Branch::Then {
            self.seen_written(reply.revision);
        }
        Ok(()) // If it is gone, so is the session, and nothing of it can be put.
    }

    /// Keeps watch over a key; see [`Vigil::over`].
    pub(crate) fn vigil(
        &self,
        key: Vec<u8>,
        created: Revision,
        seen: Revision,
    ) -> watch::Receiver<crate::vigil::Gone> {
        self.inner.vigil.over(key, created, seen)
    }

    /// The same over a key that is the session's own; see [`Vigil::over_own`].
    pub(crate) fn vigil_over_own(
        &self,
        key: Vec<u8>,
        created: Revision,
    ) -> watch::Receiver<crate::vigil::Gone> {
        self.inner.vigil.over_own(key, created)
    }

    /// Marks the plan, or the lock, as held by this process. What was abandoned and is not cleaned up yet is
    /// waited for: it hangs on the same key of the same lease, so cleaning it up later would take away what
    /// is acquired now.
    pub(crate) async fn hold(&self, seat: impl Into<Seat>) -> Result<Held, Error> {
        let seat = seat.into();
        let mut changes = self.inner.held.subscribe();
        loop {
            let mut found = None;
            let mut full = false;
            self.inner.held.send_if_modified(|held| {
                found = held.get(&seat).copied();
                full = held.len() >= MAX_HELD;
                if found.is_none() && !full {
                    held.insert(seat.clone(), Hold::InUse);
                }
                false // No caller waits for a held plan.
            });
            match found {
                None if full => return Err(Error::TooManyHeld { max: MAX_HELD }),
                None => return Ok(Held { session: self.clone(), seat }),
                Some(Hold::InUse) => return Err(seat.held_locally()),
                Some(Hold::Abandoned) => {
                    let free = changes.wait_for(|held| held.get(&seat) != Some(&Hold::Abandoned));
                    free.await.map_err(|_| Error::SessionLost(LossReason::Closed))?;
                }
            }
        }
    }

    /// As [`Session::hold`], for cleaning up; `None` if the plan is held already.
    pub(crate) fn hold_if_free(&self, plan: &PlanName) -> Option<Held> {
        let seat = Seat::from(plan);
        let mut free = false;
        self.inner.held.send_if_modified(|held| {
            free = !held.contains_key(&seat);
            if free {
                held.insert(seat.clone(), Hold::Abandoned);
            }
            false
        });
        free.then(|| Held { session: self.clone(), seat })
    }

    /// Has an ownership released by the session's task, since its handle was dropped.
    pub(crate) fn abandon(&self, abandoned: Abandoned) {
        // Without a task the session is over, and the ownership with it.
        let _ = self.inner.abandoned.send(abandoned);
    }

    /// The error to report if the session is not alive.
    pub(crate) fn ensure_live(&self) -> Result<(), Error> {
        match self.status() {
            Status::Live { .. } => Ok(()),
            Status::Lost(reason) => Err(Error::SessionLost(reason)),
        }
    }
}

/// What a session can have once only: its key in a line is named after its lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// The ownership of a plan, or a place in its queue.
    Plan(PlanName),
    /// A lock of a plan, likewise.
    Lock(PlanName, LockName),
}

impl From<&PlanName> for Seat {
    fn from(plan: &PlanName) -> Self {
        Self::Plan(plan.clone())
    }
}

impl Seat {
    fn held_locally(&self) -> Error {
        match self {
            Self::Plan(plan) => Error::HeldLocally(plan.clone()),
            Self::Lock(plan, lock) => Error::LockedLocally { plan: plan.clone(), lock: lock.clone() },
        }
    }
}

/// What this process has of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// An ownership, or a place in a queue.
    InUse,
    /// One that was dropped, and that the session's task has still to clean up.
    Abandoned,
}

/// Reports progress of the work under a session. After it is dropped, no progress can be reported.
#[derive(Debug)]
pub struct Progress {
    session: Session,
    last: watch::Sender<BootTime>,
}

impl Progress {
    /// Progress was made just now.
    pub fn note(&self) {
        self.last.send_replace(self.session.clock().boot());
    }
}

/// How long without progress renewals go on, and when there was some.
type Gate = Option<(Duration, watch::Receiver<BootTime>)>;

/// The mark that a plan or a lock is held by this process; taken away when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    session: Session,
    seat: Seat,
}

impl Held {
    /// Whose it is.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The same mark, for what is to be cleaned up: it stays until that is done.
    pub(crate) fn abandoned(self) -> Self {
        self.session.inner.held.send_modify(|held| {
            held.insert(self.seat.clone(), Hold::Abandoned);
        });
        self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.session.inner.held.send_modify(|held| {
            held.remove(&self.seat);
        });
    }
}

fn made_up_id(etcd: &Etcd, identity: &Identity) -> Result<OrchestratorId, Error> {
    let host: String = identity.host.chars().filter(|c| !c.is_control() && *c != '/').take(64).collect();
    let random = etcd.random().uuid().simple().to_string();
    Ok(OrchestratorId::new(format!("{}-{}-{}", host.trim_start_matches('-'), identity.pid, &random[..8]))?)
}

/// Writes the registration.
async fn announce(
    coordinator: &Coordinator,
    identity: &Identity,
    id: &OrchestratorId,
    lease: LeaseId,
) -> Result<Registered, Error> {
    let record = Registration {
        v: FormatVersion::default(),
        host: identity.host.clone(),
        pid: identity.pid,
        boot_id: identity.boot_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: identity.labels.clone(),
        endpoint: identity.endpoint.clone(),
        lease,
        started_at: coordinator.clock().wall(),
        extra: serde_json::Map::new(),
    };
    let key = coordinator.layout().key(&Key::Orchestrator(id.clone()));
    let value = codec::encode(&record)?;
    let txn = Transaction::when([Compare::Created(key.clone(), None)])
        .then([Op::PutLeased(key.clone(), value.clone(), lease)])
        .otherwise([Op::Get(key.clone())]);
    let mut reply = coordinator.etcd().settle(&txn).await?;
    let created = match reply.branch {
        Branch::Then => reply.revision,
        Branch::Otherwise => match reply.row() {
            // A lost answer: it was us.
            Some(entry) if entry.lease == Some(lease) => entry.created,
            _ => return Err(Error::IdentityTaken(id.clone())),
        },
    };
    Ok(Registered { key, value, created, modified: watch::Sender::new(created) })
}

/// The task that renews.
struct Renewer {
    etcd: Etcd,
    clock: Arc<dyn Clock>,
    lease: LeaseId,
    machine: Machine,
    publish: watch::Sender<Status>,
    stream: Option<KeepAlive>,
    gate: watch::Receiver<Gate>,
    backoff: Backoff,
    wake_at: BootTime,
}

impl Renewer {
    async fn run(mut self, cancel: CancellationToken) {
        self.handle(Event::Woke).await;
        while matches!(self.machine.status(), Status::Live { .. }) {
            let clock = Arc::clone(&self.clock);
            let event = tokio::select! {
                biased; // The end first; an answer before the timer, since it may move the deadline.
                () = cancel.cancelled() => Event::CloseRequested,
                answer = answer(&mut self.stream) => self.read(answer),
                () = sleep_until(clock.as_ref(), self.wake_at) => Event::Woke,
            };
            self.handle(event).await;
        }
    }

    async fn handle(&mut self, event: Event) {
        let mut pending = Some(event);
        while let Some(event) = pending.take() {
            for command in self.machine.handle(self.clock.boot(), event) {
                match command {
                    Command::WakeAt(moment) => self.wake_at = moment,
                    Command::Publish(status) => {
                        tracing::debug!(lease = %self.lease, ?status, "session");
                        self.publish.send_replace(status);
                    }
                    Command::Renew { reconnect } => pending = self.renew(reconnect).await,
                }
            }
        }
    }

    /// Sends a renewal; what follows at once, if anything. Never waits longer than until the machine has to
    /// decide.
    async fn renew(&mut self, reconnect: bool) -> Option<Event> {
        if self.stands_still() {
            tracing::warn!(lease = %self.lease, "the work under the session makes no progress: not renewed");
            return Some(Event::HeldBack { retry_after: self.machine.timing().patience() / 4 });
        }
        if reconnect && let Some(stream) = self.stream.take() {
            stream.give_up(&self.etcd);
        }
        let clock = Arc::clone(&self.clock);
        let wake_at = self.machine.wake_at();
        let renewal = async {
            match &mut self.stream {
                Some(stream) => stream.renew().await.map(|()| None),
                None => self.etcd.keep_alive(self.lease).await.map(Some),
            }
        };
        let sent = tokio::select! {
            biased; // An answer that is there counts, however late it is.
            sent = renewal => sent,
            () = sleep_until(clock.as_ref(), wake_at) => return Some(Event::Woke),
        };
        match sent {
            Ok(None) => None,
            Ok(Some(stream)) => {
                // Opening the stream was a renewal, and it was answered.
                self.stream = Some(stream);
                self.backoff.reset();
                Some(Event::Renewed { ttl: self.machine.timing().ttl })
            }
            Err(fault) => Some(self.read(Err(fault))),
        }
    }

    /// Whether progress is required, and there was none for too long.
    fn stands_still(&self) -> bool {
        let gate = self.gate.borrow();
        gate.as_ref().is_some_and(|(within, last)| last.borrow().plus(*within) < self.clock.boot())
    }

    fn read(&mut self, answer: Result<Duration, Fault>) -> Event {
        match answer {
            Ok(ttl) => Event::Renewed { ttl },
            Err(fault) if fault.kind == FaultKind::LeaseNotFound => Event::LeaseGone,
            Err(fault) => {
                tracing::debug!(lease = %self.lease, %fault, "a renewal failed");
                if let Some(stream) = self.stream.take() {
                    stream.give_up(&self.etcd);
                }
                Event::StreamFailed { retry_after: self.backoff.next(self.etcd.random()).unwrap_or_default() }
            }
        }
    }
}

async fn answer(stream: &mut Option<KeepAlive>) -> Result<Duration, Fault> {
    match stream {
        Some(stream) => stream.answer().await,
        None => std::future::pending().await,
    }
}
