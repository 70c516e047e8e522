//! Connections over the simulated network, for both sides.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use planlease::{
    Endpoint,
    connect::{Connecting, Connection, Connector},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use turmoil::net::{TcpListener, TcpStream};

/// The host of the server.
pub const SERVER: &str = "etcd";

/// Its port.
const PORT: u16 = 2379;

/// The server's address, as clients know it.
#[must_use]
pub fn endpoint() -> Endpoint {
    Endpoint::Http(format!("{SERVER}:{PORT}"))
}

/// Connects over the simulated network.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedNetwork;

impl Connector for SimulatedNetwork {
    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let to = match endpoint {
            Endpoint::Http(authority) | Endpoint::Https(authority) => authority.clone(),
            Endpoint::Unix(path) => path.display().to_string(),
        };
        Box::pin(async move {
            let stream: Box<dyn Connection> = Box::new(TcpStream::connect(to).await?);
            Ok(stream)
        })
    }
}

/// The connections that come to the server.
///
/// # Errors
/// If the port is taken.
pub async fn incoming() -> io::Result<impl Stream<Item = io::Result<Accepted>>> {
    let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    Ok(async_stream::stream! {
        loop {
            yield listener.accept().await.map(|(stream, _)| Accepted(stream));
        }
    })
}

/// A connection that the server accepted.
#[derive(Debug)]
pub struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
