//! All sessions of this sidecar: how they begin, how they are found, how they end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use planlease::{Coordinator, Identity, clock::sleep_until, core::session::Status};
use planlease_core::OrchestratorId;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    client_session::{Bond, ClientSession},
    metrics::Metrics,
    origin::Origin,
    problem::{Kind, Problem},
};

/// The label of a registration that says which client the session is of.
const CLIENT: &str = "client";

/// All client sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    clients: Mutex<BTreeMap<Uuid, Arc<ClientSession>>>,
    /// How many there are, also those that are ending.
    count: watch::Sender<usize>,
    room: Arc<Semaphore>,
    most: usize,
    tasks: TaskTracker,
    metrics: Metrics,
}

impl Sessions {
    /// None yet, and at most so many.
    pub(crate) fn new(most: usize, metrics: Metrics) -> Self {
        Self {
            clients: Mutex::default(),
            count: watch::Sender::new(0),
            room: Arc::new(Semaphore::new(most)),
            most,
            tasks: TaskTracker::new(),
            metrics,
        }
    }

    /// Opens one. What is returned besides are its news.
    ///
    /// # Errors
    /// [`Kind::TooMany`], and as for [`Coordinator::open_session`].
    ///
    /// # Cancel safety
    /// A dropped future may leave a lease behind that expires.
    pub(crate) async fn open(
        self: &Arc<Self>,
        coordinator: &Coordinator,
        id: OrchestratorId,
        origin: Origin,
        bond: Bond,
    ) -> Result<(Arc<ClientSession>, mpsc::Receiver<Bytes>), Problem> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let detail = format!("{} sessions are open here, which is the most (--max-sessions)", self.most);
            return Err(Problem::new(Kind::TooMany, detail));
        };
        // What the client calls itself stands beside what it is.
        let labels = [(CLIENT.to_owned(), origin.to_string())].into();
        let identity = Identity::of_process().id(id).labels(labels);
        let session = coordinator.open_session(identity).await?;
        tracing::info!(orchestrator = %session.id(), client = %origin, "a session was opened");
        let (client, news) = ClientSession::new(session, origin, bond, room);
        self.count.send_modify(|count| *count += 1);
        self.clients().insert(client.id, Arc::clone(&client));
        self.tasks.spawn(supervise(Arc::clone(self), Arc::clone(&client)));
        self.tasks.spawn(observe(self.metrics.clone(), Arc::clone(&client)));
        Ok((client, news))
    }

    /// A session by its id.
    ///
    /// # Errors
    /// [`Kind::NoSuchSession`].
    pub(crate) fn get(&self, id: Uuid) -> Result<Arc<ClientSession>, Problem> {
        let client = self.clients().get(&id).cloned();
        client.filter(|client| !client.over.is_cancelled()).ok_or_else(|| {
            Problem::new(Kind::NoSuchSession, "it is over, with all that it owned; open another one")
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<ClientSession>> {
        self.clients().values().cloned().collect()
    }

    /// Ends one, if it is there; waits for that only if the caller does.
    pub(crate) fn end(self: &Arc<Self>, id: Uuid, orderly: bool) -> impl Future<Output = ()> + use<> {
        let client = self.clients().remove(&id);
        let ending = client.map(|client| {
            let sessions = Arc::clone(self);
            self.tasks.spawn(async move {
                client.end(orderly).await;
                sessions.count.send_modify(|count| *count -= 1);
            })
        });
        async move {
            if let Some(ending) = ending {
                drop(ending.await);
            }
        }
    }

    /// Waits until there is none.
    pub(crate) async fn none(&self) {
        drop(self.count.subscribe().wait_for(|count| *count == 0).await);
    }

    /// Ends all, in order.
    pub(crate) async fn end_all(self: &Arc<Self>) {
        let ids: Vec<Uuid> = self.clients().keys().copied().collect();
        let endings: Vec<_> = ids.into_iter().map(|id| self.end(id, true)).collect();
        futures_util::future::join_all(endings).await;
        self.none().await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<ClientSession>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a session that is lost, or that was not heard of for too long.
async fn supervise(sessions: Arc<Sessions>, client: Arc<ClientSession>) {
    tokio::select! {
        biased; // Who ends in order needs no supervision.
        () = client.over.cancelled() => {}
        _ = client.session.lost() => {}
        () = silence(&client) => {
            tracing::warn!(orchestrator = %client.session.id(), "its program was not heard of for too long");
        }
    }
    drop(sessions.end(client.id, false));
}

/// Counts how long renewals take. A renewal that was sent at some moment makes the deadline that moment, plus
/// the TTL, less the margin; so the deadline shows when it was sent.
///
/// Notes with each that this sidecar is not stuck: renewals do not need its runtime, and what its programs
/// own must not stay with a sidecar that they cannot reach.
async fn observe(metrics: Metrics, client: Arc<ClientSession>) {
    let mut status = client.session.watch_status();
    let timing = client.session.timing();
    let progress = client.session.require_progress(timing.ttl * 2);
    while tokio::select! {
        biased; // At the end nothing is renewed any more.
        () = client.over.cancelled() => false,
        changed = status.changed() => changed.is_ok(),
    } {
        progress.note();
        if let Status::Live { deadline } = *status.borrow_and_update() {
            let sent = deadline.plus(timing.margin).minus(timing.ttl);
            metrics.renewal(sent.until(client.session.coordinator().clock().boot()));
        }
    }
}

/// Resolves when the program was not heard of for as long as it may be silent.
async fn silence(client: &ClientSession) {
    let Bond::Heartbeat(every) = client.bond else { return std::future::pending().await };
    let mut heard = client.heard();
    loop {
        let last = *heard.borrow_and_update();
        tokio::select! {
            biased; // Who is heard of at the last moment lives.
            _ = heard.changed() => {}
            () = sleep_until(client.session.coordinator().clock(), last.plus(every)) => return,
        }
    }
}

/// A duration in seconds that a client asks for, within a bound.
///
/// # Errors
/// [`Kind::BadRequest`].
pub(crate) fn seconds(name: &str, asked: f64, most: Duration) -> Result<Duration, Problem> {
    let duration = Duration::try_from_secs_f64(asked).ok().filter(|duration| *duration <= most);
    duration.ok_or_else(|| {
        let most = most.as_secs();
        Problem::new(Kind::BadRequest, format!("{name} has to be a number of seconds from 0 to {most}"))
    })
}
