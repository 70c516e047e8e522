//! Sockets to serve on: TCP on loopback, or a unix socket that only its owner can open.
//!
//! The server has no authentication: every client that can connect can do everything. So a TCP address that
//! others can reach is refused unless that is asked for, and a unix socket lives in a folder that is closed
//! to others.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_stream::stream;
use planlease_socket::{BindError, Name};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

/// How long to wait after the system refused to hand over a connection, as when it is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listen {
    /// A TCP address; port 0 lets the system choose.
    Tcp {
        /// The address.
        addr: SocketAddr,
        /// Whether others than this machine may be able to connect.
        allow_remote: bool,
    },
    /// A unix socket, made with mode 0600. Its folder is made with mode 0700 unless it is there. A socket
    /// that no process listens on any more is replaced; so that no two do this at once, open the data folder
    /// first.
    Unix {
        /// The socket.
        path: PathBuf,
    },
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Others could reach the address. Use a loopback address or a unix socket, or allow it.
    #[error(
        "refusing to listen on {addr}: other machines could connect, and this server has no authentication; \
         use a loopback address such as 127.0.0.1, or allow remote connections explicitly"
    )]
    NotLoopback {
        /// The address.
        addr: SocketAddr,
    },
    /// A server is listening there. Connect to it, or use another address.
    #[error("another server is listening on {at}")]
    InUse {
        /// The address or path.
        at: String,
    },
    /// Others could open the socket. Take away their rights to the folder, or use another one.
    #[error("refusing to listen in {}: its mode {mode:o} lets others in; it must be 0700", folder.display())]
    OpenFolder {
        /// The folder of the socket.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot listen on {at}")]
    Io {
        /// The address or path.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether only this machine can reach an address; also an IPv4 loopback address written as IPv6.
#[must_use]
pub fn is_loopback(addr: &SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

/// A socket that is bound; no client is served yet.
#[derive(Debug)]
#[must_use = "dropping it closes the socket"]
pub struct Bound {
    socket: Socket,
    url: String,
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
            Self::Tcp { addr, allow_remote } => bind_tcp(*addr, *allow_remote).await,
            Self::Unix { path } => bind_unix(path),
        }
    }
}

impl Bound {
    /// The address as clients use it: `http://…` or `unix://…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The TCP address, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }

    /// The connections, for [`Server::serve`](crate::Server::serve). It never ends.
    pub fn incoming(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        stream! {
            loop {
                let accepted = self.socket.accept().await;
                if let Err(error) = &accepted {
                    tracing::warn!(%error, url = self.url, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
                yield accepted;
            }
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small answers must not wait for others to travel with.
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream))
            }
            Self::Unix { listener, .. } => Ok(Connection::Unix(listener.accept().await?.0)),
        }
    }
}

async fn bind_tcp(addr: SocketAddr, allow_remote: bool) -> Result<Bound, ListenError> {
    if !allow_remote && !is_loopback(&addr) {
        return Err(ListenError::NotLoopback { addr });
    }
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { at: addr.to_string() },
        _ => ListenError::Io { at: addr.to_string(), source },
    };
    let listener = TcpListener::bind(addr).await.map_err(fail)?;
    let url = format!("http://{}", listener.local_addr().map_err(fail)?);
    Ok(Bound { socket: Socket::Tcp(listener), url })
}

fn bind_unix(path: &Path) -> Result<Bound, ListenError> {
    let at = path.display().to_string();
    close_folder(path, &at)?;
    let (listener, name) = planlease_socket::bind(path, 0o600).map_err(|error| match error {
        BindError::Io(source) => ListenError::Io { at: at.clone(), source },
        _ => ListenError::InUse { at: at.clone() },
    })?;
    let listener =
        UnixListener::from_std(listener).map_err(|source| ListenError::Io { at: at.clone(), source })?;
    Ok(Bound { socket: Socket::Unix { listener, _name: name }, url: format!("unix://{at}") })
}

/// Makes the folder of a socket, or checks that it is closed to others: so no other user can connect in the
/// moment before the socket has its mode.
fn close_folder(path: &Path, at: &str) -> Result<(), ListenError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    let fail = |source| ListenError::Io { at: at.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    let mode = std::fs::metadata(folder).map_err(fail)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ListenError::OpenFolder { folder: folder.to_owned(), mode });
    }
    Ok(())
}

/// An accepted connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Connection {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_loopback_is_listened_on_unless_asked() {
        for (addr, loopback) in [
            ("127.0.0.1:0", true),
            ("127.9.9.9:0", true),
            ("[::1]:0", true),
            ("[::ffff:127.0.0.1]:0", true),
            ("0.0.0.0:0", false),
            ("[::]:0", false),
            ("10.0.0.1:0", false),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(is_loopback(&addr), loopback, "{addr}");
            if !loopback {
                let refused = Listen::Tcp { addr, allow_remote: false }.bind().await.unwrap_err();
                assert!(matches!(refused, ListenError::NotLoopback { .. }), "{addr}: {refused}");
            }
        }
        let addr = "0.0.0.0:0".parse().unwrap();
        drop(Listen::Tcp { addr, allow_remote: true }.bind().await.expect("asked for"));
    }

    #[tokio::test]
    async fn a_unix_socket_is_private_and_replaces_only_a_dead_one() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/sub/socket");
        let listen = Listen::Unix { path: path.clone() };
        let bound = listen.bind().await.unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(listen.bind().await, Err(ListenError::InUse { .. })));
        drop(bound);
        assert!(!path.exists());

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a server that was killed leaves its file");
        drop(listen.bind().await.unwrap());

        std::fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(matches!(listen.bind().await, Err(ListenError::OpenFolder { mode: 0o755, .. })));
    }
}
