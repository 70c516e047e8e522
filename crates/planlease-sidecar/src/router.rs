//! The routers: what stands before the interface, and the port for probes and metrics.

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{Method, header};

use crate::{
    admission::{Admission, admit},
    api,
    problem::{Kind, Problem},
    routes::MCP,
    shared::App,
    trace,
};

/// The router of the interface, with everything that stands before it.
pub(crate) fn router(app: &App) -> Router {
    complete(app, Admission::new(&app.options))
}

/// The router of the interface for clients that a gate of the caller's has let in, under this name.
pub(crate) fn router_behind(app: &App, client: &str, may_write: bool) -> Router {
    complete(app, Admission::of_gate(&app.options, client, may_write))
}

/// The table of what is served, and its description, behind this admission.
fn admitted(app: &App, admission: Admission) -> Router<App> {
    let mut router = Router::new();
    for route in api::table() {
        router = router.route(route.path, (route.handler)());
    }
    router
        .route("/openapi.json", get(openapi))
        .route(MCP, any(api::mcp::serve))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::NoSuchMethod, "see /openapi.json for what can")
        })
        .layer(middleware::from_fn(trace::traced))
        .layer(middleware::from_fn_with_state((Arc::new(admission), Arc::clone(app)), admit))
}

/// With the probes and an answer for everything else, and counted.
fn complete(app: &App, admission: Admission) -> Router {
    admitted(app, admission)
        .merge(api::health::router())
        .fallback(async || Problem::new(Kind::NotFound, "see /openapi.json for what there is"))
        .layer(middleware::from_fn_with_state(Arc::clone(app), count))
        .with_state(Arc::clone(app))
}

/// The router of the port for metrics and probes. It answers everybody, and says nothing that is a secret.
pub(crate) fn metrics_router(app: &App) -> Router {
    api::health::router().merge(api::health::metrics_router()).with_state(Arc::clone(app))
}

/// What is served, as it is described for clients. It does not describe itself.
async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], crate::openapi::document().to_string())
}

/// The answer, if it was a read whose answer got lost: that has no outcome which anybody could not know.
fn settled(method: &Method, response: Response) -> Response {
    if *method == Method::GET && response.extensions().get() == Some(&Kind::OutcomeUnknown) {
        return Problem::new(Kind::Unavailable, "etcd did not answer in time").into_response();
    }
    response
}

/// Counts what is answered.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = settled(&method, next.run(request).await);
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];
    let method = if known.contains(&method) { method.as_str() } else { "other" };
    app.metrics.request(method, route.as_deref().unwrap_or("none"), response.status().as_u16());
    if let Some(kind) = response.extensions().get::<Kind>() {
        app.metrics.problem(kind.slug());
    }
    response
}
