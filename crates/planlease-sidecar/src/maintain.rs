//! Maintenance of a client session's ownerships and locks: recovers what others left in progress in a plan
//! that it owns, and reports losses.
//!
//! It is what every owner does; a program behind a sidecar does not have to know of it.

use std::{sync::Arc, time::Duration};

use planlease::{Claimants, Error, Lock, Ownership};
use planlease_core::{LockName, PlanName, record::Guard, transition::TaskStatus};
use planlease_watcher::{Change, Delivery, Filter, Subscription};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{client_session::ClientSession, shape::Own, shared::App, sse};

/// How long until a recovery that did not succeed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A plan that was lost.
#[derive(Debug, Serialize, JsonSchema)]
struct Lost<'a> {
    plan: &'a PlanName,
    why: String,
}

impl Own for Lost<'_> {
    const SCHEMA: &'static str = "planlease.lost.v1";
}

impl Own for LostLock<'_> {
    const SCHEMA: &'static str = "planlease.lost_lock.v1";
}

impl Own for Recovered<'_> {
    const SCHEMA: &'static str = "planlease.recovered.v1";
}

/// A lock that was lost.
#[derive(Debug, Serialize, JsonSchema)]
struct LostLock<'a> {
    plan: &'a PlanName,
    lock: &'a LockName,
    why: String,
}

/// What was recovered.
#[derive(Debug, Serialize, JsonSchema)]
struct Recovered<'a> {
    plan: &'a PlanName,
    tasks: Vec<String>,
}

/// Runs until the ownership is lost, or the handle stops it.
pub(crate) async fn maintain(
    app: App,
    client: Arc<ClientSession>,
    ownership: Arc<Ownership>,
    stop: CancellationToken,
) {
    let loss = tokio::select! {
        biased; // A release is no loss.
        () = stop.cancelled() => return,
        loss = ownership.lost() => loss,
        () = recover_always(&app, &client, &ownership) => return,
    };
    let plan = ownership.plan().clone();
    drop(ownership);
    app.metrics.lost();
    if client.forget(&plan) {
        let why = loss.to_string();
        tracing::info!(%plan, orchestrator = %client.session.id(), %why, "an ownership is lost");
        client.tell(sse::document("lost", &Lost { plan: &plan, why }));
    }
}

/// Runs until the lock is lost, or the handle stops it.
pub(crate) async fn maintain_lock(client: Arc<ClientSession>, lock: Arc<Lock>, stop: CancellationToken) {
    let loss = tokio::select! {
        biased; // A release is no loss.
        () = stop.cancelled() => return,
        loss = lock.lost() => loss,
    };
    let (plan, name) = (lock.plan().clone(), lock.name().clone());
    drop(lock);
    if client.forget_lock(&plan, &name) {
        let lost = LostLock { plan: &plan, lock: &name, why: loss.to_string() };
        client.tell(sse::document("lost_lock", &lost));
    }
}

/// Recovers what has lost its claimant, now and whenever a worker of the plan is gone. Never ends.
async fn recover_always(app: &App, client: &ClientSession, ownership: &Ownership) {
    let plan = ownership.plan();
    let mut claimants = ownership.claimants();
    let mut subscription = app.watcher.subscribe(Filter::plan(plan.clone()), None).await.ok();
    loop {
        let done = recover(client, ownership, &mut claimants).await;
        tokio::select! {
            biased; // Each of them leads to the same.
            () = claimants.gone() => {}
            () = claimed(&mut subscription) => {}
            () = tokio::time::sleep(AGAIN), if !done => {}
        }
    }
}

/// Recovers what there is to recover, and keeps watch over the workers that are left. Whether it succeeded.
async fn recover(client: &ClientSession, ownership: &Ownership, claimants: &mut Claimants) -> bool {
    match ownership.recover().await {
        Ok((recovered, view)) => {
            claimants.follow(&view).await;
            if !recovered.is_empty() {
                let tasks = recovered.iter().map(|task| task.id.to_string()).collect();
                let recovered = Recovered { plan: ownership.plan(), tasks };
                client.tell(sse::document("recovered", &recovered));
            }
            true
        }
        Err(Error::AuthorityLost(_)) => true, // The end is reported elsewhere.
        Err(error) => {
            tracing::warn!(plan = %ownership.plan(), %error, "lost tasks are not recovered yet");
            false
        }
    }
}

/// Resolves when a worker has claimed a task of the plan, or when that may have escaped us.
async fn claimed(subscription: &mut Option<Subscription>) {
    let Some(open) = subscription else { return std::future::pending().await };
    loop {
        match open.next().await {
            Some(Delivery::Changes(set)) => {
                if set.resynced || set.changes.iter().any(is_claim) {
                    return;
                }
            }
            Some(Delivery::Snapshot(..)) => return,
            None => break,
        }
    }
    *subscription = None;
    std::future::pending().await
}

fn is_claim(change: &Change) -> bool {
    let Change::Task { task, .. } = change else { return false };
    let guard = task.record.claim.as_ref().and_then(|claim| claim.guard.as_ref());
    task.record.status == TaskStatus::InProgress && matches!(guard, Some(Guard::Worker { .. }))
}
