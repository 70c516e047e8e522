//! Probes and metrics.
//!
//! Whether the sidecar *lives* never depends on etcd: a restart would repair nothing, and cost every
//! plan that is owned through it. Whether it is *ready* does.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};

use crate::{
    pulse::SILENCE,
    scrape,
    shared::{App, Shared},
};

/// What everybody is answered.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/startupz", get(started))
}

/// The metrics.
pub(crate) fn metrics_router() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let heard = app.pulse.heard(&app.coordinator).await;
    ([(header::CONTENT_TYPE, planlease_observe::metrics::TYPE)], scrape::text(&app, heard))
}

async fn ready(State(app): State<App>) -> Response {
    let problem = match unready(&app) {
        // Without a watch, and beside one that stands on an old connection: whether requests succeed.
        None => app.pulse.trouble(&app.coordinator).await,
        some => some,
    };
    match problem {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Why it is not ready for new work.
fn unready(app: &Shared) -> Option<String> {
    if app.drain.is_draining() {
        return Some("draining: nothing new is begun".to_owned());
    }
    app.watchers.trouble(app.coordinator.clock().boot(), SILENCE)
}

async fn started(State(app): State<App>) -> Response {
    if app.pulse.heard(&app.coordinator).await.is_some() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "etcd was not heard of yet\n").into_response()
}
