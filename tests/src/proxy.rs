//! A TCP proxy on loopback in front of one server, whose faults are switched on and off while it runs.
//!
//! What it can do to a connection is what networks and servers do: cut it, delay it, lose what it says in one
//! direction or in both, lose the answer to a request that was carried out, deliver a request long after its
//! sender gave up. It can name single requests (`KV/Txn`), since it reads HTTP/2 as it goes by; on encrypted
//! connections it cannot, and passes everything on.
//!
//! It runs on a thread of its own: a test that blocks its runtime, or stops its clock, does not stop the
//! network.

mod connection;
mod hpack;
mod http2;
mod trap;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::connection::Connection;
use self::trap::Kind;
pub use self::trap::Trap;
use crate::etcd::free_port;

/// How many ports are tried.
const START_ATTEMPTS: usize = 16;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Answers.
    ToClient,
}

/// What happens to bytes that go one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    Open,
    /// They pass after this time, in order; the throughput stays.
    Delayed(Duration),
    /// So many bytes pass per second.
    Throttled(u32),
    /// They wait. Once the way is open again all of them arrive, late, as retransmitted packets do. Meanwhile
    /// no error is reported; not even the end of a connection passes.
    Held,
    /// They are lost, without an error. What has lost bytes can never go on, so such connections
    /// are reset when the proxy is healed.
    Swallowed,
}

/// Both directions.
#[derive(Clone, Copy, Debug)]
struct Ways {
    to_server: Way,
    to_client: Way,
}

impl Ways {
    const OPEN: Self = Self { to_server: Way::Open, to_client: Way::Open };

    fn of(self, direction: Direction) -> Way {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }

    fn set(&mut self, direction: Direction, way: Way) {
        match direction {
            Direction::ToServer => self.to_server = way,
            Direction::ToClient => self.to_client = way,
        }
    }
}

/// How a server ends a connection by the rules of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoAway {
    /// It takes no new requests and answers those that are under way: what a server does that is about to
    /// stop.
    Graceful,
    /// It has had enough of pings, and hangs up.
    TooManyPings,
}

/// What is spoken on the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    /// gRPC: requests are known by their paths.
    Grpc,
    /// What etcd's members say to each other: connections are known by the member that made them.
    Raft,
}

/// A proxy in front of one server. Dropping it resets its connections and closes its port.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    orders: Mutex<tokio::sync::mpsc::Sender<Order>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    spoken: Spoken,
    state: Mutex<State>,
    end: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// What new connections begin with.
    ways: Ways,
    /// The same for connections of one peer, where peers are known.
    of_peer: BTreeMap<u64, Ways>,
    connections: BTreeMap<u64, Arc<Connection>>,
    traps: Vec<Arc<trap::Inner>>,
    /// Whether the client counts as dead.
    crashed: bool,
    accepted: u64,
    /// The bytes that the server has sent.
    answered: u64,
    closest_pings: Option<Duration>,
}

/// Whether to listen; the accepting task says when it does.
#[derive(Debug)]
struct Order {
    listening: bool,
    done: mpsc::Sender<io::Result<()>>,
}

impl Proxy {
    /// A proxy in front of a server that speaks gRPC.
    ///
    /// # Panics
    ///
    /// If no port is to be had.
    #[must_use]
    pub fn before(upstream: SocketAddr) -> Self {
        Self::start(upstream, Spoken::Grpc)
    }

    /// A proxy in front of the port at which a member of etcd listens for its peers.
    pub(crate) fn before_member(upstream: SocketAddr) -> Self {
        Self::start(upstream, Spoken::Raft)
    }

    fn start(upstream: SocketAddr, spoken: Spoken) -> Self {
        let state = State {
            ways: Ways::OPEN,
            of_peer: BTreeMap::new(),
            connections: BTreeMap::new(),
            traps: Vec::new(),
            crashed: false,
            accepted: 0,
            answered: 0,
            closest_pings: None,
        };
        let end = CancellationToken::new();
        let shared = Arc::new(Shared { upstream, spoken, state: Mutex::new(state), end });
        let (orders, inbox) = tokio::sync::mpsc::channel(1);
        let (port, listener) = {
            let _on_the_wire = wire().enter();
            // Another process may be quicker to take one.
            (0..START_ATTEMPTS)
                .find_map(|_| {
                    let port = free_port();
                    Some((port, listen((Ipv4Addr::LOCALHOST, port).into()).ok()?))
                })
                .expect("one of several free ports stays free for a moment")
        };
        wire().spawn(accept(Arc::clone(&shared), listener, inbox));
        Self { port, shared, orders: Mutex::new(orders) }
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens: `127.0.0.1:12345`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Resets all connections, and refuses new ones as a host without a listener does; until
    /// [`Proxy::heal`].
    pub fn cut(&self) {
        self.order(false);
        self.reset_connections();
    }

    /// Resets all connections. New ones are let in.
    pub fn reset_connections(&self) {
        self.shared.state().connections.values().for_each(|connection| connection.cut.cancel());
    }

    /// Switches one direction, of connections present and future.
    pub fn set(&self, direction: Direction, way: Way) {
        let mut state = self.shared.state();
        state.ways.set(direction, way);
        state.of_peer.values_mut().for_each(|ways| ways.set(direction, way));
        for connection in state.connections.values() {
            connection.ways.send_modify(|ways| ways.set(direction, way));
        }
    }

    /// Lets nothing through in either direction, without an error: what a firewall does that drops packets.
    /// What was said meanwhile arrives after [`Proxy::heal`], as it does when packets are sent again.
    pub fn silence(&self) {
        self.set(Direction::ToServer, Way::Held);
        self.set(Direction::ToClient, Way::Held);
    }

    /// Silences the present connections only; new ones pass. What was under way arrives after
    /// [`Proxy::heal`]: late.
    pub fn freeze_connections(&self) {
        for connection in self.shared.state().connections.values() {
            connection.ways.send_replace(Ways { to_server: Way::Held, to_client: Way::Held });
        }
    }

    /// The same as [`Proxy::set`] for the connections that one member, the one of this id, makes.
    pub(crate) fn set_for_peer(&self, member_id: u64, direction: Direction, way: Way) {
        let mut state = self.shared.state();
        let base = state.ways;
        state.of_peer.entry(member_id).or_insert(base).set(direction, way);
        for connection in state.connections.values().filter(|c| c.peer.get() == Some(&member_id)) {
            connection.ways.send_modify(|ways| ways.set(direction, way));
        }
    }

    /// Ends all faults. Held bytes arrive; connections that have lost bytes are reset; traps that did not
    /// spring are gone.
    ///
    /// # Panics
    ///
    /// If another process has taken its port meanwhile.
    pub fn heal(&self) {
        {
            let mut state = self.shared.state();
            state.ways = Ways::OPEN;
            state.of_peer.clear();
            state.traps.clear();
            state.crashed = false;
            state.connections.values().for_each(|connection| connection.heal());
        }
        self.order(true);
    }

    /// Has the next answer to a request of this method (`KV/Txn`, the end of its path) lost *after* the
    /// request was carried out: its first byte does not pass, and the connection is reset. Of a stream, the
    /// first answer is meant.
    pub fn lose_answer(&self, method: &str) -> Trap {
        self.lay(method, Kind::LoseAnswer)
    }

    /// Has the next request of this method lost before it arrives: the connection is reset.
    pub fn lose_request(&self, method: &str) -> Trap {
        self.lay(method, Kind::LoseRequest)
    }

    /// Has the client die, as far as the server can see, when it sends its nth request (from 1) of this
    /// method: all connections are reset, that request does not arrive, and nothing does from then on, until
    /// [`Proxy::heal`].
    pub fn crash_at(&self, method: &str, nth: u32) -> Trap {
        self.lay_for(method, Kind::Crash, nth)
    }

    /// Holds the next request of this method, and everything that follows on its connection, until
    /// [`Trap::deliver`]. It arrives then even if the client has hung up meanwhile: a packet that took a long
    /// way round.
    pub fn hold_request(&self, method: &str) -> Trap {
        self.hold_nth_request(method, 1)
    }

    /// As [`Proxy::hold_request`], for the nth request (from 1).
    pub fn hold_nth_request(&self, method: &str, nth: u32) -> Trap {
        self.lay_for(method, Kind::HoldRequest, nth)
    }

    /// As [`Proxy::cut`], but for the connection on which a request is held.
    pub fn cut_others(&self, held: &Trap) {
        self.order(false);
        let state = self.shared.state();
        let others = state.connections.values().filter(|connection| !held.is_on(connection));
        others.for_each(|connection| connection.cut.cancel());
    }

    /// Has the server seem to end all present connections.
    pub fn go_away(&self, how: GoAway) {
        self.shared.state().connections.values().for_each(|connection| connection.go_away(how));
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().connections.len()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }

    /// How many bytes the server has sent so far, on all connections.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.state().answered
    }

    /// The shortest time between two of a client's pings on one connection so far.
    #[must_use]
    pub fn closest_pings(&self) -> Option<Duration> {
        self.shared.state().closest_pings
    }

    fn lay(&self, method: &str, kind: Kind) -> Trap {
        self.lay_for(method, kind, 1)
    }

    fn lay_for(&self, method: &str, kind: Kind, nth: u32) -> Trap {
        let trap = Arc::new(trap::Inner::new(method, kind, nth));
        self.shared.state().traps.push(Arc::clone(&trap));
        Trap::new(trap)
    }

    /// Orders the accepting task to do something and waits until it has done it; it runs on another thread.
    fn order(&self, listening: bool) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, wait) = mpsc::channel();
        orders.try_send(Order { listening, done }).expect("the last order was carried out");
        wait.recv()
            .expect("the task lives as long as the proxy")
            .unwrap_or_else(|error| panic!("port {} cannot be listened on again: {error}", self.port));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.end.cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection into the books.
    fn admit(&self) -> (u64, Arc<Connection>) {
        let mut state = self.state();
        state.accepted += 1;
        let number = state.accepted;
        let connection = Arc::new(Connection::new(state.ways, self.end.child_token()));
        state.connections.insert(number, Arc::clone(&connection));
        if state.crashed {
            connection.cut.cancel();
        }
        (number, connection)
    }

    /// A connection has named the member that made it.
    fn introduce(&self, connection: &Connection, peer: u64) {
        let state = self.state();
        if connection.peer.set(peer).is_ok()
            && let Some(ways) = state.of_peer.get(&peer)
        {
            connection.ways.send_replace(*ways);
        }
    }

    /// Whether a request springs a trap: the oldest one that is for it.
    fn spring(&self, path: &str) -> Option<Arc<trap::Inner>> {
        let mut state = self.state();
        let at = state.traps.iter().position(|trap| trap.is_for(path))?;
        Some(state.traps.remove(at))
    }

    /// The client is dead from now on.
    fn crash(&self) {
        let mut state = self.state();
        state.crashed = true;
        state.connections.values().for_each(|connection| connection.cut.cancel());
    }

    fn pinged(&self, after: Duration) {
        let mut state = self.state();
        state.closest_pings = Some(state.closest_pings.map_or(after, |closest| closest.min(after)));
    }
}

/// The task of a proxy: lets connections in.
async fn accept(shared: Arc<Shared>, listener: TcpListener, mut orders: tokio::sync::mpsc::Receiver<Order>) {
    let address = listener.local_addr();
    let mut listener = Some(listener);
    let end = shared.end.clone();
    loop {
        tokio::select! {
            biased; // The end and orders first: no connection is accepted once a cut was carried out.
            () = end.cancelled() => return,
            order = orders.recv() => {
                let Some(Order { listening, done }) = order else { return };
                let outcome = match (&listener, listening, &address) {
                    (None, true, Ok(address)) => listen(*address).map(|again| listener = Some(again)),
                    (Some(_), true, _) => Ok(()),
                    (None, true, Err(error)) => Err(io::Error::from(error.kind())),
                    (_, false, _) => {
                        listener = None;
                        Ok(())
                    }
                };
                let _ = done.send(outcome); // The caller waits for it, or is gone with the proxy.
            }
            Ok(client) = next(listener.as_ref()) => {
                let (number, connection) = shared.admit();
                let shared = Arc::clone(&shared);
                // Ends with the proxy's token, which it has a child of.
                wire().spawn(async move {
                    connection.run(&shared, client).await;
                    shared.state().connections.remove(&number);
                });
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The thread on which all proxies run.
fn wire() -> &'static Runtime {
    static WIRE: OnceLock<Runtime> = OnceLock::new();
    WIRE.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("wire").enable_all();
        builder.build().expect("threads and files are at hand")
    })
}

#[cfg(test)]
mod tests;
