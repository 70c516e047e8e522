//! One connection for one kind of traffic, to one endpoint at a time: sticky while it works, moved on when it fails.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use etcd_client::{Client, GetOptions, ResponseHeader};

use super::{
    channel::{self, Traffic},
    fault::Fault,
};
use crate::config::{Config, Endpoint};

/// The cluster that all endpoints have to belong to, once it is known: two clusters in one list would have two owners.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) cluster_id: u64,
    /// A key that may be read: the store's.
    pub(super) key: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    config: Config,
    require_leader: bool,
    traffic: Traffic,
    pin: Arc<OnceLock<Pin>>,
    state: Mutex<State>,
    /// Held while connecting, so that a burst of calls makes one connection.
    connecting: tokio::sync::Mutex<()>,
}

struct State {
    /// Index of the endpoint in use.
    at: usize,
    /// Counts connections: an old fault must not throw away a new connection.
    connection: u64,
    client: Option<Client>,
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
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
    connection: u64,
}

impl Lane {
    pub(super) fn new(
        config: &Config,
        require_leader: bool,
        traffic: Traffic,
        pin: Arc<OnceLock<Pin>>,
    ) -> Self {
        Self {
            config: config.clone(),
            require_leader,
            traffic,
            pin,
            state: Mutex::new(State { at: 0, connection: 0, client: None }),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The connection in use, or a new one to the present endpoint. If that fails, the next call tries the next one.
    pub(super) async fn connected(&self) -> Result<Connected, Fault> {
        if let Some(connected) = self.present() {
            return Ok(connected);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connected) = self.present() {
            return Ok(connected);
        }
        let (endpoint, connection) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (self.config.endpoints[state.at].clone(), state.connection)
        };
        let connect = channel::connect(&self.config, &endpoint, self.require_leader, self.traffic.clone());
        let connected = match connect.await {
            // The first connection goes to the endpoint that the store was found on a moment ago.
            Ok(client) if connection == 0 => Ok(client),
            Ok(client) => self.check_cluster(&client).await.map(|()| client),
            Err(fault) => Err(fault),
        };
        match connected {
            Ok(client) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.connection += 1;
                state.client = Some(client.clone());
                Ok(Connected { client, endpoint, connection: state.connection })
            }
            Err(fault) => {
                self.eject(connection);
                Err(fault.at(endpoint))
            }
        }
    }

    /// Refuses a server of another cluster before anything is asked of it. One read.
    async fn check_cluster(&self, client: &Client) -> Result<(), Fault> {
        let Some(pin) = self.pin.get() else { return Ok(()) };
        let options = GetOptions::new().with_keys_only();
        let mut kv = client.kv_client();
        let timeout = self.config.request_timeout;
        let answer = match tokio::time::timeout(timeout, kv.get(pin.key.clone(), Some(options))).await {
            Ok(answer) => answer.map_err(|error| Fault::of(error).never_sent())?,
            Err(_) => return Err(Fault::timeout(timeout).never_sent()),
        };
        let found = answer.header().map_or(0, ResponseHeader::cluster_id);
        if found == pin.cluster_id { Ok(()) } else { Err(Fault::other_cluster(found, pin.cluster_id)) }
    }

    fn present(&self) -> Option<Connected> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let client = state.client.clone()?;
        let endpoint = self.config.endpoints[state.at].clone();
        Some(Connected { client, endpoint, connection: state.connection })
    }

    /// Gives up the connection in which something failed, and moves on to the next endpoint. Does nothing if somebody
    /// else did already.
    fn eject(&self, connection: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.connection == connection {
            state.connection += 1;
            state.client = None;
            state.at = (state.at + 1) % self.config.endpoints.len();
        }
    }

    /// As [`Lane::eject`], by the connection itself.
    pub(super) fn give_up(&self, connected: &Connected) {
        self.eject(connected.connection);
    }

    /// One request with one answer, bounded in time.
    pub(super) async fn call<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let connected = self.connected().await?;
        let timeout = self.config.request_timeout;
        let answer = match tokio::time::timeout(timeout, call(connected.client.clone())).await {
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
