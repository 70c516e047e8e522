//! Several updates of tasks in one request: each with its own outcome, or all or nothing.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{HeaderMap, Method};
use planlease::{BatchOutcome, Outcome, Refused, UpdateRequest};
use planlease_core::{PlanName, Revision, TaskId, transition::Change};
use planlease_documents::{TaskUpdate, TaskUpdates};
use schemars::JsonSchema;
use serde::Deserialize;

use super::tasks::Update;
use crate::{
    conditional::idempotency_key,
    parts::{Caller, Json, JsonView, Names},
    problem::{Kind, Problem},
    routes::{Parameter, Route},
    shared::{App, Shared},
};

/// The most updates in one request.
const MAX_UPDATES: usize = 1_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::POST,
            "/v1/plans/{plan}/tasks:batch",
            "updateTasks",
            "Changes several tasks, each by itself, or with atomic=true all or nothing.",
            || post(update),
        )
        .acts()
        .reads::<Batch>()
        .headers(&[Parameter::new(
            "Idempotency-Key",
            "uuid",
            "The id of the request: a repetition gets the same outcomes.",
        )])
        .shows::<TaskUpdates>()
        .problems(&[
            Kind::NoSuchPlan,
            Kind::NoSuchTask,
            Kind::Stale,
            Kind::WrongState,
            Kind::NotAllowed,
            Kind::AuthorityLost,
            Kind::TooLarge,
        ]),
    ]
}

/// Several updates of tasks of one plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BatchRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// All or nothing: in one transaction, of at most 100 tasks. Otherwise each succeeds or fails by itself,
    /// and there may be 1,000.
    #[serde(default)]
    atomic: bool,
    /// What is to become of which task; each task once. A start cannot be among them.
    updates: Vec<Entry>,
}

/// One of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BatchUpdate")]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The task.
    task: TaskId,
    /// The revision that its record must have; by default whichever it has.
    #[serde(default)]
    revision: Option<Revision>,
    /// What is to become of it.
    update: Update,
}

async fn update(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    headers: HeaderMap,
    Json(batch): Json<Batch>,
) -> Result<Response, Problem> {
    let (plan, key) = (names.plan()?, idempotency_key(&headers)?);
    let Batch { atomic, updates } = batch;
    if updates.len() > MAX_UPDATES {
        let detail = format!("there are {} updates, and at most {MAX_UPDATES} in one request", updates.len());
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let requests = updates.into_iter().map(|entry| {
        let (change, attempt) = entry.update.change();
        if change == Change::Start {
            let detail = format!("task {} is to be started; starts are requests of their own", entry.task);
            return Err(Problem::new(Kind::BadRequest, detail));
        }
        let request = UpdateRequest::new(entry.task, change).of_attempt(attempt);
        let request = match entry.revision {
            Some(revision) => request.expecting(revision),
            None => request,
        };
        Ok(match key {
            Some(key) => request.idempotent(key),
            None => request,
        })
    });
    let requests = requests.collect::<Result<Vec<_>, _>>()?;
    let authority = caller.authority_over(&app, &plan)?;
    if atomic {
        let outcome = authority.submit_atomic(&requests).await?;
        return all_or_nothing(&app, &plan, &requests, &outcome);
    }
    let view = app.coordinator.plan(&plan).await?;
    let outcomes = authority.submit_all(&view, &requests).await;
    let mut shown = TaskUpdates::new(false, false);
    for (request, outcome) in requests.iter().zip(outcomes) {
        let (task, verb) = (request.task.clone(), request.change.verb());
        shown.add(match outcome {
            Ok(outcome) => {
                app.metrics.update(word(&outcome));
                TaskUpdate::of(plan.clone(), task, verb, &outcome)
            }
            Err(error) => {
                app.metrics.update("refused");
                let why = Problem::from(error).detail().to_owned();
                TaskUpdate::refused(plan.clone(), task, verb, why, None)
            }
        });
    }
    Ok(JsonView(shown).into_response())
}

/// The answer to a batch of which all or nothing was carried out; nothing is a problem.
fn all_or_nothing(
    app: &Shared,
    plan: &PlanName,
    requests: &[UpdateRequest],
    outcome: &BatchOutcome,
) -> Result<Response, Problem> {
    match outcome {
        BatchOutcome::Committed(tasks) => {
            let mut shown = TaskUpdates::new(true, false);
            for (request, task) in requests.iter().zip(tasks) {
                app.metrics.update("committed");
                shown.add(TaskUpdate::committed(plan.clone(), request.change.verb(), task));
            }
            Ok(JsonView(shown).into_response())
        }
        BatchOutcome::Refused(refused) => {
            app.metrics.update("refused");
            Err(refusal(plan, requests, refused))
        }
        BatchOutcome::Unknown { op_id, reason } => {
            app.metrics.update("unknown");
            let detail = format!(
                "{reason}; all of it was done if the op_id of the first task is {op_id}, and may still be; asked for again \
                 with this Idempotency-Key and the same revisions, it is done once"
            );
            Err(Problem::new(Kind::OutcomeUnknown, detail).with("op_id", op_id.to_string()))
        }
    }
}

/// Why nothing was done: the problem of the first task in the way, with all of them.
fn refusal(plan: &PlanName, requests: &[UpdateRequest], refused: &[(TaskId, Refused)]) -> Problem {
    let of = |task: &TaskId| requests.iter().find(|request| request.task == *task);
    let each: Vec<TaskUpdate> = refused
        .iter()
        .filter_map(|(task, why)| {
            Some(TaskUpdate::of_refusal(plan.clone(), task.clone(), of(task)?.change.verb(), why))
        })
        .collect();
    let first = refused.iter().find_map(|(task, why)| Some((task, &of(task)?.change, why)));
    let problem = match first {
        Some((task, change, why)) => Problem::refused(plan, task, change, why),
        None => Problem::new(Kind::Unexpected, "etcd refused the batch"),
    };
    problem.with("updates", serde_json::to_value(&each).unwrap_or_default())
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Committed(_) => "committed",
        Outcome::Refused(Refused::Conflict(_)) => "conflict",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown { .. } => "unknown",
    }
}
