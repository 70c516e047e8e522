//! Where connections come from: a socket, or whatever a test or a simulation puts in its place.

use std::{fmt::Debug, future::Future, io, pin::Pin, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::Endpoint;

/// A byte stream to a server.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send>>;

/// Makes connections. TLS is put on top by the caller; nothing else in planlease opens a socket.
pub trait Connector: Debug + Send + Sync {
    /// Connects to one server. Bounded in time by the caller.
    fn connect(&self, endpoint: &Endpoint) -> Connecting;

    /// How long a connection may take to be made, given what is configured. Longer where a server has to be started.
    fn connect_timeout(&self, configured: Duration) -> Duration {
        configured
    }
}

/// TCP and unix sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketConnector;

impl Connector for SocketConnector {
    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let endpoint = endpoint.clone();
        Box::pin(async move {
            let connection: Box<dyn Connection> = match endpoint {
                Endpoint::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
                Endpoint::Http(authority) | Endpoint::Https(authority) => {
                    let stream = tokio::net::TcpStream::connect(authority).await?;
                    stream.set_nodelay(true)?; // Small requests, each waited for.
                    Box::new(stream)
                }
            };
            Ok(connection)
        })
    }
}
