//! Ownership of plans: acquired for a session, or for as long as a connection stands.

use planlease::Reason;
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
use planlease_documents::{OwnerView, ReleasedView, TermList, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sessions::{follow, over};
use crate::{
    client_session::{Bond, ClientSession},
    maintain::maintain,
    options::MAX_WAIT,
    origin::Origin,
    parts::{Caller, Json, JsonView, Names, own, session_name},
    problem::{Kind, Problem},
    routes::{Gives, Route},
    sessions::seconds,
    shape::{Own, Shape},
    shared::App,
    sse,
    timers::Keeps,
    view::{OwnedView, Trust},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/v1/plans/{plan}/owner", "showOwner", "Who owns a plan, and who waits. Asked from etcd each time; 503 rather than an old answer.", || get(show))
            .returns::<Seen>()
            .problems(&[Kind::NoSuchPlan]),
        Route::new(Method::GET, "/v1/plans/{plan}/owned-here", "ownedHere", "For load balancers, also with HEAD: 200 only while a session of this sidecar owns the plan and that is certain, else 503. Asks etcd for nothing.", || get(owned_here))
            .returns::<OwnedView>()
            .problems(&[Kind::NotOwnedHere]),
        Route::new(Method::GET, "/v1/plans/{plan}/terms", "listTerms", "Who owned a plan, and how each term ended.", || get(terms))
            .shows::<TermList>()
            .problems(&[Kind::NoSuchPlan]),
        Route::new(Method::POST, "/v1/plans/{plan}/ownership", "acquirePlan", "Acquires a plan for the session. Without one, and with Accept: text/event-stream, for as long as the connection stands: the answer tells what happens to it.", || post(acquire))
            .acts()
            .reads::<Acquire>()
            .gives(Gives::EventsOr(Shape::own::<OwnedView>()))
            .problems(&[Kind::NoSuchPlan, Kind::Held, Kind::NotAcceptable, Kind::Draining]),
        Route::new(Method::DELETE, "/v1/plans/{plan}/ownership", "releasePlan", "Releases a plan of the session: the next one in the queue owns it at once.", || delete(release))
            .acts()
            .gives(Gives::Nothing)
            .problems(&[Kind::NoSuchPlan, Kind::AuthorityLost]),
        Route::new(Method::POST, "/v1/plans/{plan}/owner/release", "forceRelease", "Ends another process's ownership. What that process does outside etcd is not stopped by this.", || post(force))
            .acts()
            .reads::<Force>()
            .shows::<ReleasedView>()
            .problems(&[Kind::NoSuchPlan, Kind::WrongState, Kind::Held]),
    ]
}

/// Who owns a plan, as etcd says at this moment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OwnerSeen")]
struct Seen {
    #[serde(flatten)]
    owner: OwnerView,
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
    let lease = view.queue().owner().map(|(candidate, _)| candidate.lease);
    let client = app.sessions.all().into_iter().find(|client| Some(client.session.lease()) == lease);
    let trust = client.and_then(|client| client.owned(&plan)).map(|owned| owned.trust);
    let seen = Seen { owner: OwnerView::new(plan, view.queue()), asked_at, trust };
    Ok(own(StatusCode::OK, &seen))
}

/// Whether a session of this sidecar owns the plan for certain, by the clock of this host: what etcd
/// would answer may come late.
async fn owned_here(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let plan = names.plan()?;
    match app.sessions.all().iter().find_map(|client| client.owned(&plan)) {
        Some(owned) => Ok(own(StatusCode::OK, &owned)),
        None => Err(Problem::new(Kind::NotOwnedHere, format!("no session here is sure to own {plan}"))),
    }
}

async fn terms(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let view = app.coordinator.plan(&plan).await?;
    let past = app.coordinator.history(&plan).terms().await?;
    Ok(JsonView(TermList::new(&view, &past)).into_response())
}

/// How a plan is acquired.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "AcquireRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Acquire {
    /// How long to wait in the queue, in seconds; 0 not at all. By default a stream waits as long as it
    /// takes, and a session not at all.
    #[schemars(range(min = 0, max = 3600))]
    wait_s: Option<f64>,
    /// What others see the session of the stream as; by default it is made up. Not with a session.
    id: Option<String>,
    /// Whether the sidecar keeps the plan's timers for as long as the session owns it: retries, deadlines,
    /// heartbeats. By default it does. If not, it only recovers the tasks of lost claimants.
    timers: Option<bool>,
}

impl Acquire {
    fn keeps(&self) -> Keeps {
        if self.timers.unwrap_or(true) { Keeps::All } else { Keeps::LostClaimants }
    }
}

async fn acquire(
    State(app): State<App>,
    names: Names,
    Extension(origin): Extension<Origin>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<Acquire>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    app.drain.allows_new()?;
    let wait = body.wait_s.map(|wait| seconds("wait_s", wait, MAX_WAIT)).transpose()?;
    if let Caller::Program(client) = &caller {
        if body.id.is_some() {
            return Err(Problem::new(Kind::BadRequest, "id: the session has its name already"));
        }
        if let Some(owned) = client.owned(&plan) {
            return Ok(own(StatusCode::OK, &owned)); // Asked for again.
        }
        let owned = take(&app, client, &plan, wait.or(Some(Duration::ZERO)), body.keeps()).await?;
        return Ok(own(StatusCode::OK, &owned));
    }
    sse::accepted(&headers)?;
    let id = session_name(&app, body.id.as_deref())?;
    app.coordinator.plan(&plan).await?; // There, or the answer is a problem and no stream.
    let (client, news) = app.sessions.open(&app.coordinator, id, origin, Bond::Connection).await?;
    let following = follow(&app, Arc::clone(&client), news);
    Ok(sse::answer(
        acquiring(app.clone(), client, plan, wait, body.keeps(), following),
        app.options.heartbeat,
    ))
}

/// Acquires, unless the sidecar begins to drain before that, and looks after what was acquired.
async fn take(
    app: &App,
    client: &Arc<ClientSession>,
    plan: &PlanName,
    wait: Option<Duration>,
    keeps: Keeps,
) -> Result<OwnedView, Problem> {
    let ownership = app.drain.while_open(client.acquire(plan, wait)).await?;
    app.metrics.acquired();
    let owned = OwnedView::of(&ownership);
    let (app, maintained) = (app.clone(), Arc::clone(client));
    client.keep(ownership, move |ownership, stop| maintain(app, maintained, ownership, keeps, stop));
    Ok(owned)
}

/// The stream of a connection that is to own a plan: of its session, and meanwhile the plan is acquired.
/// Ends, and with it the session, if it cannot be, or when it is lost.
fn acquiring(
    app: App,
    client: Arc<ClientSession>,
    plan: PlanName,
    wait: Option<Duration>,
    keeps: Keeps,
    following: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    stream! {
        let mut following = Box::pin(following);
        let taking = take(&app, &client, &plan, wait, keeps);
        let mut taking = Box::pin(taking);
        let taken = loop {
            let next = tokio::select! {
                biased; // The acquisition is sent before other events.
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
    Json(body): Json<Force>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let expected = OrchestratorId::new(body.expected)
        .map_err(|error| Problem::new(Kind::BadRequest, format!("expected: {error}")))?;
    let released = app
        .coordinator
        .admin()
        .force_release(&plan, Some(&expected), &Reason::by(caller.name()).because(&body.reason))
        .await?;
    Ok(JsonView(ReleasedView::new(plan, released)).into_response())
}
