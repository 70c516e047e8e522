//! Maintenance of a client session's ownerships and locks: has the timers of a plan kept that it owns, and
//! reports losses.
//!
//! It is what every owner does; a program behind a sidecar does not have to know of it.

use std::sync::Arc;

use planlease::{Lock, Ownership};
use planlease_core::{LockName, PlanName};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{client_session::ClientSession, shape::Own, shared::App, sse, timers};

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

/// A lock that was lost.
#[derive(Debug, Serialize, JsonSchema)]
struct LostLock<'a> {
    plan: &'a PlanName,
    lock: &'a LockName,
    why: String,
}

/// Runs until the ownership is lost, or the handle stops it.
pub(crate) async fn maintain(
    app: App,
    client: Arc<ClientSession>,
    ownership: Arc<Ownership>,
    keeps: timers::Keeps,
    stop: CancellationToken,
) {
    let loss = tokio::select! {
        biased; // A release is no loss.
        () = stop.cancelled() => return,
        loss = ownership.lost() => loss,
        () = timers::keep(&app, &client, &ownership, keeps) => return,
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
    let (plan, name) = (lock.plan().cloned(), lock.name().clone());
    drop(lock);
    let Some(plan) = plan else { return }; // Clients take locks of plans only.
    if client.forget_lock(&plan, &name) {
        let lost = LostLock { plan: &plan, lock: &name, why: loss.to_string() };
        client.tell(sse::document("lost_lock", &lost));
    }
}
