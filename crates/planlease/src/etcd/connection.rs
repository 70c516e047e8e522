//! One connection for one kind of traffic, to one endpoint at a time: sticky while it works. When there is
//! none, or it failed, the endpoints are tried in parallel with a stagger, and the first one that answers is
//! used.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use etcd_client::{Client, GetOptions};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    channel::{self, Traffic},
    fault::Fault,
    known::Known,
    look::look,
};
use crate::{
    config::{Config, Endpoint},
    race::first_success,
};

/// What the connections of one etcd share: how to connect, what was found out about the endpoints.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) config: Config,
    pub(super) traffic: Traffic,
    /// A key that every user may read: the store's.
    probe: Vec<u8>,
    /// The cluster that all endpoints have to belong to, once it is known.
    known: OnceLock<Known>,
    /// Index of the endpoint that is tried first: the one that answered last, or the one after it if it
    /// failed since.
    first: AtomicUsize,
}

impl Endpoints {
    pub(super) fn new(config: Config, probe: Vec<u8>) -> Self {
        let (traffic, known, first) = (Traffic::default(), OnceLock::new(), AtomicUsize::new(0));
        Self { config, traffic, probe, known, first }
    }

    /// From now on every new connection has to lead to this cluster.
    pub(super) fn pin(&self, known: Known) {
        // A second caller has found the same cluster: all requests go over one connection until then.
        let _ = self.known.set(known);
    }

    /// Whether the cluster is known: some connection has worked.
    pub(super) fn is_pinned(&self) -> bool {
        self.known.get().is_some()
    }

    /// Reads the probe key.
    pub(super) async fn ping(&self, client: &Client) -> Result<(), Fault> {
        let options = GetOptions::new().with_keys_only();
        client.kv_client().get(self.probe.clone(), Some(options)).await.map_err(Fault::of).map(drop)
    }

    /// Waits for an answer; refuses a server that is not of our cluster as we know it.
    async fn check(&self, client: &Client) -> Result<(), Fault> {
        let Some(known) = self.known.get() else { return self.ping(client).await };
        let before = known.marks();
        known.check(&before, &look(client, &self.probe).await?)
    }

    /// The indices of all endpoints, in the order in which they are tried.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.first.load(Ordering::Relaxed), self.config.endpoints.len());
        (0..count).map(move |n| (first + n) % count)
    }

    fn failed(&self, at: usize) {
        let next = (at + 1) % self.config.endpoints.len();
        // Where another connection has found a better one meanwhile, that one stays the first.
        let _ = self.first.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Connects to one endpoint. `probe`: also waits for an answer, which only a member with a majority
    /// behind it gives, and refuses a member of another cluster, or of a restored one, before anything is
    /// asked of it.
    async fn connect(
        &self,
        at: usize,
        require_leader: bool,
        probe: bool,
        progress: &Progress,
    ) -> Result<Client, Fault> {
        let endpoint = &self.config.endpoints[at];
        let client = channel::connect(&self.config, endpoint, require_leader, self.traffic.clone()).await?;
        if !probe {
            return Ok(client);
        }
        progress.set(at, Fault::unanswered());
        match timeout(self.config.request_timeout, self.check(&client)).await {
            Ok(checked) => checked.map_err(|fault| fault.never_sent().before_any_answer(endpoint))?,
            Err(_) => return Err(Fault::unanswered()),
        }
        Ok(client)
    }
}

/// How far the attempts of one race have come: each with the fault that it has, if it ends here.
#[derive(Debug, Default)]
struct Progress(Mutex<Vec<(usize, Fault)>>);

impl Progress {
    fn set(&self, at: usize, fault: Fault) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(index, _)| *index != at);
        all.push((at, fault));
        all.sort_by_key(|(index, _)| *index);
    }

    /// Why there is no connection.
    fn fault(&self, endpoints: &[Endpoint]) -> Fault {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Fault::of_all(all.iter().map(|(at, fault)| (&endpoints[*at], fault.clone())))
    }
}

/// One connection to the endpoint that answers first, made again when it breaks.
#[derive(Debug)]
pub(super) struct EndpointConnection {
    endpoints: Arc<Endpoints>,
    require_leader: bool,
    state: Mutex<State>,
}

/// A connection that is being made, for all callers that wait for it: a burst of calls makes one, and every
/// caller that is polled drives it. A lock would be held by a caller that is not polled any more, and the
/// others would wait for ever.
type Connecting = BoxFuture<'static, Result<(Arc<Client>, usize), Fault>>;

#[derive(Default)]
struct State {
    /// Counts connections: an old fault must not throw away a new connection.
    connection: u64,
    /// The connection in use, and the index of its endpoint.
    current: Option<(Arc<Client>, usize)>,
    /// Dropped with the last of those that wait for it.
    connecting: Option<WeakShared<Connecting>>,
    /// How far it has come, or came.
    progress: Arc<Progress>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// A client, and how to say that its connection failed.
pub(super) struct Connected {
    pub(super) client: Arc<Client>,
    pub(super) endpoint: Endpoint,
    at: usize,
    connection: u64,
}

impl EndpointConnection {
    pub(super) fn new(endpoints: Arc<Endpoints>, require_leader: bool) -> Self {
        Self { endpoints, require_leader, state: Mutex::default() }
    }

    pub(super) fn config(&self) -> &Config {
        &self.endpoints.config
    }

    /// The connection in use, or a new one to the first endpoint that answers. Takes as long as the slowest
    /// of its attempts may, if all fail.
    pub(super) async fn connected(&self) -> Result<Connected, Fault> {
        let (connecting, connection) = {
            let mut state = self.state();
            let connection = state.connection;
            if let Some((client, at)) = state.current.clone() {
                return Ok(self.connected_to(client, at, connection));
            }
            let under_way = state.connecting.as_ref().and_then(WeakShared::upgrade);
            let connecting = under_way.unwrap_or_else(|| {
                state.progress = Arc::default();
                self.connect(connection, Arc::clone(&state.progress))
            });
            state.connecting = connecting.downgrade();
            (connecting, connection)
        };
        let ended = connecting.await;
        let mut state = self.state();
        if state.connection == connection {
            state.connection += 1;
            state.connecting = None;
            state.current = ended.clone().ok();
        }
        drop(state);
        ended.map(|(client, at)| self.connected_to(client, at, connection + 1))
    }

    fn connected_to(&self, client: Arc<Client>, at: usize, connection: u64) -> Connected {
        Connected { client, endpoint: self.config().endpoints[at].clone(), at, connection }
    }

    /// Connects to the first endpoint that answers.
    fn connect(&self, connection: u64, progress: Arc<Progress>) -> Shared<Connecting> {
        let (endpoints, require_leader) = (Arc::clone(&self.endpoints), self.require_leader);
        // The only endpoint needs no test before its first use: there is nothing to prefer to it, and its
        // cluster is either not known yet or was found there a moment ago. But only an answer shows that it
        // accepts our certificate.
        let only = match endpoints.config.endpoints.as_slice() {
            [only] => !only.is_encrypted(),
            _ => false,
        };
        let probe = !only || (connection > 0 && endpoints.is_pinned());
        let race = async move {
            let attempts = endpoints.order().map(|at| {
                let (endpoints, progress) = (&endpoints, &progress);
                async move {
                    progress.set(at, Fault::unconnected());
                    let connected = endpoints.connect(at, require_leader, probe, progress).await;
                    connected.map(|client| (Arc::new(client), at)).map_err(|fault| progress.set(at, fault))
                }
            });
            let (client, at) =
                first_success(attempts).await.map_err(|_| progress.fault(&endpoints.config.endpoints))?;
            endpoints.first.store(at, Ordering::Relaxed);
            Ok((client, at))
        };
        race.boxed().shared()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up a connection in which something failed, so that the next call makes another one, to another
    /// endpoint if that answers. Does nothing if another caller did already.
    pub(super) fn give_up(&self, connected: &Connected) {
        let mut state = self.state();
        if state.connection == connected.connection {
            state.connection += 1;
            state.current = None;
            state.connecting = None;
            self.endpoints.failed(connected.at);
        }
    }

    /// One request with one answer, bounded in time; by `deadline` in all.
    pub(super) async fn call<T, F>(
        &self,
        deadline: Instant,
        call: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let connected = match timeout_at(deadline, self.connected()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(self.state().progress.fault(&self.config().endpoints)),
        };
        let request = self.config().request_timeout;
        let patience = request.min(deadline - Instant::now());
        if patience.is_zero() {
            return Err(Fault::no_time_left().at(&connected.endpoint));
        }
        let fault = match timeout(patience, call(Arc::clone(&connected.client))).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(fault)) => fault,
            // Less than the time of a request is not enough to find the connection dead.
            Err(_) if patience < request => return Err(Fault::timeout(patience).at(&connected.endpoint)),
            Err(_) => Fault::timeout(patience),
        };
        if fault.is_connections() {
            self.give_up(&connected);
        }
        Err(fault.at(&connected.endpoint))
    }
}
