//! Who else is there: orchestrators, worktrees.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::Method;
use planlease_documents::OrchestratorList;

use crate::{parts::Shown, problem::Problem, routes::Route, shared::App};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/v1/orchestrators",
            "listOrchestrators",
            "Who is alive, and owns what.",
            || get(orchestrators),
        )
        .shows::<OrchestratorList>(),
    ]
}

async fn orchestrators(State(app): State<App>) -> Result<Response, Problem> {
    let registered = app.coordinator.orchestrators().await?;
    let mut owned: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for view in app.coordinator.plans().await? {
        if let Some((owner, _)) = view.line.owner() {
            owned.entry(owner.lease.to_string()).or_default().push(view.name.to_string());
        }
    }
    Ok(Shown(OrchestratorList::new(registered, &owned)).into_response())
}
