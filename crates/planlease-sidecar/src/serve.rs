//! Serving connections: bounded in number, in the size of a head, and in the time that it may take to come.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    admission::Peer,
    listen::{Bound, Taken},
    options::{MAX_HEAD, Options},
};

/// How long a connection may take for what it has begun, once the end has come.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves until it is told to stop, and then until what was begun is done.
pub(crate) async fn serve(bound: Bound, router: Router, options: Options, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(options.max_connections));
    loop {
        let taken = tokio::select! {
            biased; // At the end nobody is let in any more.
            () = stop.cancelled() => break,
            taken = bound.take() => taken,
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(
                at = bound.at(),
                most = options.max_connections,
                "too many connections; one is closed"
            );
            continue; // Dropped, which closes it: to answer it would cost what there is not.
        };
        let (router, stop, patience) = (router.clone(), stop.clone(), options.patience);
        connections.spawn(async move {
            match taken {
                Taken::Tcp(stream, peer) => connection(stream, peer, router, patience, stop).await,
                Taken::Unix(stream, peer) => connection(stream, peer, router, patience, stop).await,
            }
            drop(place);
        });
    }
    drop(bound);
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    patience: Duration,
    stop: CancellationToken,
) {
    tracing::debug!(%peer, "connected");
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(axum::body::Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        biased; // What is done needs no closing.
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(CLOSING, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}
