//! Ownership of plans: acquired for a session, or for as long as a connection stands.

use std::{sync::Arc, time::Duration};

use async_stream::stream;
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Method, StatusCode};
use planlease_core::{OrchestratorId, PlanName};
use planlease_documents::{OwnerShown, ReleasedShown, TermList, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sessions::{follow, over};
use crate::{
    admission::Origin,
    held::{Bond, Held},
    options::MAX_WAIT,
    parts::{Caller, Json, Names, Shown, own, session_name},
    problem::{Kind, Problem},
    routes::{Gives, Route},
    sessions::seconds,
    shape::{Own, Shape},
    shared::App,
    shown::{OwnedShown, Trust},
    sse,
    tend::tend,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/v1/plans/{plan}/owner", "showOwner", "Who owns a plan, and who waits. Asked from etcd each time; 503 rather than an old answer.", || get(show))
            .tells::<Seen>()
            .problems(&[Kind::NoSuchPlan]),
        Route::new(Method::GET, "/v1/plans/{plan}/terms", "listTerms", "Who owned a plan, and how each term ended.", || get(terms))
            .shows::<TermList>()
            .problems(&[Kind::NoSuchPlan]),
        Route::new(Method::POST, "/v1/plans/{plan}/ownership", "acquirePlan", "Acquires a plan for the session. Without one, and with Accept: text/event-stream, for as long as the connection stands: the answer tells what happens to it.", || post(acquire))
            .acts()
            .reads::<Acquire>()
            .gives(Gives::EventsOr(Shape::own::<OwnedShown>()))
            .problems(&[Kind::NoSuchPlan, Kind::Held, Kind::NotAcceptable, Kind::Draining]),
        Route::new(Method::DELETE, "/v1/plans/{plan}/ownership", "releasePlan", "Releases a plan of the session: the next one in the queue owns it at once.", || delete(release))
            .acts()
            .gives(Gives::Nothing)
            .problems(&[Kind::NoSuchPlan, Kind::RightGone]),
        Route::new(Method::POST, "/v1/plans/{plan}/owner/release", "forceRelease", "Ends another process's ownership. What that process does outside etcd is not stopped by this.", || post(force))
            .acts()
            .reads::<Force>()
            .shows::<ReleasedShown>()
            .problems(&[Kind::NoSuchPlan, Kind::WrongState, Kind::Held]),
    ]
}

/// Who owns a plan, as etcd says at this moment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OwnerSeen")]
struct Seen {
    #[serde(flatten)]
    owner: OwnerShown,
    /// When etcd was asked.
    asked_at: Time,
    /// Until when the ownership is certain, if a session of this sidecar has it; unknown for another's.
    #[serde(flatten)]
    trust: Option<Trust>,
}

impl Own for Seen {
    const SCHEMA: &'static str = "planlease.owner.v1";
}

async fn show(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let asked_at = Time(app.coordinator.clock().wall());
    let view = app.coordinator.plan(&plan).await?;
    let lease = view.line().owner().map(|(candidate, _)| candidate.lease);
    let held = app.sessions.all().into_iter().find(|held| Some(held.session.lease()) == lease);
    let trust = held.and_then(|held| held.owned(&plan)).map(|owned| owned.trust);
    let seen = Seen { owner: OwnerShown::new(plan, &view.line()), asked_at, trust };
    Ok(own(StatusCode::OK, &seen))
}

async fn terms(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let view = app.coordinator.plan(&plan).await?;
    let past = app.coordinator.past_terms(&plan).await?;
    Ok(Shown(TermList::new(&view, &past)).into_response())
}

/// How a plan is acquired.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "AcquireRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Acquire {
    /// How long to wait in line, in seconds; 0 not at all. By default a stream waits as long as it takes, and
    /// a session not at all.
    #[schemars(range(min = 0, max = 3600))]
    wait_s: Option<f64>,
    /// What others see the session of the stream as; by default it is made up. Not with a session.
    id: Option<String>,
}

async fn acquire(
    State(app): State<App>,
    names: Names,
    Extension(origin): Extension<Origin>,
    caller: Caller,
    headers: HeaderMap,
    Json(asked): Json<Acquire>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    app.drain.allows_new()?;
    let wait = asked.wait_s.map(|wait| seconds("wait_s", wait, MAX_WAIT)).transpose()?;
    if let Caller::Program(held) = &caller {
        if asked.id.is_some() {
            return Err(Problem::new(Kind::BadRequest, "id: the session has its name already"));
        }
        if let Some(owned) = held.owned(&plan) {
            return Ok(own(StatusCode::OK, &owned)); // Asked for again.
        }
        let owned = take(&app, held, &plan, wait.or(Some(Duration::ZERO))).await?;
        return Ok(own(StatusCode::OK, &owned));
    }
    sse::accepted(&headers)?;
    let id = session_name(&app, asked.id.as_deref())?;
    app.coordinator.plan(&plan).await?; // There, or the answer is a problem and no stream.
    let (held, news) = app.sessions.open(&app.coordinator, id, origin, Bond::Connection).await?;
    let following = follow(&app, Arc::clone(&held), news);
    Ok(sse::answer(acquiring(app.clone(), held, plan, wait, following), app.options.heartbeat))
}

/// Acquires, and looks after what was acquired.
async fn take(
    app: &App,
    held: &Arc<Held>,
    plan: &PlanName,
    wait: Option<Duration>,
) -> Result<OwnedShown, Problem> {
    let ownership = held.acquire(plan, wait).await?;
    app.metrics.acquired();
    let owned = OwnedShown::of(&ownership);
    let (app, tended) = (app.clone(), Arc::clone(held));
    held.keep(ownership, move |ownership, stop| tend(app, tended, ownership, stop));
    Ok(owned)
}

/// The stream of a connection that is to own a plan: of its session, and meanwhile the plan is acquired.
/// Ends, and with it the session, if it cannot be, or when it is lost.
fn acquiring(
    app: App,
    held: Arc<Held>,
    plan: PlanName,
    wait: Option<Duration>,
    following: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    stream! {
        let mut following = Box::pin(following);
        let taking = take(&app, &held, &plan, wait);
        let mut taking = Box::pin(taking);
        let taken = loop {
            let next = tokio::select! {
                biased; // What is ours is told before what is news.
                taken = &mut taking => Err(taken),
                event = following.next() => Ok(event),
            };
            match next {
                Ok(Some(event)) => yield event,
                Ok(None) => break None,
                Err(taken) => break Some(taken),
            }
        };
        drop(taking);
        match taken {
            Some(Ok(owned)) => {
                yield sse::document("granted", &owned);
                while let Some(event) = following.next().await {
                    let lost = event.starts_with(b"event: lost\n");
                    yield event;
                    if lost {
                        yield over("the plan that it was opened for is lost".to_owned());
                        break;
                    }
                }
            }
            Some(Err(problem)) => yield sse::event("refused", None, &problem.json().to_string()),
            None => {}
        }
    }
}

async fn release(State(_app): State<App>, names: Names, caller: Caller) -> Result<Response, Problem> {
    caller.session()?.release(&names.plan()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whose ownership is ended, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ForceRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    /// The expected owner: if another process owns the plan by now, nothing is done.
    expected: String,
    /// For the owner, and for the history.
    reason: String,
}

async fn force(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(asked): Json<Force>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let expected = OrchestratorId::new(asked.expected)
        .map_err(|error| Problem::new(Kind::BadRequest, format!("expected: {error}")))?;
    let released =
        app.coordinator.force_release(&plan, Some(&expected), &caller.name(), &asked.reason).await?;
    Ok(Shown(ReleasedShown::new(plan, released)).into_response())
}
