//! One connection for one kind of traffic, to one endpoint at a time: sticky while it works, moved on when it fails.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use etcd_client::{Client, GetOptions, ResponseHeader};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};

use super::{
    channel::{self, Traffic},
    fault::Fault,
};
use crate::config::{Config, Endpoint};

/// The cluster that all endpoints have to belong to, once it is known: two clusters in one list would have two owners.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) cluster_id: u64,
    /// A key that may be read: the store's.
    pub(super) key: Vec<u8>,
}

impl Cluster {
    /// Refuses a server of another cluster before anything is asked of it. One read.
    async fn check(&self, client: &Client, timeout: Duration) -> Result<(), Fault> {
        let options = GetOptions::new().with_keys_only();
        let mut kv = client.kv_client();
        let answer = match tokio::time::timeout(timeout, kv.get(self.key.clone(), Some(options))).await {
            Ok(answer) => answer.map_err(|error| Fault::of(error).never_sent())?,
            Err(_) => return Err(Fault::timeout(timeout).never_sent()),
        };
        let found = answer.header().map_or(0, ResponseHeader::cluster_id);
        if found == self.cluster_id { Ok(()) } else { Err(Fault::other_cluster(found, self.cluster_id)) }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    config: Config,
    require_leader: bool,
    traffic: Traffic,
    cluster: Arc<OnceLock<Cluster>>,
    state: Mutex<State>,
}

/// A connection that is being made, for all who wait for it: a burst of calls makes one, and whoever is polled drives
/// it. A lock would be held by a caller that nobody polls any more, and the others would wait for ever.
type Connecting = BoxFuture<'static, Result<Arc<Client>, Fault>>;

struct State {
    /// Index of the endpoint in use.
    at: usize,
    /// Counts connections: an old fault must not throw away a new connection.
    connection: u64,
    client: Option<Arc<Client>>,
    /// Dropped with the last of those who wait for it.
    connecting: Option<WeakShared<Connecting>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("at", &self.at)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// A client, and how to say that its connection failed.
pub(super) struct Connected {
    pub(super) client: Arc<Client>,
    pub(super) endpoint: Endpoint,
    connection: u64,
}

impl Lane {
    pub(super) fn new(
        config: &Config,
        require_leader: bool,
        traffic: Traffic,
        cluster: Arc<OnceLock<Cluster>>,
    ) -> Self {
        Self {
            config: config.clone(),
            require_leader,
            traffic,
            cluster,
            state: Mutex::new(State { at: 0, connection: 0, client: None, connecting: None }),
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The connection in use, or a new one to the present endpoint. If that fails, the next call tries the next one.
    pub(super) async fn connected(&self) -> Result<Connected, Fault> {
        let (connecting, endpoint, connection) = {
            let mut state = self.state();
            let endpoint = self.config.endpoints[state.at].clone();
            let connection = state.connection;
            if let Some(client) = state.client.clone() {
                return Ok(Connected { client, endpoint, connection });
            }
            let under_way = state.connecting.as_ref().and_then(WeakShared::upgrade);
            let connecting = under_way.unwrap_or_else(|| self.connect(endpoint.clone(), connection));
            state.connecting = connecting.downgrade();
            (connecting, endpoint, connection)
        };
        match connecting.await {
            Ok(client) => {
                let mut state = self.state();
                if state.connection == connection {
                    state.connection += 1;
                    state.client = Some(Arc::clone(&client));
                }
                Ok(Connected { client, endpoint, connection: connection + 1 })
            }
            Err(fault) => {
                self.eject(connection);
                Err(fault.at(endpoint))
            }
        }
    }

    /// Connects to an endpoint, and makes sure that it is of our cluster.
    fn connect(&self, endpoint: Endpoint, connection: u64) -> Shared<Connecting> {
        let (config, traffic, cluster) =
            (self.config.clone(), self.traffic.clone(), Arc::clone(&self.cluster));
        let require_leader = self.require_leader;
        let connect = async move {
            let client = channel::connect(&config, &endpoint, require_leader, traffic).await?;
            // The first connection goes to the endpoint that the store was found on a moment ago.
            if let Some(cluster) = cluster.get().filter(|_| connection > 0) {
                cluster.check(&client, config.request_timeout).await?;
            }
            Ok(Arc::new(client))
        };
        connect.boxed().shared()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up the connection in which something failed, and moves on to the next endpoint. Does nothing if somebody
    /// else did already.
    fn eject(&self, connection: u64) {
        let mut state = self.state();
        if state.connection == connection {
            state.connection += 1;
            state.client = None;
            state.connecting = None;
            state.at = (state.at + 1) % self.config.endpoints.len();
        }
    }

    /// As [`Lane::eject`], by the connection itself.
    pub(super) fn give_up(&self, connected: &Connected) {
        self.eject(connected.connection);
    }

    /// One request with one answer, bounded in time.
    pub(super) async fn call<T, F>(&self, call: impl FnOnce(Arc<Client>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let connected = self.connected().await?;
        let timeout = self.config.request_timeout;
        let answer = match tokio::time::timeout(timeout, call(Arc::clone(&connected.client))).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::timeout(timeout)),
        };
        answer.map_err(|fault| {
            if fault.is_endpoints() {
                self.give_up(&connected);
            }
            fault.at(&connected.endpoint)
        })
    }
}
