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
    ([(header::CONTENT_TYPE, scrape::TYPE)], scrape::text(&app))
}

async fn ready(State(app): State<App>) -> Response {
    let problem = match unready(&app) {
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
    if let Some(error) = app.watcher.error() {
        return Some(format!("the watch on etcd has ended: {}", planlease::error_chain(&error)));
    }
    let because = || app.watcher.trouble().map_or_else(String::new, |why| format!(": {why}"));
    let Some(heard) = app.watcher.health().heard_at else {
        return Some(format!("etcd was not heard of yet{}", because()));
    };
    let silent = heard.until(app.coordinator.clock().boot());
    (silent > SILENCE).then(|| format!("etcd was not heard of for {} s{}", silent.as_secs(), because()))
}

async fn started(State(app): State<App>) -> Response {
    if app.watcher.snapshot().is_some() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the plans were not read yet\n").into_response()
}
