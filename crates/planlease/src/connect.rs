//! Where connections come from: a socket, or whatever a test or a simulation puts in its place.

use std::{fmt::Debug, future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
    time::Instant,
};

use crate::{endpoint::Endpoint, race::first_success};

/// How long what was sent may stay unacknowledged before the connection counts as dead, at least and at most.
/// The server's kernel acknowledges, however busy the server is: so only a host or a network is meant. The
/// least leaves room for a lost packet and its repetition, which the kernel sends after 200 ms.
const UNACKNOWLEDGED: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(5));

/// The same between the bounds, in times that it took to connect, which is a round trip: on a slow link a
/// repetition is sent after two to three of them.
const ROUND_TRIPS: u32 = 8;

/// A byte stream to a server.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send>>;

/// Makes connections. TLS is put on top by the caller; nothing else in planlease opens a socket.
pub trait Connector: Debug + Send + Sync {
    /// Connects to one server. Bounded in time by the caller.
    fn connect(&self, endpoint: &Endpoint) -> Connecting;

    /// Whether it leads where [`SocketConnector`] leads by the same endpoints: then another process can make
    /// the same connections, as the companion of a session has to.
    fn is_by_sockets(&self) -> bool {
        false
    }

    /// How long a connection may take to be made, given what is configured. Longer where a server has to be
    /// started.
    fn connect_timeout(&self, configured: Duration) -> Duration {
        configured
    }
}

/// Why a server cannot be used, however often it is tried, until something is set right first.
///
/// A [`Connector`] returns it as an [`io::Error`]: the operation then fails at once, and is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

impl Unusable {
    /// What an error says about that; `None` if another try may succeed.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Unusable> for io::Error {
    fn from(why: Unusable) -> Self {
        Self::other(why)
    }
}

/// TCP and unix sockets. All addresses of a name are tried, as RFC 8305 describes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketConnector;

impl Connector for SocketConnector {
    fn is_by_sockets(&self) -> bool {
        true
    }

    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let endpoint = endpoint.clone();
        Box::pin(async move {
            let connection: Box<dyn Connection> = match endpoint {
                Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Endpoint::Http(authority) | Endpoint::Https(authority) => {
                    let stream = connect_to_any(lookup_host(authority).await?.collect()).await?;
                    Box::new(stream)
                }
            };
            Ok(connection)
        })
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let began = Instant::now();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?; // Small requests, each waited for.
    let millis = unacknowledged(began.elapsed()).as_millis();
    setsockopt(&stream, sockopt::TcpUserTimeout, &u32::try_from(millis).unwrap_or(u32::MAX))?;
    Ok(stream)
}

/// How long what was sent may stay unacknowledged on a connection that took this long to make.
fn unacknowledged(connecting: Duration) -> Duration {
    (connecting * ROUND_TRIPS).clamp(UNACKNOWLEDGED.0, UNACKNOWLEDGED.1)
}

/// Connects to the first address that accepts.
async fn connect_to_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let attempts = interleaved(addresses)
        .into_iter()
        .map(async |address| connect_to(address).await.map_err(|error| (address, error)));
    first_success(attempts).await.map_err(|failed| {
        let Some((_, first)) = failed.first() else {
            return io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        };
        let (kind, text) = (first.kind(), first.to_string());
        if failed.iter().all(|(_, error)| error.to_string() == text) {
            return io::Error::new(kind, text);
        }
        let each: Vec<_> = failed.iter().map(|(address, error)| format!("{address}: {error}")).collect();
        io::Error::new(kind, each.join("; "))
    })
}

/// The addresses in the order in which they are tried: that of the resolver, but its two families in turns.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_family = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut same, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_family);
    let mut order = Vec::with_capacity(same.len() + other.len());
    let (mut same, mut other) = (same.drain(..), other.drain(..));
    loop {
        let (one, two) = (same.next(), other.next());
        if one.is_none() && two.is_none() {
            return order;
        }
        order.extend(one.into_iter().chain(two));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux drops what it is asked for by a listener whose queue is full, as a dead host does.
    #[tokio::test]
    async fn a_silent_address_does_not_prevent_trying_the_next() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(silent)).await
        {
            queued.push(connected.unwrap());
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let connected = connect_to_any(vec![silent, good]);
        let connected =
            tokio::time::timeout(Duration::from_secs(5), connected).await.expect("in time").unwrap();
        assert_eq!(connected.peer_addr().unwrap(), good);
        let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let connected = connect_to_any(vec![closed, good]).await.unwrap();
        assert_eq!(connected.peer_addr().unwrap(), good);
        let refused = connect_to_any(vec![closed, closed]).await.unwrap_err();
        assert_eq!(refused.to_string(), "Connection refused (os error 111)");
    }

    #[tokio::test]
    async fn a_connection_ends_with_its_host() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect_to(listener.local_addr().unwrap()).await.unwrap();
        let millis = nix::sys::socket::getsockopt(&stream, sockopt::TcpUserTimeout).unwrap();
        assert!((400..=5000).contains(&millis), "{millis}");
    }

    #[test]
    fn a_slow_link_has_more_time_to_acknowledge() {
        let of = |millis| unacknowledged(Duration::from_millis(millis)).as_millis();
        assert_eq!([of(0), of(40), of(100), of(300), of(3000)], [400, 400, 800, 2400, 5000]);
    }

    #[test]
    fn address_families_take_turns() {
        let addresses =
            |text: &str| text.split(' ').map(|one| one.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let order = interleaved(addresses("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1"));
        assert_eq!(order, addresses("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1"));
        assert_eq!(interleaved(Vec::new()), []);
    }
}
