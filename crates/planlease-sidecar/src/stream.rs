//! One connection as bytes, and whether there is still a client at its other end.
//!
//! A client may close its sending side after its request and wait for the answer. A client that is gone looks
//! the same over TCP, until something is sent to it. Over a unix socket the kernel distinguishes the two.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::AsRawFd as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready},
    net::{TcpStream, UnixStream},
};
use tokio_util::sync::CancellationToken;

/// How soon, and how often at most, the system is asked for a client whose sending side is closed.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls a method of either.
macro_rules! either {
    ($stream:expr, $one:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($one) => $call,
            Stream::Unix($one) => $call,
        }
    };
}

impl Stream {
    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        either!(self, stream => stream.ready(interest).await)
    }

    /// Waits until the client is gone. Cancels `half_closed` when the client has closed its sending side
    /// only.
    pub(crate) async fn gone(&self, half_closed: &CancellationToken) {
        let (first, longest) = LOOK;
        let mut pause = first;
        // The end of the sending side wakes those who wait for urgent data, and nothing else that clients of
        // HTTP do.
        while self.ready(Interest::PRIORITY).await.is_ok_and(|ready| !ready.is_read_closed()) {
            tokio::time::sleep(longest).await;
        }
        let either = Interest::READABLE | Interest::WRITABLE;
        loop {
            match self.ready(either).await {
                Ok(ready) if !ready.is_write_closed() => half_closed.cancel(),
                Ok(_) | Err(_) => return,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

/// The bytes of a connection, while something else watches over it.
#[derive(Clone, Debug)]
pub(crate) struct Bytes(pub(crate) Arc<Stream>);

impl AsyncRead for Bytes {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            either!(&*self.0, stream => ready!(stream.poll_read_ready(context))?);
            let free = buffer.initialize_unfilled();
            match either!(&*self.0, stream => stream.try_read(free)) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Bytes {
    fn poll_try(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            either!(&*self.0, stream => ready!(stream.poll_write_ready(context))?);
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try(context, |stream| either!(stream, stream => stream.try_write(bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(context, |stream| either!(stream, stream => stream.try_write_vectored(parts)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // Nothing is kept back.
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let descriptor = either!(&*self.0, stream => stream.as_raw_fd());
        Poll::Ready(shutdown(descriptor, Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn tcp() -> (TcpStream, Stream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Stream::Tcp(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn over_a_unix_socket_a_half_closed_client_is_not_a_gone_one() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (server, half) = (Stream::Unix(server), CancellationToken::new());
        assert!(timeout(LOOK.1 * 2, server.gone(&half)).await.is_err() && !half.is_cancelled());
        client.write_all(b"unread").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(timeout(LOOK.1 * 5, server.gone(&half)).await.is_err() && half.is_cancelled());
        drop(client);
        timeout(SOON, server.gone(&half)).await.unwrap();
    }

    #[tokio::test]
    async fn over_tcp_a_gone_client_shows_when_something_is_sent() {
        let (client, server) = tcp().await;
        drop(client);
        let (server, half) = (Arc::new(server), CancellationToken::new());
        let mut bytes = Bytes(Arc::clone(&server));
        let sending = async {
            half.cancelled().await;
            bytes.write_all(b": heartbeat\n\n").await.unwrap();
        };
        timeout(SOON, async { tokio::join!(server.gone(&half), sending) }).await.unwrap();
    }

    #[tokio::test]
    async fn a_half_closed_client_reads_on() {
        let (mut client, server) = tcp().await;
        let (server, half) = (Arc::new(server), CancellationToken::new());
        let mut bytes = Bytes(Arc::clone(&server));
        client.write_all(b"request").await.unwrap();
        client.shutdown().await.unwrap();
        let mut request = String::new();
        bytes.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, "request");
        bytes.write_all(b"answer").await.unwrap();
        assert!(timeout(LOOK.1 * 3, server.gone(&half)).await.is_err() && half.is_cancelled());
        bytes.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
