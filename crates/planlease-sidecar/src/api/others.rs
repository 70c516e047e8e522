//! What there is besides single plans: orchestrators, what needs a person, the records of worktrees.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::Method;
use planlease::{List, PlanView, Registered};
use planlease_core::{PlanName, keys::Key, orphan::Alive, record::Guard, term::Queue, worktree};
use planlease_documents::{AttentionList, OrchestratorList, WorktreeList, WorktreeStatusView};
use planlease_watcher::{Snapshot, Store};

use crate::{
    parts::JsonView,
    problem::{Kind, Problem},
    routes::Route,
    shared::{App, Shared},
};

/// How long a read waits for the watcher to see the present revision, before it is read. Where other programs
/// write to the same etcd, the watcher learns of their revisions only when it falls silent.
const SIGHT: Duration = Duration::from_millis(50);

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
            "/v1/attention",
            "listAttention",
            "What needs a person, in all plans, most pressing first.",
            || get(attention),
        )
        .shows::<AttentionList>()
        .problems(&[Kind::Unavailable]),
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
    let (registered, plans) = match present(&app).await? {
        Some(snapshot) => listed(&snapshot),
        None => (app.coordinator.orchestrators().await?, app.coordinator.plans().await?),
    };
    let leases = app.coordinator.lease_times(registered.iter().map(Registered::lease)).await?;
    let (steering, _) = app.coordinator.steering().await?;
    Ok(JsonView(OrchestratorList::new(registered, &plans, &leases, &steering)).into_response())
}

/// What the watcher of the namespace has, if one runs and has seen everything up to the present revision:
/// then nothing but that revision is read.
async fn present(app: &Shared) -> Result<Option<Snapshot>, Problem> {
    let Some(watcher) = app.watchers.of_namespace() else { return Ok(None) };
    let revision = app.coordinator.raw().revision().await?;
    Ok(watcher.wait_for(revision, SIGHT).await.ok())
}

/// The orchestrators and plans of a snapshot, as a read of them finds them.
fn listed(snapshot: &Snapshot) -> (List<Registered>, List<PlanView>) {
    let unreadable = |is_of: fn(&Key) -> bool| snapshot.unreadable().filter(|one| is_of(&one.key)).collect();
    let registered = List {
        items: snapshot.orchestrators().map(|one| Registered::clone(one)).collect(),
        unreadable: unreadable(|key| matches!(key, Key::Orchestrator(_))),
    };
    let plans = List {
        items: snapshot.plans().map(|plan| PlanView::clone(plan)).collect(),
        unreadable: unreadable(|key| matches!(key, Key::Plan(_, part) if !part.is_beside())),
    };
    (registered, plans)
}

/// Of a snapshot at one revision: the watcher's, if one runs. What hangs on leases of its own is asked etcd
/// for besides.
async fn attention(State(app): State<App>) -> Result<Response, Problem> {
    let snapshot = match present(&app).await? {
        Some(snapshot) => snapshot,
        None => {
            let everything = app.coordinator.raw().snapshot(&app.coordinator.layout().watched()).await?;
            // Long enough for the requests of others to wait for.
            let loading = tokio::task::spawn_blocking(move || Store::load(&everything).snapshot().clone());
            loading.await.map_err(|error| Problem::new(Kind::Unexpected, error.to_string()))?
        }
    };
    let claims = |plan: &PlanView| {
        let claims = plan.tasks().values().filter_map(|task| task.record.claim.as_ref()?.limit);
        claims.map(|limit| limit.lease).collect::<Vec<_>>()
    };
    let leases = app.coordinator.lease_times(snapshot.plans().flat_map(|plan| claims(plan))).await?;
    let limits: BTreeMap<_, _> = leases.into_iter().map(|(lease, times)| (lease, times.left)).collect();
    let workers: BTreeSet<_> = snapshot.orchestrators().map(|one| (one.id.clone(), one.revision)).collect();
    let alive = Alive { owner: Guard::Unowned, workers, limits };
    let offers = snapshot.orchestrators().filter_map(|one| Some((one.id.clone(), one.record.offer.clone()?)));
    let plans = snapshot.plans().map(|plan| &**plan);
    Ok(JsonView(AttentionList::new(snapshot.revision(), plans, alive, &offers.collect())).into_response())
}

async fn worktrees(State(app): State<App>) -> Result<Response, Problem> {
    let found = app.coordinator.worktrees().list().await?;
    let mut lines: BTreeMap<&PlanName, Option<Queue>> = BTreeMap::new();
    for view in found.iter() {
        let plan = &view.record.plan;
        if !lines.contains_key(plan) {
            lines.insert(plan, app.coordinator.find_queue(plan).await?);
        }
    }
    let shown = found.iter().map(|view| {
        let tenure = worktree::tenure(&view.record, lines.get(&view.record.plan).and_then(Option::as_ref));
        WorktreeStatusView::new(view, tenure)
    });
    Ok(JsonView(WorktreeList::new(shown.collect(), &found.unreadable)).into_response())
}
