//! Who else is there: orchestrators, and the records of worktrees.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::Method;
use planlease_core::{PlanName, term::Line, worktree};
use planlease_documents::{OrchestratorList, WorktreeList, WorktreeShown};

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
    let mut owned: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for view in app.coordinator.plans().await? {
        if let Some((owner, _)) = view.line.owner() {
            owned.entry(owner.lease.to_string()).or_default().push(view.name.to_string());
        }
    }
    Ok(Shown(OrchestratorList::new(registered, &owned)).into_response())
}

async fn worktrees(State(app): State<App>) -> Result<Response, Problem> {
    let found = app.coordinator.worktrees().await?;
    let lines: BTreeMap<PlanName, Line> = match found.is_empty() {
        true => BTreeMap::new(),
        false => app.coordinator.plans().await?.into_iter().map(|view| (view.name, view.line)).collect(),
    };
    let shown = found.iter().map(|view| {
        let tenure = worktree::tenure(&view.record, lines.get(&view.record.plan));
        WorktreeShown::new(view, tenure)
    });
    Ok(Shown(WorktreeList::new(shown.collect())).into_response())
}
