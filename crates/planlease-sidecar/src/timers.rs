//! The timers of a plan that a client session owns, kept by the changes of a watcher of that plan.

use planlease::{Ownership, PlanTimers, TaskView, TimerEvent};
use planlease_core::PlanName;
use planlease_watcher::{Change, Delivery, Filter, Scope, Subscription};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{client_session::ClientSession, shape::Own, shared::App, sse};

/// What is kept of a plan that a client session owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// All timers.
    All,
    /// Lost claimants are recovered; time does nothing.
    LostClaimants,
}

/// What was recovered.
#[derive(Debug, Serialize, JsonSchema)]
struct Recovered<'a> {
    plan: &'a PlanName,
    tasks: Vec<String>,
}

impl Own for Recovered<'_> {
    const SCHEMA: &'static str = "planlease.recovered.v1";
}

/// Something was due.
#[derive(Debug, Serialize, JsonSchema)]
struct Due<'a> {
    plan: &'a PlanName,
    task: String,
    /// The task's status afterwards.
    status: String,
    /// The attempt that it was about.
    attempt: u32,
    why: String,
}

impl Own for Due<'_> {
    const SCHEMA: &'static str = "planlease.due.v1";
}

/// Keeps the timers of the plan, and reports what they do to the session's program. Never ends.
pub(crate) async fn keep(app: &App, client: &ClientSession, ownership: &Ownership, keeps: Keeps) {
    let plan = ownership.plan();
    let timers = PlanTimers::new(ownership, true);
    let mut timers = if keeps == Keeps::All { timers } else { timers.without_time() };
    let watcher = app.watchers.of(Scope::plan(plan.clone()));
    let mut subscription = watcher.subscribe(Filter::plan(plan.clone()), None).await.ok();
    loop {
        timers.set_in_touch(subscription.is_some() && watcher.trouble().is_none());
        match timers.work().await {
            Ok(events) => events.iter().for_each(|event| report(client, plan, event)),
            Err(_) => return std::future::pending().await, // The end is reported elsewhere.
        }
        tokio::select! {
            biased; // A sign of life that is there comes before what its absence would lead to.
            delivery = next(&mut subscription) => apply(&mut timers, delivery),
            () = timers.wait() => {}
        }
    }
}

/// The next changes; never if the watcher has ended.
async fn next(subscription: &mut Option<Subscription>) -> Delivery {
    if let Some(open) = subscription {
        if let Some(delivery) = open.next().await {
            return delivery;
        }
        *subscription = None;
    }
    std::future::pending().await
}

/// Applies what has changed.
fn apply(timers: &mut PlanTimers<'_>, delivery: Delivery) {
    match delivery {
        Delivery::Snapshot(..) => timers.missed(),
        Delivery::Changes(set) => {
            if set.resynced {
                timers.missed();
            }
            for change in &set.changes {
                match change {
                    Change::Task { task, .. } => timers.task_changed(TaskView::clone(task)),
                    Change::Findings { .. } | Change::Ownership { .. } => {}
                    _ => timers.missed(),
                }
            }
        }
    }
}

fn report(client: &ClientSession, plan: &PlanName, event: &TimerEvent) {
    match event {
        TimerEvent::Recovered(tasks) => {
            let tasks = tasks.iter().map(|task| task.id.to_string()).collect();
            client.tell(sse::document("recovered", &Recovered { plan, tasks }));
        }
        TimerEvent::Due { task, why } => {
            let (status, attempt) = (task.record.status.to_string(), task.record.attempt);
            let due = Due { plan, task: task.id.to_string(), status, attempt, why: why.clone() };
            client.tell(sse::document("due", &due));
        }
        TimerEvent::Trouble(why) => tracing::warn!(%plan, %why, "what is due is not done yet"),
        _ => {}
    }
}
