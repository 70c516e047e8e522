//! What operators ask of a whole fleet: a pause, cordons and drains of orchestrators, moves of plans.
//!
//! None of these requests waits for what comes of it: the orchestrators act when they see it, and the lists
//! show how far they are.

use std::time::Duration;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use http::{Method, StatusCode};
use planlease::{MAX_DEADLINE, Reason};
use planlease_core::{OrchestratorId, steering::Eligibility};
use planlease_documents::{EligibilityView, FleetView, MoveView};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    origin::Origin,
    parts::{Caller, Json, JsonView, Names},
    problem::{Kind, Problem},
    routes::Route,
    shared::App,
};

/// How long running tasks go on at a drain or a move, unless the request says otherwise.
const DEADLINE: Duration = Duration::from_mins(5);

pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::new(Method::GET, "/v1/fleet", "showFleet", "What is asked of the fleet: a pause, cordoned orchestrators, plans that are to move.", || get(show))
            .shows::<FleetView>(),
        Route::new(Method::POST, "/v1/fleet/pause", "pauseFleet", "No process starts another task in any plan. What is in progress goes on.", || post(pause))
            .acts()
            .reads::<Steer>()
            .shows::<FleetView>(),
        Route::new(Method::POST, "/v1/fleet/resume", "resumeFleet", "Ends the pause of the fleet.", || post(resume))
            .acts()
            .reads::<End>()
            .shows::<FleetView>(),
        Route::new(Method::POST, "/v1/plans/{plan}/owner/move", "movePlan", "Asks the owner to give the plan to another orchestrator, which is registered and not cordoned. The request ends by itself a minute after its deadline.", || post(move_to))
            .acts()
            .reads::<Move>()
            .shows::<MoveView>()
            .problems(&[Kind::NoSuchPlan, Kind::WrongState, Kind::Held, Kind::Halted]),
        Route::new(Method::DELETE, "/v1/plans/{plan}/owner/move", "withdrawMove", "Takes back a request to move the plan.", || delete(withdraw))
            .acts()
            .problems(&[Kind::NotFound]),
    ];
    routes.extend(of_orchestrators());
    routes
}

/// Whether an orchestrator takes work.
fn of_orchestrators() -> [Route; 3] {
    let route = |path, name, what, handler| {
        Route::new(Method::POST, path, name, what, handler).acts().shows::<EligibilityView>()
    };
    [
        route("/v1/orchestrators/{orchestrator}/cordon", "cordonOrchestrator", "It takes no new plan and claims no new task; it goes on in the plans that it owns.", || post(cordon))
            .reads::<Steer>(),
        route("/v1/orchestrators/{orchestrator}/uncordon", "uncordonOrchestrator", "It takes plans again: ends a cordon or a drain.", || post(uncordon))
            .reads::<End>(),
        route("/v1/orchestrators/{orchestrator}/drain", "drainOrchestrator", "It takes nothing new, and gives the plans away that it owns: tasks that run may end until the deadline.", || post(drain))
            .reads::<Drain>(),
    ]
}

/// Why a fleet is paused, or an orchestrator takes nothing new.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SteerRequest")]
#[serde(deny_unknown_fields)]
struct Steer {
    /// For people: it stays with the pause or the cordon.
    reason: String,
}

/// Why a pause or a cordon ends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "EndRequest")]
#[serde(deny_unknown_fields)]
struct End {
    /// For people: it stands in the sidecar's log, since no record is left that could keep it.
    #[serde(default)]
    reason: String,
}

/// How an orchestrator is drained.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "DrainRequest")]
#[serde(deny_unknown_fields)]
struct Drain {
    /// For people.
    reason: String,
    /// How long running tasks go on, in seconds; 5 minutes by default.
    #[schemars(range(min = 0, max = 604_800))]
    deadline_s: Option<f64>,
}

/// Where a plan is to move.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "MoveRequest")]
#[serde(deny_unknown_fields)]
struct Move {
    /// The orchestrator that is to own it.
    to: String,
    /// The expected owner: if another process owns the plan by now, nothing is done.
    expected: Option<String>,
    /// For people.
    reason: String,
    /// How long running tasks go on once the other one waits for the plan, in seconds; 5 minutes by default.
    #[schemars(range(min = 0, max = 604_800))]
    deadline_s: Option<f64>,
}

async fn show(State(app): State<App>) -> Result<Response, Problem> {
    let (steering, _) = app.coordinator.steering().await?;
    Ok(JsonView(FleetView::of(&steering)).into_response())
}

async fn pause(State(app): State<App>, caller: Caller, Json(body): Json<Steer>) -> Result<Response, Problem> {
    let halted = app.coordinator.admin().pause_fleet(&reason(&caller, &body.reason)?).await?;
    Ok(JsonView(FleetView::paused(halted)).into_response())
}

async fn resume(
    State(app): State<App>,
    Extension(client): Extension<Origin>,
    caller: Caller,
    Json(body): Json<End>,
) -> Result<Response, Problem> {
    let changed = app.coordinator.admin().resume_fleet().await?;
    tracing::info!(%client, by = caller.name(), why = body.reason, changed, "the fleet was resumed");
    Ok(JsonView(FleetView::resumed(changed)).into_response())
}

async fn cordon(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(body): Json<Steer>,
) -> Result<Response, Problem> {
    let id = names.orchestrator()?;
    app.coordinator.admin().cordon(&id, &reason(&caller, &body.reason)?).await?;
    Ok(JsonView(EligibilityView::new(id, Eligibility::Cordoned, None)).into_response())
}

async fn uncordon(
    State(app): State<App>,
    names: Names,
    Extension(client): Extension<Origin>,
    caller: Caller,
    Json(body): Json<End>,
) -> Result<Response, Problem> {
    let id = names.orchestrator()?;
    let changed = app.coordinator.admin().uncordon(&id).await?;
    let by = caller.name();
    tracing::info!(%client, by, orchestrator = %id, why = body.reason, changed, "a cordon was ended");
    Ok(JsonView(EligibilityView::uncordoned(id, changed)).into_response())
}

async fn drain(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(body): Json<Drain>,
) -> Result<Response, Problem> {
    let id = names.orchestrator()?;
    let (deadline, reason) = (deadline(body.deadline_s)?, reason(&caller, &body.reason)?);
    app.coordinator.admin().drain(&id, deadline, &reason).await?;
    Ok(JsonView(EligibilityView::new(id, Eligibility::Draining, None)).into_response())
}

async fn move_to(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(body): Json<Move>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let (deadline, reason) = (deadline(body.deadline_s)?, reason(&caller, &body.reason)?);
    let (to, expected) =
        (orchestrator("to", body.to)?, body.expected.map(|id| orchestrator("expected", id)).transpose()?);
    let admin = app.coordinator.admin();
    let request = admin.request_move(&plan, expected.as_ref(), &to, deadline, &reason).await?;
    Ok(JsonView(MoveView::of(&plan, &request)).into_response())
}

async fn withdraw(State(app): State<App>, names: Names, _caller: Caller) -> Result<Response, Problem> {
    let plan = names.plan()?;
    match app.coordinator.admin().withdraw_move(&plan, None).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Problem::new(Kind::NotFound, format!("no move of {plan} is under way"))),
    }
}

/// The reason, with who gives it.
///
/// # Errors
/// If it says nothing: others read it later.
fn reason(caller: &Caller, why: &str) -> Result<Reason, Problem> {
    match why.trim() {
        "" => {
            Err(Problem::new(Kind::BadRequest, "reason: it is empty; others read it later, so say something"))
        }
        why => Ok(Reason::by(caller.name()).because(why)),
    }
}

fn deadline(asked: Option<f64>) -> Result<Duration, Problem> {
    asked.map_or(Ok(DEADLINE), |asked| crate::sessions::seconds("deadline_s", asked, MAX_DEADLINE))
}

fn orchestrator(name: &str, value: String) -> Result<OrchestratorId, Problem> {
    OrchestratorId::new(value).map_err(|error| Problem::new(Kind::BadRequest, format!("{name}: {error}")))
}
