//! The listener that the output and the metrics of a process share: HTTP/1.1, bounded in everything that a
//! client can ask for.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval},
};

/// How many connections there are at once.
const CONNECTIONS: u32 = 64;

/// How long a client may take for the head of its request.
const HEAD: Duration = Duration::from_secs(5);

/// How long a client may leave its answer unread.
const UNREAD: Duration = Duration::from_secs(60);

/// How long to wait after the system refused a connection, as when it is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// When a client last took something of its answer. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Taken(Arc<(Instant, AtomicU64)>);

impl Taken {
    fn now() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    /// Notes that something was taken.
    pub(crate) fn note(&self) {
        let millis = u64::try_from(self.0.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.1.store(millis, Ordering::Relaxed);
    }

    fn since(&self) -> Duration {
        self.0.0.elapsed().saturating_sub(Duration::from_millis(self.0.1.load(Ordering::Relaxed)))
    }
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Other hosts could reach the address.
    #[error("refusing to listen on {0}: other hosts could connect, and nothing is encrypted")]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// The address.
        at: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The places for connections. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS as usize)))
    }
}

impl Places {
    /// Takes no further connections, and waits until those that there are have ended; for so long at most.
    pub(crate) async fn empty(&self, within: Duration) {
        // One place is always taken, for the connection that comes next.
        let all = tokio::time::timeout(within, self.0.acquire_many(CONNECTIONS - 1)).await;
        if let Ok(Ok(all)) = all {
            all.forget();
        }
    }
}

/// Takes an address; one that other hosts can reach only if that is allowed.
pub(crate) async fn bind(at: SocketAddr, allow_remote: bool) -> Result<TcpListener, ListenError> {
    if !allow_remote && !at.ip().to_canonical().is_loopback() {
        return Err(ListenError::NotLoopback(at));
    }
    TcpListener::bind(at).await.map_err(|source| ListenError::Io { at, source })
}

/// Serves until it is dropped.
pub(crate) async fn serve<A, F>(listener: TcpListener, places: Places, answer: A) -> Infallible
where
    A: Fn(Request<Incoming>, Taken) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut connections = JoinSet::new(); // Dropped with it.
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&places.0).acquire_owned().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                connections.spawn(async move {
                    connection(stream, answer).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>, Taken) -> F,
    F: Future<Output = Response<Body>>,
{
    let _ = stream.set_nodelay(true);
    let taken = Taken::now();
    let service = service_fn(|request| {
        taken.note();
        let answer = answer(request, taken.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let mut look = interval(UNREAD / 6);
    loop {
        tokio::select! {
            biased; // An end is an end.
            _ = &mut serving => return,
            _ = look.tick() => if taken.since() > UNREAD {
                return; // Closed: it reads nothing, and others may want the place.
            },
        }
    }
}

/// An answer that is there at once.
pub(crate) fn whole(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

/// An answer that is a sentence.
pub(crate) fn said(status: StatusCode, text: &'static str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", text)
}
