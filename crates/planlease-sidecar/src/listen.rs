//! Where the sidecar listens: TCP, on loopback unless more is asked for, and a unix socket for the programs
//! of its group.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt},
};
use planlease_socket::{BindError, Name};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};

use crate::{origin::Peer, repeated::Repeated, stream::Stream};

/// The mode of the socket: its user and its group. A process that can open it acts with its authority.
const MODE: u32 = 0o660;

/// How long a host may leave unacknowledged what it was sent. Streams send something every few seconds; so a
/// program whose host has lost its power, and which cannot be distinguished from a slow one, has no
/// connection any more after about this time.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// How long to wait after the system refused to hand over a connection, as when it is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How many connections may wait to be taken.
const BACKLOG: u32 = 1024;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 lets the system choose. `[::]` serves IPv6 and IPv4; on a host without IPv6,
    /// IPv4.
    Tcp {
        /// The address.
        addr: SocketAddr,
        /// Whether others than this host may be able to connect. Their requests travel in the clear.
        allow_remote: bool,
    },
    /// A unix socket, made with mode 0660. One without a listener is replaced.
    Unix {
        /// The socket.
        path: PathBuf,
    },
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Others could reach the address.
    #[error("refusing to listen on {addr}: other hosts could connect, and nothing is encrypted")]
    NotLoopback {
        /// The address.
        addr: SocketAddr,
    },
    /// A process listens there.
    #[error("another process is listening on {at} already")]
    InUse {
        /// The address or path.
        at: String,
    },
    /// The system refused.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// The address or path.
        at: String,
        /// Why.
        source: io::Error,
    },
}

/// A socket that is bound; no client is served yet.
#[derive(Debug)]
#[must_use = "dropping it closes the socket"]
pub struct Bound {
    socket: Socket,
    at: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _name: Name },
}

impl Listen {
    /// Takes the address.
    ///
    /// # Errors
    /// See [`ListenError`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what was bound.
    pub async fn bind(&self) -> Result<Bound, ListenError> {
        match self {
            Self::Tcp { addr, allow_remote } => {
                if !allow_remote && !addr.ip().to_canonical().is_loopback() {
                    return Err(ListenError::NotLoopback { addr: *addr });
                }
                let at = addr.to_string();
                let listener = bind_tcp(*addr).map_err(|error| failed(&at, error))?;
                let bound = listener.local_addr().map_err(|error| failed(&at, error))?;
                Ok(Bound { socket: Socket::Tcp(listener), at: format!("http://{bound}") })
            }
            Self::Unix { path } => bind_unix(path),
        }
    }
}

fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    match listen_on(addr) {
        Err(error) if addr.ip() == Ipv6Addr::UNSPECIFIED && has_no_ipv6(&error) => {
            tracing::warn!(%error, "the host has no IPv6: listening on IPv4");
            listen_on(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port()))
        }
        bound => bound,
    }
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if addr.ip() == Ipv6Addr::UNSPECIFIED {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?; // Whatever the host's default (`net.ipv6.bindv6only`).
    }
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

fn bind_unix(path: &Path) -> Result<Bound, ListenError> {
    let at = format!("unix:{}", path.display());
    let (listener, name) = planlease_socket::bind(path, MODE).map_err(|error| match error {
        BindError::Io(source) => ListenError::Io { at: at.clone(), source },
        _ => ListenError::InUse { at: at.clone() },
    })?;
    let listener = UnixListener::from_std(listener).map_err(|error| failed(&at, error))?;
    Ok(Bound { socket: Socket::Unix { listener, _name: name }, at })
}

/// Without this the system goes on trying for a quarter of an hour.
fn stream_ends_with_its_host(stream: &TcpStream) -> nix::Result<()> {
    let millis = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    setsockopt(stream, sockopt::TcpUserTimeout, &millis)
}

fn failed(at: &str, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { at: at.to_owned() },
        _ => ListenError::Io { at: at.to_owned(), source },
    }
}

impl Bound {
    /// Where it is: `http://127.0.0.1:7420`, `unix:/run/planlease/sidecar.sock`.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// The next connection. What the system refuses is tried again.
    pub(crate) async fn take(&self, repeated: &Repeated) -> (Stream, Peer) {
        loop {
            let taken = match &self.socket {
                Socket::Tcp(listener) => listener.accept().await.map(|(stream, from)| {
                    drop(stream.set_nodelay(true)); // Slower, if it does not succeed, but as right.
                    if let Err(error) = stream_ends_with_its_host(&stream)
                        && repeated.is_first("a host that falls silent is noticed late", None, &from)
                    {
                        tracing::warn!(%error, %from, "a host that falls silent is noticed late");
                    }
                    (Stream::Tcp(stream), Peer::Tcp(from))
                }),
                Socket::Unix { listener, .. } => listener.accept().await.and_then(|(stream, _)| {
                    let who = stream.peer_cred()?;
                    Ok((Stream::Unix(stream), Peer::Unix { pid: who.pid(), uid: who.uid() }))
                }),
            };
            match taken {
                Ok(taken) => return taken,
                Err(error) => {
                    if repeated.is_first("a connection was not taken", None, &self.at) {
                        tracing::warn!(%error, at = self.at, "a connection was not taken");
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    #[tokio::test]
    async fn a_host_that_falls_silent_is_noticed() {
        let listen = Listen::Tcp { addr: SocketAddr::from(([127, 0, 0, 1], 0)), allow_remote: false };
        let bound = listen.bind().await.unwrap();
        let address = bound.at().trim_start_matches("http://").to_owned();
        let _client = TcpStream::connect(address).await.unwrap();
        let (Stream::Tcp(stream), _) = bound.take(&Repeated::default()).await else {
            panic!("it came over TCP")
        };
        assert_eq!(getsockopt(&stream, sockopt::TcpUserTimeout).unwrap(), 10_000);
    }

    #[tokio::test]
    async fn other_hosts_are_let_in_only_if_that_is_asked_for() {
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        let refused = Listen::Tcp { addr, allow_remote: false }.bind().await;
        assert!(matches!(refused, Err(ListenError::NotLoopback { .. })), "{refused:?}");
        assert!(Listen::Tcp { addr, allow_remote: true }.bind().await.is_ok());
    }

    #[tokio::test]
    async fn the_unspecified_ipv6_address_serves_both_families() {
        let addr = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let bound = Listen::Tcp { addr, allow_remote: true }.bind().await.unwrap();
        let Socket::Tcp(listener) = &bound.socket else { panic!("it listens on TCP") };
        let port = listener.local_addr().unwrap().port();
        for host in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
            TcpStream::connect((host, port)).await.unwrap_or_else(|error| panic!("{host}: {error}"));
        }
        let only = getsockopt(listener, sockopt::Ipv6V6Only).unwrap();
        assert!(!only);
    }

    #[test]
    fn a_host_without_ipv6_is_distinguished() {
        for (code, without) in [
            (Errno::EAFNOSUPPORT, true),
            (Errno::EADDRNOTAVAIL, true),
            (Errno::EADDRINUSE, false),
            (Errno::EACCES, false),
        ] {
            assert_eq!(has_no_ipv6(&io::Error::from(code)), without, "{code}");
        }
    }
}
