//! Serving connections: bounded in number, in the size of a head, and in the time that it may take to come.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    listen::Bound,
    options::{MAX_HEAD, MAX_UNPROVEN},
    origin::Peer,
    problem::{Kind, Problem},
    repeated,
    shared::App,
    sse,
    standing::{Places, Standing},
    stream::{Bytes, Stream},
};

/// How long a connection may take for what it has begun, once the end has come.
const CLOSING: Duration = Duration::from_secs(2);

/// How long a request is worked on whose client has closed its sending side, over TCP: it may be gone.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// Serves until it is stopped, and then until the started requests are done.
pub(crate) async fn serve(bound: Bound, router: Router, app: App) {
    let connections = TaskTracker::new();
    let places = Places::new(app.options.max_connections, MAX_UNPROVEN);
    let mut report = tokio::time::interval(repeated::EVERY);
    let stop = app.drain.ended.clone();
    loop {
        let (stream, peer) = tokio::select! {
            biased; // At the end no connection is accepted any more.
            () = stop.cancelled() => break,
            _ = report.tick() => {
                app.repeated.report();
                continue;
            }
            taken = bound.take(&app.repeated) => taken,
        };
        let standing = match peer {
            Peer::Tcp(_) => Some(places.unproven()),
            Peer::Unix { .. } => places.client(),
        };
        let Some(standing) = standing else {
            let why = "too many connections; one is closed";
            if app.repeated.is_first(why, peer.uid(), &peer) {
                tracing::warn!(at = bound.at(), most = app.options.max_connections, %peer, why);
            }
            continue; // Dropped, which closes it: to answer it would cost what there is not.
        };
        let connection = Connection { peer, standing: Arc::new(standing), patience: app.options.patience };
        connections.spawn(connection.serve(stream, router.clone(), stop.clone()));
    }
    drop(bound);
    connections.close();
    connections.wait().await;
    app.repeated.report();
}

/// A connection that is served.
struct Connection {
    peer: Peer,
    standing: Arc<Standing>,
    patience: Duration,
}

impl Connection {
    async fn serve(self, stream: Stream, router: Router, stop: CancellationToken) {
        let Self { peer, standing, patience } = self;
        tracing::debug!(%peer, "connected");
        let (stream, half_closed) = (Arc::new(stream), CancellationToken::new());
        let service = service_fn(|mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(Arc::clone(&standing));
            let answering = router.clone().oneshot(request.map(Body::new));
            let is_tcp = matches!(peer, Peer::Tcp(_));
            let half_closed = half_closed.clone();
            async move {
                let answering = async { answering.await.unwrap_or_else(|never| match never {}) };
                let response = if is_tcp { over_tcp(answering, half_closed).await } else { answering.await };
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Bytes(Arc::clone(&stream))), service);
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            biased; // What is done needs no closing.
            served = connection.as_mut() => served,
            () = stream.gone(&half_closed) => Ok(()),
            () = standing.pushed_out.cancelled() => {
                tracing::debug!(%peer, "closed: newer connections have come, and it has shown no token");
                Ok(())
            }
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(CLOSING, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// The answer to a client that may close its sending side, which over TCP is all that is heard of one that is
/// gone: a stream of events then sends something at once, which a gone client's host refuses; another request
/// is not worked on for ever.
async fn over_tcp(answering: impl Future<Output = Response>, half_closed: CancellationToken) -> Response {
    let maybe_gone = async {
        half_closed.cancelled().await;
        tokio::time::sleep(HALF_CLOSED).await;
    };
    tokio::select! {
        biased; // What is done is done.
        response = answering => sse::ask_when(response, half_closed.clone()),
        () = maybe_gone => {
            let detail = format!(
                "it took more than {} s, and the client has closed its sending side as one does that is gone; keep it \
                 open for requests that wait",
                HALF_CLOSED.as_secs()
            );
            Problem::new(Kind::OutcomeUnknown, detail).into_response()
        }
    }
}
