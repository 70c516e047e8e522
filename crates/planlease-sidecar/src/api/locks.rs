//! Named locks of plans, for a session.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use http::{Method, StatusCode};
use planlease_documents::LockList;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    maintain::maintain_lock,
    options::MAX_WAIT,
    parts::{Caller, Json, JsonView, Names, own},
    problem::{Kind, Problem},
    routes::{Gives, Route},
    sessions::seconds,
    shared::App,
    view::LockedView,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/v1/plans/{plan}/locks",
            "listLocks",
            "Who has which lock of a plan, and who waits.",
            || get(list),
        )
        .shows::<LockList>()
        .problems(&[Kind::NoSuchPlan]),
        Route::new(
            Method::POST,
            "/v1/plans/{plan}/locks/{lock}",
            "takeLock",
            "Takes a lock for the session; waits in its queue.",
            || post(take),
        )
        .acts()
        .reads::<Lock>()
        .returns::<LockedView>()
        .problems(&[Kind::NoSuchPlan, Kind::NotAllowed, Kind::Held, Kind::Exists, Kind::Draining]),
        Route::new(
            Method::DELETE,
            "/v1/plans/{plan}/locks/{lock}",
            "releaseLock",
            "Releases a lock: the next one in the queue holds it at once.",
            || delete(release),
        )
        .acts()
        .gives(Gives::Nothing)
        .problems(&[Kind::NoSuchPlan, Kind::NotAllowed, Kind::AuthorityLost]),
    ]
}

/// How a lock is taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "LockRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    /// How long to wait in the queue, in seconds; not at all by default.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600))]
    wait_s: f64,
}

async fn list(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let locks = app.coordinator.locks(&plan).await?;
    Ok(JsonView(LockList::new(&plan, &locks)).into_response())
}

async fn take(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(body): Json<Lock>,
) -> Result<Response, Problem> {
    let (plan, lock) = (names.plan()?, names.lock()?);
    app.drain.allows_new()?;
    let wait = seconds("wait_s", body.wait_s, MAX_WAIT)?;
    let client = caller.session()?;
    let lock = app.drain.while_open(client.lock(&plan, &lock, wait)).await?;
    let (locked, maintained) = (LockedView::of(&plan, &lock), Arc::clone(client));
    client.keep_lock(&plan, lock, move |lock, stop| maintain_lock(maintained, lock, stop));
    Ok(own(StatusCode::OK, &locked))
}

async fn release(State(_app): State<App>, names: Names, caller: Caller) -> Result<Response, Problem> {
    caller.session()?.unlock(&names.plan()?, &names.lock()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
