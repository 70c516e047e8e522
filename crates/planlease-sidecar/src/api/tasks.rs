//! Tasks: read with the revision that wrote them, and updated if they are still of that revision.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, patch, put},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use planlease::{
    Authority, CLAIM_LIMITS, Findings, Outcome, PlanView, Refused, TaskView, UpdateRequest, read_beside,
};
use planlease_core::{
    PlanName,
    budget::Amount,
    cancel::Then,
    transition::{Change, TaskStatus},
};
use planlease_documents::{FindingsView, FindingsWritten, TaskDetailView, TaskList, TaskUpdate, WhyTask};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    conditional::{Match, etag, has_already, idempotency_key, if_match},
    parts::{Caller, Json, JsonView, Names, Query, RawBody},
    problem::{Kind, Problem},
    routes::{Parameter, Route, Takes},
    shared::{App, Shared},
};

/// How long an update waits for the watcher to see the revision that it names, before the plan is read. It is
/// there within a millisecond or two of the answer that reported it.
const SIGHT: Duration = Duration::from_millis(50);

/// What can be in the way of reading a task.
const READING: &[Kind] = &[Kind::NoSuchPlan, Kind::NoSuchTask];

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/v1/plans/{plan}/tasks", "listTasks", "The tasks of a plan.", || get(list))
            .query(&[Parameter::new("status", "string", "Only tasks in this status.")])
            .shows::<TaskList>()
            .problems(READING),
        Route::new(
            Method::GET,
            "/v1/plans/{plan}/tasks/{task}",
            "showTask",
            "A task with its history; its ETag is the revision that wrote it.",
            || get(show),
        )
        .headers(&[Parameter::new("If-None-Match", "string", "304 if it is still this one.")])
        .shows::<TaskDetailView>()
        .also(304, None)
        .problems(READING),
        Route::new(
            Method::PATCH,
            "/v1/plans/{plan}/tasks/{task}",
            "updateTask",
            "Changes a task, if it is still of the revision that If-Match names.",
            || patch(update),
        )
        .acts()
        .reads::<Update>()
        .headers(&[
            Parameter::new("If-Match", "etag", "The ETag of the task as it is known, or *.").required(),
            Parameter::new(
                "Idempotency-Key",
                "uuid",
                "The id of the update: sent again, it has the same answer.",
            ),
        ])
        .shows::<TaskUpdate>()
        .problems(&[
            Kind::NoSuchTask,
            Kind::NoPrecondition,
            Kind::Stale,
            Kind::WrongState,
            Kind::NotAllowed,
        ]),
        Route::new(
            Method::GET,
            "/v1/plans/{plan}/tasks/{task}/why",
            "whyTask",
            "Why a task is where it is.",
            || get(why),
        )
        .shows::<WhyTask>()
        .problems(READING),
        Route::new(
            Method::GET,
            "/v1/plans/{plan}/tasks/{task}/findings",
            "readFindings",
            "What a task has found out.",
            || get(findings),
        )
        .shows::<FindingsView>()
        .problems(&[Kind::NoSuchPlan, Kind::NoSuchTask, Kind::NotFound]),
        Route::new(
            Method::PUT,
            "/v1/plans/{plan}/tasks/{task}/findings",
            "writeFindings",
            "Stores what a task has found out; longer than 48 KiB is cut in the middle.",
            || put(write_findings),
        )
        .acts()
        .takes(Takes::File(&["text/plain"]))
        .query(&[
            Parameter::new("attempt", "count", "Of which attempt; the present one by default."),
            Parameter::new("reference", "string", "Where the whole of it is."),
        ])
        .shows::<FindingsWritten>()
        .problems(&[Kind::NoSuchPlan, Kind::NoSuchTask, Kind::AuthorityLost]),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    status: Option<TaskStatus>,
}

async fn list(State(app): State<App>, names: Names, Query(query): Query<List>) -> Result<Response, Problem> {
    let view = app.coordinator.plan(&names.plan()?).await?;
    let alive = app.coordinator.alive(&view).await?;
    Ok(JsonView(TaskList::new(&view, query.status, &alive)).into_response())
}

async fn show(State(app): State<App>, names: Names, headers: HeaderMap) -> Result<Response, Problem> {
    let (plan, task) = (names.plan()?, names.task()?);
    let mut excerpt = app.coordinator.excerpt(&plan, &task).await?;
    let revision = excerpt.task().revision;
    let mut response = if has_already(&headers, revision) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let findings = read_beside(&mut excerpt, app.coordinator.findings(&plan, &task).await)?;
        let alive = app.coordinator.alive_for(&excerpt).await?;
        app.recent.remember(&plan, excerpt.task());
        JsonView(TaskDetailView::new(&excerpt, findings, &alive)).into_response()
    };
    response.headers_mut().insert(header::ETAG, etag(revision));
    Ok(response)
}

async fn why(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let (plan, task) = (names.plan()?, names.task()?);
    let offers = app.offers().await?;
    Ok(JsonView(WhyTask::read(&app.coordinator, &plan, &task, &offers).await?).into_response())
}

/// What is to become of a task.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "UpdateRequest")]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Update {
    /// Begins the next attempt, for the caller.
    Start {
        /// How long a claim without a session stands, from now or from its last progress report, in seconds;
        /// 8 hours by default. Refused with a session, which keeps the claim.
        #[serde(default)]
        #[schemars(range(min = 1, max = 31_536_000))]
        for_s: Option<u64>,
    },
    /// Says how the attempt is doing.
    Progress {
        /// How it is doing; can be left out if it is said what was spent.
        progress: Option<String>,
        /// What the attempt has spent so far in all, such as money or tokens. Above the budget of the task
        /// the attempt is cancelled.
        spent: Option<Amount>,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
    /// Ends it well.
    Complete {
        /// What there is to say.
        notes: Option<String>,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
    /// Ends it badly.
    Fail {
        /// What went wrong.
        error: String,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
    /// Gives the task back unharmed.
    Return {
        /// Why.
        reason: String,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
    /// Leaves it out.
    Skip {
        /// Why.
        reason: String,
    },
    /// Puts it back, to be done again.
    Retry {
        /// Why.
        reason: String,
    },
    /// Approves what waits for a person: the start of the next attempt, or the result of the present one.
    Approve {
        /// Why.
        reason: String,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
    /// Rejects what waits for a person.
    Reject {
        /// Why; the next attempt is given it.
        reason: String,
        /// What becomes of the task; by default a result is worked on again, and a task that was not started
        /// waits for a decision.
        then: Option<Then>,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
    /// Cancels the present attempt: it cannot be completed any more, and the claimant has to give it up.
    /// A task that no process works on is cancelled at once.
    Cancel {
        /// Why.
        reason: String,
        /// What becomes of the task when the attempt has ended.
        then: Then,
        /// The attempt that this is about.
        attempt: Option<u32>,
    },
}

impl Update {
    /// The time limit that the claim gets.
    ///
    /// # Errors
    /// If it is none, or the claim has a session.
    fn limit(&self, caller: &Caller) -> Result<Option<Duration>, Problem> {
        let Self::Start { for_s: Some(seconds) } = self else { return Ok(None) };
        let (limit, (shortest, longest)) = (Duration::from_secs(*seconds), CLAIM_LIMITS);
        let why = if matches!(caller, Caller::Program(_)) {
            "for_s is for claims without a session: this one stands as long as its session".to_owned()
        } else if (shortest..=longest).contains(&limit) {
            return Ok(Some(limit));
        } else {
            format!("for_s has to be {} to {}", shortest.as_secs(), longest.as_secs())
        };
        Err(Problem::new(Kind::BadRequest, why))
    }

    pub(super) fn change(self) -> (Change, Option<u32>) {
        match self {
            Self::Start { .. } => (Change::Start, None),
            Self::Progress { progress, spent: Some(spent), attempt } => {
                (Change::Spend(spent, progress), attempt)
            }
            Self::Progress { progress, spent: None, attempt } => {
                (Change::Progress(progress.unwrap_or_default()), attempt)
            }
            Self::Approve { reason, attempt } => (Change::Approve(reason), attempt),
            Self::Reject { reason, then, attempt } => (Change::Reject(then, reason), attempt),
            Self::Complete { notes, attempt } => (Change::Complete(notes), attempt),
            Self::Fail { error, attempt } => (Change::Fail(error), attempt),
            Self::Return { reason, attempt } => (Change::Return(reason), attempt),
            Self::Skip { reason } => (Change::Skip(reason), None),
            Self::Retry { reason } => (Change::Retry(reason), None),
            Self::Cancel { reason, then, attempt } => (Change::Cancel(then, reason), attempt),
        }
    }
}

async fn update(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    headers: HeaderMap,
    Json(update): Json<Update>,
) -> Result<Response, Problem> {
    let limit = update.limit(&caller)?;
    let (change, attempt) = update.change();
    let (plan, request) = (names.plan()?, UpdateRequest::new(names.task()?, change).of_attempt(attempt));
    let key = idempotency_key(&headers)?;
    let request = match if_match(&headers)? {
        Match::Exactly(revision) => request.expecting(revision),
        Match::Any => request,
    };
    let request = match key {
        Some(key) => request.idempotent(key),
        None => request,
    };
    if request.change == Change::Start {
        app.drain.allows_new()?;
    }
    let authority = caller.authority_over(&app, &plan)?;
    let authority = match limit {
        Some(limit) => authority.claims_for(limit),
        None => authority,
    };
    Submission { plan, request, authority }.carry_out(&app, &caller).await
}

/// An update of a task, and the authority for it.
struct Submission {
    plan: PlanName,
    request: UpdateRequest,
    authority: Authority,
}

/// What is known of the task of an update without a read.
enum Known {
    Plan(Arc<PlanView>),
    Task(Arc<TaskView>),
}

impl Submission {
    async fn carry_out(self, app: &Shared, caller: &Caller) -> Result<Response, Problem> {
        let outcome = match self.known(app, caller).await {
            Some(Known::Plan(plan)) => self.authority.submit_on(&*plan, &self.request).await?,
            Some(Known::Task(task)) => self.authority.submit_on(&*task, &self.request).await?,
            None => {
                if let Some(done) = self.authority.carried_out(&self.request).await? {
                    app.metrics.update("repeated");
                    return Ok(self.committed(app, &done));
                }
                self.authority.submit(&self.request).await?
            }
        };
        if let (Outcome::Committed(task), Change::Start, Caller::Program(client)) =
            (&outcome, &self.request.change, caller)
        {
            client.claims.add(&self.plan, &task.id, task.revision);
        }
        self.answer(app, outcome)
    }

    /// The record that the request is about, if it was answered with a moment ago or a watcher has that very
    /// one: then nothing has to be read. A start needs what the task waits for as well, which only a watcher
    /// has. Not for an operator, whose authority is good for the plan as it is read.
    async fn known(&self, app: &Shared, caller: &Caller) -> Option<Known> {
        let (Some(revision), Caller::Program(_)) = (self.request.expect, caller) else { return None };
        if self.request.change != Change::Start
            && let Some(task) = app.recent.at(&self.plan, &self.request.task, revision)
        {
            return Some(Known::Task(task));
        }
        let watcher = app.watchers.covering(&self.plan)?;
        let snapshot = watcher.wait_for(revision, SIGHT).await.ok()?;
        let plan = snapshot.plan(&self.plan)?;
        let seen = plan.tasks().shared(&self.request.task).filter(|task| task.revision == revision)?;
        Some(if self.request.change == Change::Start {
            Known::Plan(Arc::clone(plan))
        } else {
            Known::Task(Arc::clone(seen))
        })
    }

    fn answer(&self, app: &Shared, outcome: Outcome) -> Result<Response, Problem> {
        match outcome {
            Outcome::Committed(task) => {
                app.metrics.update("committed");
                Ok(self.committed(app, &task))
            }
            Outcome::Refused(refused) => {
                app.metrics.update(if matches!(refused, Refused::Conflict(_)) {
                    "conflict"
                } else {
                    "refused"
                });
                Err(Problem::refused(&self.plan, &self.request.task, &self.request.change, &refused))
            }
            Outcome::Unknown { op_id, reason } => {
                app.metrics.update("unknown");
                let detail = format!(
                    "{reason}; it was done if the task's op_id is {op_id}, and may still be; asked for again with this \
                     Idempotency-Key and the same If-Match, it is done once"
                );
                Err(Problem::new(Kind::OutcomeUnknown, detail).with("op_id", op_id.to_string()))
            }
        }
    }

    fn committed(&self, app: &Shared, task: &TaskView) -> Response {
        app.recent.remember(&self.plan, task);
        let update = TaskUpdate::committed(self.plan.clone(), self.request.change.verb(), task);
        let mut response = JsonView(update).into_response();
        response.headers_mut().insert(header::ETAG, etag(task.revision));
        response
    }
}

async fn findings(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let (plan, task) = (names.plan()?, names.task()?);
    match app.coordinator.findings(&plan, &task).await? {
        Some(found) => Ok(JsonView(FindingsView::new(plan, task, found)).into_response()),
        None => {
            app.coordinator.excerpt(&plan, &task).await?;
            Err(Problem::new(Kind::NotFound, format!("task {task} of {plan} has no findings")))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteFindings {
    attempt: Option<u32>,
    reference: Option<String>,
}

async fn write_findings(
    State(app): State<App>,
    names: Names,
    Query(query): Query<WriteFindings>,
    caller: Caller,
    RawBody(text, _room): RawBody,
) -> Result<Response, Problem> {
    let (plan, task) = (names.plan()?, names.task()?);
    let Ok(text) = std::str::from_utf8(&text) else {
        return Err(Problem::new(Kind::BadRequest, "findings are text in UTF-8"));
    };
    let excerpt = app.coordinator.excerpt(&plan, &task).await?;
    let attempt = query.attempt.unwrap_or(excerpt.task().record.attempt);
    let authority = caller.authority(&app, excerpt.seen())?;
    let mut findings = Findings::of_attempt(attempt, text);
    if let Some(reference) = &query.reference {
        findings = findings.kept_at(reference);
    }
    authority.write_findings(&task, &findings).await?;
    let written = FindingsWritten { plan, task, attempt, bytes: text.len(), reference: query.reference };
    let mut response = JsonView(written).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
