//! Cancelled attempts of a session: which of the tasks that its program works on were cancelled.
//!
//! A session remembers what it has claimed; whether that is cancelled, the watchers of those plans show.
//! Nothing depends on it: a cancelled attempt cannot be completed in any case.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use planlease::Session;
use planlease_core::{
    PlanName, Revision, TaskId,
    cancel::Then,
    record::{Guard, TaskRecord},
};
use planlease_watcher::Scope;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    shape::Own,
    sse,
    watchers::{InUse, Watchers},
};

/// An attempt that was cancelled: it cannot be completed any more. Stop working on it, and give it up
/// (`fail` or `return`).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CancelledView {
    plan: PlanName,
    task: TaskId,
    attempt: u32,
    by: String,
    why: String,
    /// What becomes of the task when the attempt is given up.
    then: Then,
}

impl Own for CancelledView {
    const SCHEMA: &'static str = "planlease.cancelled.v1";
}

/// What a session has claimed.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<BTreeMap<PlanName, OfPlan>>);

/// After which time a plan is followed in which the session works on a task: what ends sooner costs no watch.
const FOLLOW_AFTER: Duration = Duration::from_secs(3);

/// What a session has claimed in one plan.
#[derive(Debug)]
struct OfPlan {
    /// Each with the revision of its claim.
    tasks: BTreeMap<TaskId, Revision>,
    since: Instant,
    /// Follows the plan for as long as the session works on it, once that has lasted for a while.
    watcher: Option<InUse>,
}

impl Claims {
    /// The session has claimed a task.
    pub(crate) fn add(&self, plan: &PlanName, task: &TaskId, revision: Revision) {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || OfPlan { tasks: BTreeMap::new(), since: Instant::now(), watcher: None };
        let of_plan = claims.entry(plan.clone()).or_insert_with(new);
        of_plan.tasks.insert(task.clone(), revision);
    }

    /// The claimed tasks whose attempts are cancelled. Forgets those that the session works on no more.
    pub(crate) fn cancelled(&self, session: &Session, watchers: &Arc<Watchers>) -> Vec<CancelledView> {
        let mut cancelled = Vec::new();
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|plan, of_plan| {
            if of_plan.watcher.is_none() && of_plan.since.elapsed() >= FOLLOW_AFTER {
                of_plan.watcher = Some(watchers.of(Scope::plan(plan.clone())));
            }
            of_plan.look(plan, session, &mut cancelled);
            !of_plan.tasks.is_empty()
        });
        cancelled
    }
}

impl OfPlan {
    /// Adds the tasks whose attempts are cancelled, as far as the watcher has seen, and forgets those that
    /// the session works on no more.
    fn look(&mut self, plan: &PlanName, session: &Session, cancelled: &mut Vec<CancelledView>) {
        let Some(snapshot) = self.watcher.as_ref().and_then(|watcher| watcher.snapshot()) else { return };
        self.tasks.retain(|task, claimed| {
            let view = snapshot.plan(plan).and_then(|view| view.tasks().get(task));
            let Some(view) = view.filter(|view| is_of(session, &view.record)) else {
                return snapshot.revision() < *claimed; // The claim is not seen yet.
            };
            if let Some(request) = &view.record.cancel {
                cancelled.push(CancelledView {
                    plan: plan.clone(),
                    task: task.clone(),
                    attempt: view.record.attempt,
                    by: request.by.clone(),
                    why: request.why.clone(),
                    then: request.then,
                });
            }
            true
        });
    }
}

/// Whether the session has claimed the task.
fn is_of(session: &Session, record: &TaskRecord) -> bool {
    match record.claim.as_ref().and_then(|claim| claim.guard.as_ref()) {
        Some(Guard::Owner { lease, .. }) => *lease == session.lease(),
        Some(Guard::Worker { orchestrator, .. }) => orchestrator == session.id(),
        _ => false,
    }
}

/// The cancelled attempts that were reported on a stream already.
#[derive(Debug, Default)]
pub(crate) struct Reported(BTreeSet<(PlanName, TaskId, u32)>);

impl Reported {
    /// The events for those that were not reported yet. Forgets those that are not cancelled any more.
    pub(crate) fn news(&mut self, cancelled: Vec<CancelledView>) -> Vec<Bytes> {
        let key = |view: &CancelledView| (view.plan.clone(), view.task.clone(), view.attempt);
        let new = cancelled.iter().filter(|view| !self.0.contains(&key(view)));
        let events = new.map(|view| sse::document("cancelled", view)).collect();
        self.0 = cancelled.iter().map(key).collect();
        events
    }
}
