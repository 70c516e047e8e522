//! Claiming whatever is ready.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::Method;
use planlease::Refused;
use planlease_documents::ClaimView;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    options::MAX_CLAIM,
    parts::{Caller, Json, JsonView, Names},
    problem::{Kind, Problem},
    routes::Route,
    shared::App,
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
    let authority = caller.session()?.authority(&plan)?;
    let count = usize::try_from(body.count).unwrap_or(usize::MAX);
    let claimed = authority.claim(count, &body.labels).await?;
    if claimed.tasks.is_empty() && claimed.unknown.is_empty() {
        match &claimed.refused {
            None => {}
            Some(Refused::Halted(halt)) => {
                let detail = format!("{plan} was {} by {}: {}", halt.how, halt.by, halt.why);
                return Err(Problem::new(Kind::Halted, detail));
            }
            Some(Refused::Full(most)) => {
                let detail =
                    format!("no more tasks of {plan} may be in progress at once (max_in_progress = {most})");
                return Err(Problem::new(Kind::Blocked, detail));
            }
            Some(_) => {
                return Err(Problem::new(
                    Kind::RightGone,
                    format!("the right to claim tasks of {plan} is over"),
                ));
            }
        }
    }
    let view = app.coordinator.plan(&plan).await?;
    Ok(JsonView(ClaimView::new(&view, &claimed)).into_response())
}
