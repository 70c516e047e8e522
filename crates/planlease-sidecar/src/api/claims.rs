//! Claiming whatever is ready.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::Method;
use planlease::{PlanView, Refused};
use planlease_core::PlanName;
use planlease_documents::ClaimView;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    options::MAX_CLAIM,
    parts::{Caller, Json, JsonView, Names},
    problem::{Kind, Problem},
    routes::Route,
    shared::{App, Shared},
};

pub(super) fn routes() -> Vec<Route> {
    let what = "Claims ready tasks for the session: no two claimants get the same one. None is no problem: tasks is empty.";
    vec![
        Route::new(Method::POST, "/v1/plans/{plan}/claims", "claimTasks", what, || post(claim))
            .acts()
            .reads::<Claim>()
            .shows::<ClaimView>()
            .problems(&[Kind::NoSuchPlan, Kind::NotAllowed, Kind::Halted, Kind::Draining]),
    ]
}

/// What work is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ClaimRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// At most so many tasks.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    count: u32,
    /// Only tasks with all of these labels.
    #[serde(default)]
    labels: Vec<String>,
}

const fn one() -> u32 {
    1
}

async fn claim(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(body): Json<Claim>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    app.drain.allows_new()?;
    if !(1..=MAX_CLAIM).contains(&body.count) {
        return Err(Problem::new(Kind::BadRequest, format!("count has to be 1 to {MAX_CLAIM}")));
    }
    let session = caller.session()?;
    let authority = session.authority(&plan)?;
    let count = usize::try_from(body.count).unwrap_or(usize::MAX);
    let view = match watched(&app, &plan, count).filter(|_| body.labels.is_empty()) {
        Some(view) => view,
        None => app.coordinator.plan(&plan).await?,
    };
    let claimed = authority.claim_on(&view, count, &body.labels).await?;
    for task in &claimed.tasks {
        session.claims.add(&plan, &task.id, task.revision);
    }
    if claimed.tasks.is_empty() && claimed.unknown.is_empty() {
        match &claimed.refused {
            None => {}
            Some(Refused::Halted(halt)) => {
                let detail = format!("{plan} was {} by {}: {}", halt.how, halt.by, halt.why);
                return Err(Problem::new(Kind::Halted, detail));
            }
            Some(refused @ (Refused::FleetPaused(_) | Refused::Cordoned(_))) => {
                return Err(Problem::new(Kind::Halted, planlease_documents::RefusalView::of(refused).why));
            }
            Some(Refused::Full(most)) => {
                let detail =
                    format!("no more tasks of {plan} may be in progress at once (max_in_progress = {most})");
                return Err(Problem::new(Kind::Blocked, detail));
            }
            Some(refused @ Refused::Pool(_)) => {
                return Err(Problem::new(Kind::Blocked, planlease_documents::RefusalView::of(refused).why));
            }
            Some(_) => {
                return Err(Problem::new(
                    Kind::AuthorityLost,
                    format!("the right to claim tasks of {plan} is over"),
                ));
            }
        }
    }
    Ok(JsonView(ClaimView::new(&view, &claimed)).into_response())
}

/// The plan as a watcher has it, if one runs anyhow and has as many ready tasks as are asked for. What of it
/// is too old is refused by etcd, and decided on the plan as it is.
fn watched(app: &Shared, plan: &PlanName, count: usize) -> Option<PlanView> {
    let snapshot = app.watchers.covering(plan)?.snapshot()?;
    let view = snapshot.plan(plan)?;
    let enough = view.halt().is_none() && view.ready().take(count).count() == count;
    enough.then(|| PlanView::clone(view))
}
