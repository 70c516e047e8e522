//! Serves the gRPC services on a stream of connections, whatever they are made of.
//!
//! Every connection is counted and can be cut: after the shutdown sign the streams end, requests under way
//! get [`Limits::drain_max`](crate::Limits::drain_max) to finish, and what is left is cut off.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::Server as Transport;
use tonic::transport::server::Connected;

use crate::authority::{AnyAuthority, GREETING};
use crate::service::routes;
use crate::shared::Shared;

/// The connections could not be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve connections")]
pub struct ServeError(#[source] tonic::transport::Error);

/// Serves until `shutdown` or `stopped`, whichever is first.
pub(crate) async fn serve<S, IO>(
    shared: Arc<Shared>,
    incoming: S,
    shutdown: impl Future<Output = ()>,
    stopped: CancellationToken,
) -> Result<(), ServeError>
where
    S: Stream<Item = io::Result<IO>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let end_streams = stopped.child_token();
    let cut = CancellationToken::new();
    // However this ends, also by being dropped: no connection outlives it.
    let _cut = cut.clone().drop_guard();
    let counted = incoming.filter_map(|accepted| {
        let connection = accepted.map(|io| Counted::admit(&shared, io, &cut)).transpose();
        async { connection }
    });
    let serving = Transport::builder()
        .accept_http1(true) // For `/health`, `/version` and `/metrics`.
        .max_concurrent_streams(limits.streams_per_connection_max)
        .http2_keepalive_interval(Some(limits.ping_interval))
        .http2_keepalive_timeout(Some(limits.ping_timeout))
        .add_routes(routes(&shared, &end_streams))
        // That no more connections come is no reason to part from those that are there.
        .serve_with_incoming_shutdown(counted.chain(stream::pending()), end_streams.cancelled());
    let overdue = async {
        tokio::select! {
            biased; // The order does not matter: both mean the same.
            () = stopped.cancelled() => {}
            () = shutdown => {}
        }
        end_streams.cancel();
        sleep(limits.drain_max).await;
    };
    tokio::select! {
        biased; // Served to the end is better than cut off.
        served = serving => served.map_err(ServeError),
        () = overdue => {
            tracing::warn!(drain_max = ?limits.drain_max, "cutting connections that did not finish in time");
            Ok(())
        }
    }
}

/// A connection that is counted while it lives, and can be cut.
#[derive(Debug)]
struct Counted<IO> {
    io: AnyAuthority<IO>,
    shared: Arc<Shared>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until when the peer has to have said that it speaks HTTP/2; `None` once it has. Pings begin only then.
    greeting: Option<Pin<Box<Sleep>>>,
    /// Bytes of the greeting that are still to come.
    missing: usize,
}

impl<IO> Counted<IO> {
    fn admit(shared: &Arc<Shared>, io: IO, cut: &CancellationToken) -> Option<Self> {
        if !shared.connect() {
            tracing::warn!(
                connections_max = shared.limits.connections_max,
                "too many connections, closing one"
            );
            return None;
        }
        Some(Self {
            io: AnyAuthority::new(io),
            shared: Arc::clone(shared),
            cut: Box::pin(cut.clone().cancelled_owned()),
            greeting: Some(Box::pin(sleep(shared.limits.ping_timeout))),
            missing: GREETING.len(),
        })
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<IO> Drop for Counted<IO> {
    fn drop(&mut self) {
        self.shared.disconnect();
    }
}

impl<IO: Connected> Connected for Counted<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.get_ref().connect_info()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        if self.greeting.as_mut().is_some_and(|greeting| greeting.as_mut().poll(context).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        self.missing = self.missing.saturating_sub(buffer.filled().len() - before);
        if self.missing == 0 {
            self.greeting = None;
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
