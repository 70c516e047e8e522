//! A session: the lease of this process, with the registration that shows it to others, the renewal that
//! keeps it alive, and the reservations of what hangs on it.

mod cleanup;
mod identity;
mod registration;
mod renewal;
mod reservations;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use planlease_core::{
    LeaseId, OrchestratorId, Revision,
    offer::Load,
    session::{LossReason, Machine, Status, Timing},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

pub(crate) use self::{
    cleanup::Cleanup,
    reservations::{Reservable, Reservations},
};
use self::{
    cleanup::{Message, clean_up},
    registration::Registration,
    renewal::{Gate, Renewer},
};
pub use self::{identity::Identity, renewal::Progress, reservations::MAX_HELD};
use crate::{
    clock::Clock,
    companion::Companion,
    config::ConfigError,
    coordinator::Coordinator,
    error::Error,
    key_watch::{Gone, KeyWatch},
    span,
};

/// A lease that is kept alive, and everything that hangs on it. Cheap to clone; the session ends with
/// [`Session::close`], or some time after the last clone is dropped or the runtime on which it was opened has
/// ended (when its lease expires).
///
/// It is renewed on a thread of its own, or where [`Config::renewals`](crate::Config::renewals) says: a
/// program that blocks its runtime keeps its sessions.
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
    /// `None` for a session that is not shown to others.
    registration: Option<Registration>,
    status: watch::Receiver<Status>,
    cancel: CancellationToken,
    key_watch: KeyWatch,
    reservations: Reservations,
    /// Whether a task has taken permits of a pool under it.
    took_permits: AtomicBool,
    cleanup: mpsc::UnboundedSender<Message>,
    gate: watch::Sender<Gate>,
    /// Shared with the task that releases: what is released when the session is dropped comes first.
    companion: Option<Arc<Companion>>,
    tasks: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
    /// What the session does in the background runs in it.
    span: Span,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Coordinator {
    /// Opens a session: a lease that is kept alive, shown to others as an orchestrator.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::Identity;
    ///
    /// let session = coordinator.open_session(Identity::of_process().label("zone", "b")).await?;
    /// session.close().await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::IdentityTaken`], [`Error::TtlNotGranted`], and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, a lease may be left; it expires after its TTL.
    pub async fn open_session(&self, identity: Identity) -> Result<Session, Error> {
        Session::open(self, identity, true).await
    }

    /// As [`Coordinator::open_session`], without a registration: for a short job.
    ///
    /// # Errors
    /// As [`Coordinator::open_session`].
    ///
    /// # Cancel safety
    /// As [`Coordinator::open_session`].
    pub async fn open_unregistered_session(&self, identity: Identity) -> Result<Session, Error> {
        Session::open(self, identity, false).await
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
        let id = identity.name(etcd)?;
        let lease = etcd.random().lease_id();
        let span = span::session(lease, &id);
        let opening = Self::granted(coordinator, (id, identity), lease, register, span.clone());
        opening.instrument(span).await
    }

    /// A session with this lease, which is asked for.
    async fn granted(
        coordinator: &Coordinator,
        (id, identity): (OrchestratorId, Identity),
        lease: LeaseId,
        register: bool,
        span: Span,
    ) -> Result<Self, Error> {
        let etcd = coordinator.etcd();
        let config = etcd.config();
        let asked = config.clock.boot();
        let ttl = etcd.grant(lease, config.ttl).await?;
        if ttl >= config.ttl + Duration::from_secs(1) {
            // A takeover would take longer than the user expects: better to report it now.
            etcd.revoke(lease).await?;
            return Err(Error::TtlNotGranted { asked: config.ttl, granted: ttl });
        }
        let timing = Timing { ttl, ..config.timing() }.validate().map_err(ConfigError::from)?;
        let machine = Machine::open(timing, asked);
        let companion = Companion::start(config, lease, ttl); // Before anything that others could wait for.
        let registration = match register {
            true => Some(Registration::write(coordinator, &identity, &id, lease).await?),
            false => None,
        };
        Ok(Self::start(coordinator, (id, identity), (lease, registration, companion), machine, span))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the session owns its tasks, stops them and waits for them in close"
    )]
    fn start(
        coordinator: &Coordinator,
        (id, identity): (OrchestratorId, Identity),
        (lease, registration, companion): (LeaseId, Option<Registration>, Option<Companion>),
        machine: Machine,
        span: Span,
    ) -> Self {
        let etcd = coordinator.etcd();
        let timing = machine.timing();
        let cancel = CancellationToken::new();
        let (cleanup, inbox) = mpsc::unbounded_channel();
        let (gate, gate_seen) = watch::channel(None);
        let (renewer, status) = Renewer::new(etcd, lease, machine, gate_seen);
        let cleaning = clean_up(coordinator.clone(), inbox, status.clone());
        let end = cancel.clone().drop_guard();
        let companion = companion.map(Arc::new);
        let beside = companion.clone();
        let release = async move {
            let _end = end; // Where nothing can be released any more, since the runtime ends, nothing is renewed.
            cleaning.await;
            drop(beside);
        };
        let tasks = vec![
            etcd.spawn_renewal(renewer.run(cancel.clone()).instrument(span.clone())),
            tokio::spawn(release.instrument(span.clone())),
        ];
        Self {
            inner: Arc::new(Inner {
                coordinator: coordinator.clone(),
                id,
                identity,
                lease,
                timing,
                registration,
                status,
                cancel,
                key_watch: KeyWatch::start(etcd.clone(), &span),
                reservations: Reservations::new(),
                took_permits: AtomicBool::new(false),
                cleanup,
                gate,
                companion,
                tasks: tokio::sync::Mutex::new(tasks),
                span,
            }),
        }
    }

    /// Notes that a task takes permits under it, whatever comes of that.
    pub(crate) fn takes_permits(&self) {
        self.inner.took_permits.store(true, Ordering::Relaxed);
    }

    /// Whether a task may have permits under it.
    pub(crate) fn may_have_permits(&self) -> bool {
        self.inner.took_permits.load(Ordering::Relaxed)
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
    /// plans on purpose, with [`LossReason::NoProgress`], some time between that and the TTL later. Without
    /// this a program that is stuck for good keeps its plans: renewals do not need its runtime. A second call
    /// replaces the first.
    #[must_use = "the session ends unless progress is noted"]
    pub fn require_progress(&self, within: Duration) -> Progress {
        let (progress, gate) = Progress::within(within, Arc::clone(&self.inner.coordinator.config().clock));
        self.inner.gate.send_replace(Some(gate));
        progress
    }

    /// Ends the session: stops renewing and revokes the lease, with which everything that hangs on it
    /// disappears in one revision. Ownerships that were not released end uncleanly.
    ///
    /// # Errors
    /// If the lease could not be revoked; it expires by itself then.
    ///
    /// # Cancel safety
    /// If the future is dropped, the lease may be left; it expires after its TTL.
    pub async fn close(self) -> Result<(), Error> {
        let span = self.inner.span.clone();
        self.end().instrument(span).await
    }

    async fn end(self) -> Result<(), Error> {
        let (done, flushed) = oneshot::channel();
        let _ = self.inner.cleanup.send(Message::Flush(done));
        let _ = flushed.await; // Releases that are under way come first; they are bounded.
        self.inner.cancel.cancel();
        self.inner.key_watch.stop().await;
        let revoked = self.inner.coordinator.etcd().revoke(self.inner.lease).await;
        for task in self.inner.tasks.lock().await.drain(..) {
            task.abort(); // The releasing task would wait for clones of this session, which may live on.
            let _ = task.await;
        }
        if let Some(companion) = self.inner.companion.as_ref().filter(|_| revoked.is_ok()) {
            companion.farewell();
        }
        Ok(revoked?)
    }

    /// Reports how loaded this process is, in its registration. One transaction; nothing for a session that
    /// is not shown to others. It is for people and for other orchestrators to read, and decides nothing:
    /// callers report changes only, and seldom.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the load may or may not be written.
    pub async fn report_load(&self, load: &Load) -> Result<(), Error> {
        match &self.inner.registration {
            Some(registration) => registration.write_load(self.inner.coordinator.etcd(), load).await,
            None => Ok(()),
        }
    }

    /// The address at which supervisors announce commands to the companion of the session, if it has one: see
    /// [`Announcement`](crate::companion::Announcement).
    #[must_use]
    pub fn companion(&self) -> Option<&str> {
        self.inner.companion.as_deref().map(Companion::address)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.coordinator.clock()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// The create revision of the registration. `None` for a session that is not shown to others.
    pub(crate) fn registered(&self) -> Option<Revision> {
        self.inner.registration.as_ref().map(Registration::created)
    }

    /// The key of the registration, with the revision that wrote it last: compared by every transaction that
    /// puts a key into a queue. `None` for a session that is not shown to others.
    pub(crate) fn written(&self) -> Option<(Vec<u8>, Revision)> {
        self.inner.registration.as_ref().map(Registration::written)
    }

    /// Notes that the registration was seen as written by this revision. What is under way compares an
    /// earlier one.
    pub(crate) fn seen_written(&self, modified: Revision) {
        if let Some(registration) = &self.inner.registration {
            registration.seen_written(modified);
        }
    }

    /// Makes sure that no transaction which was sent before can put a key into a queue any more: a request
    /// that was given up may still be under way, and arrive when its other compares hold again. The
    /// registration is written again, and they all compare its revision.
    ///
    /// # Errors
    /// As for any request; it is to be done again then.
    pub(crate) async fn fence_stale_joins(&self) -> Result<(), Error> {
        match &self.inner.registration {
            Some(registration) => registration.rewrite(self.inner.coordinator.etcd()).await,
            None => Ok(()),
        }
    }

    /// Keeps watch over a key; see [`KeyWatch::of`].
    pub(crate) fn watch_key(&self, key: Vec<u8>, created: Revision, seen: Revision) -> watch::Receiver<Gone> {
        self.inner.key_watch.of(key, created, seen)
    }

    /// The same over a key that is the session's own; see [`KeyWatch::own`].
    pub(crate) fn watch_own_key(&self, key: Vec<u8>, created: Revision) -> watch::Receiver<Gone> {
        self.inner.key_watch.own(key, created)
    }

    /// What this process has, or waits for, under the session.
    pub(crate) fn reservations(&self) -> &Reservations {
        &self.inner.reservations
    }

    /// The span of the session.
    pub(crate) fn span(&self) -> &Span {
        &self.inner.span
    }

    /// Has the session's task clean up after a handle that was dropped.
    pub(crate) fn clean_up_after(&self, cleanup: impl Cleanup + 'static) {
        // Without a task the session is over, and with it all that hangs on it.
        let _ = self.inner.cleanup.send(Message::CleanUp(Box::new(cleanup)));
    }

    /// The error to report if the session is not alive.
    pub(crate) fn ensure_live(&self) -> Result<(), Error> {
        match self.status() {
            Status::Live { .. } => Ok(()),
            Status::Lost(reason) => Err(Error::session_lost(reason)),
        }
    }
}
