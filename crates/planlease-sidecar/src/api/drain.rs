//! Asking a sidecar to end: what a `preStop` hook does.

use axum::{
    Extension,
    extract::State,
    response::Response,
    routing::{delete, get, post},
};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    origin::Origin,
    parts::own,
    problem::{Kind, Problem},
    routes::{Gives, Route},
    shape::{Own, Shape},
    shared::{App, Shared},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/v1/drain", "beginDrain", "Begins nothing new from now on; what is owned is renewed until its programs end it, or the grace is over.", || post(begin))
            .gives(Gives::Document(202, Shape::own::<DrainView>())),
        Route::new(Method::DELETE, "/v1/drain", "undoDrain", "Lets new work begin again, unless the sidecar itself is to end.", || delete(undo))
            .returns::<DrainView>()
            .problems(&[Kind::WrongState]),
        Route::new(Method::GET, "/v1/drain", "showDrain", "How far the end has come.", || get(show)).returns::<DrainView>(),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
struct DrainView {
    /// Whether it has begun.
    draining: bool,
    /// How many sessions are left.
    sessions: usize,
    /// How long they have, from its beginning.
    grace_s: f64,
}

impl Own for DrainView {
    const SCHEMA: &'static str = "planlease.drain.v1";
}

fn view(app: &Shared) -> DrainView {
    DrainView {
        draining: app.drain.is_draining(),
        sessions: app.sessions.all().len(),
        grace_s: app.options.grace.as_secs_f64(),
    }
}

async fn begin(State(app): State<App>, Extension(origin): Extension<Origin>) -> Response {
    app.drain.begin(false);
    tracing::warn!(client = %origin, "draining: a client has asked for it");
    own(StatusCode::ACCEPTED, &view(&app))
}

async fn undo(State(app): State<App>, Extension(origin): Extension<Origin>) -> Result<Response, Problem> {
    if !app.drain.undo() {
        let detail = "the sidecar is to end: what is left is released when the grace is over";
        return Err(Problem::new(Kind::WrongState, detail));
    }
    tracing::warn!(client = %origin, "new work begins again: a client has undone the drain");
    Ok(own(StatusCode::OK, &view(&app)))
}

async fn show(State(app): State<App>) -> Response {
    own(StatusCode::OK, &view(&app))
}
