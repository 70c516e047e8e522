//! Who else is there: orchestrators, and the records of worktrees.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::Method;
use planlease_core::{PlanName, term::Queue, worktree};
use planlease_documents::{OrchestratorList, WorktreeList, WorktreeStatusView};

use crate::{parts::JsonView, problem::Problem, routes::Route, shared::App};

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
        Route::new(
            Method::GET,
            "/v1/worktrees",
            "listWorktrees",
            "The records of all worktrees, and whether anybody still owns them.",
            || get(worktrees),
        )
        .shows::<WorktreeList>(),
    ]
}

async fn orchestrators(State(app): State<App>) -> Result<Response, Problem> {
    let registered = app.coordinator.orchestrators().await?;
    Ok(JsonView(OrchestratorList::new(registered, &app.coordinator.plans().await?)).into_response())
}

async fn worktrees(State(app): State<App>) -> Result<Response, Problem> {
    let found = app.coordinator.worktrees().await?;
    let mut lines: BTreeMap<&PlanName, Option<Queue>> = BTreeMap::new();
    for view in found.iter() {
        let plan = &view.record.plan;
        if !lines.contains_key(plan) {
            lines.insert(plan, app.coordinator.line_of_plan(plan).await?);
        }
    }
    let shown = found.iter().map(|view| {
        let tenure = worktree::tenure(&view.record, lines.get(&view.record.plan).and_then(Option::as_ref));
        WorktreeStatusView::new(view, tenure)
    });
    Ok(JsonView(WorktreeList::new(shown.collect(), &found.unreadable)).into_response())
}
