//! Tasks: read with the revision that wrote them, and updated if they are still of that revision.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, patch, put},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use planlease::{CLAIM_LIMITS, Error, Outcome, Refused, TaskView, read_beside};
use planlease_core::{
    PlanName, Revision, TaskId,
    transition::{Change, TaskStatus},
};
use planlease_documents::{FindingsView, FindingsWritten, TaskDetailView, TaskList, TaskUpdate, WhyTask};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    conditional::{Match, etag, has_already, idempotency_key, if_match},
    parts::{Caller, Json, JsonView, Names, Query, RawBody},
    problem::{Kind, Problem},
    routes::{Parameter, Route, Takes},
    shared::{App, Shared},
};

/// How often an update without a precondition is decided again because the task was changed in between.
const TRIES: usize = 20;

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
                "The id of the update: asked for again, it is told again.",
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
        .problems(&[Kind::NoSuchPlan, Kind::NoSuchTask, Kind::RightGone]),
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
    let mut view = app.coordinator.plan(&plan).await?;
    let revision = view.task(&task)?.revision;
    let mut response = if has_already(&headers, revision) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let findings = read_beside(&mut view, app.coordinator.findings(&plan, &task).await)?;
        let alive = app.coordinator.alive(&view).await?;
        JsonView(TaskDetailView::new(&view, view.task(&task)?, findings, &alive)).into_response()
    };
    response.headers_mut().insert(header::ETAG, etag(revision));
    Ok(response)
}

async fn why(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let (plan, task) = (names.plan()?, names.task()?);
    let mut view = app.coordinator.plan(&plan).await?;
    view.task(&task)?;
    let late = read_beside(&mut view, app.coordinator.late_results(&plan, &task).await.map(Some))?
        .unwrap_or_default();
    let alive = app.coordinator.alive(&view).await?;
    let missing = || Problem::new(Kind::NoSuchTask, format!("{plan} has no task {task}"));
    Ok(JsonView(WhyTask::new(&view, &task, &late, &alive).ok_or_else(missing)?).into_response())
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
        /// How it is doing.
        progress: String,
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

    fn change(self) -> (Change, Option<u32>) {
        match self {
            Self::Start { .. } => (Change::Start, None),
            Self::Progress { progress, attempt } => (Change::Progress(progress), attempt),
            Self::Complete { notes, attempt } => (Change::Complete(notes), attempt),
            Self::Fail { error, attempt } => (Change::Fail(error), attempt),
            Self::Return { reason, attempt } => (Change::Return(reason), attempt),
            Self::Skip { reason } => (Change::Skip(reason), None),
            Self::Retry { reason } => (Change::Retry(reason), None),
        }
    }
}

/// An update, understood.
struct Wanted {
    plan: PlanName,
    task: TaskId,
    change: Change,
    attempt: Option<u32>,
    precondition: Match,
    /// How long the claim stands that a start without a session makes.
    limit: Option<Duration>,
    /// The caller's, or one of its own.
    key: Uuid,
    /// Whether it is the caller's, who may have asked before.
    repeatable: bool,
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
    let key = idempotency_key(&headers)?;
    let wanted = Wanted {
        plan: names.plan()?,
        task: names.task()?,
        change,
        attempt,
        precondition: if_match(&headers)?,
        limit,
        key: key.unwrap_or_else(Uuid::new_v4),
        repeatable: key.is_some(),
    };
    if wanted.change == Change::Start {
        app.drain.allows_new()?;
    }
    wanted.carry_out(&app, &caller).await
}

impl Wanted {
    async fn carry_out(self, app: &Shared, caller: &Caller) -> Result<Response, Problem> {
        if let Some(outcome) = self.carry_out_as_watched(app, caller).await? {
            return self.told(app, outcome);
        }
        let mut tries = 1;
        loop {
            let view = app.coordinator.plan(&self.plan).await?;
            let seen = view.task(&self.task)?;
            if let Some(done) = self.done_before(app, seen).await? {
                app.metrics.update("repeated");
                return Ok(self.committed(&done));
            }
            if matches!(self.precondition, Match::Exactly(revision) if revision != seen.revision) {
                app.metrics.update("conflict");
                let conflict = Refused::Conflict(Box::new(seen.clone()));
                return Err(Problem::refused(&self.plan, &self.task, &self.change, &conflict));
            }
            let authority = caller.authority(app, &view)?.identified(self.op_id(seen.revision));
            let authority = match self.limit {
                Some(limit) => authority.claims_for(limit),
                None => authority,
            };
            let outcome = match &self.change {
                Change::Start => authority.start(&view, &self.task).await?,
                change => authority.update(seen, self.attempt, change).await?,
            };
            match outcome {
                Outcome::Refused(Refused::Conflict(_))
                    if self.precondition == Match::Any && tries < TRIES =>
                {
                    tries += 1;
                }
                outcome => return self.told(app, outcome),
            }
        }
    }

    /// Tries it without reading the plan, on the record that the request names, if the watcher has that one.
    /// `None` if that is not so, or if it was refused: then it has changed nothing and never will, and why is
    /// decided on what is there now.
    async fn carry_out_as_watched(&self, app: &Shared, caller: &Caller) -> Result<Option<Outcome>, Problem> {
        let (Match::Exactly(revision), Caller::Program(session)) = (&self.precondition, caller) else {
            return Ok(None);
        };
        let Ok(watched) = app.watcher.wait_for(*revision, SIGHT).await else { return Ok(None) };
        let Some(plan) = watched.plan(&self.plan) else { return Ok(None) };
        let Some(seen) = plan.tasks().get(&self.task).filter(|task| task.revision == *revision) else {
            return Ok(None);
        };
        let authority = session.authority(&self.plan)?.identified(self.op_id(*revision));
        let outcome = match &self.change {
            Change::Start => authority.start(plan, &self.task).await?,
            change => authority.update(seen, self.attempt, change).await?,
        };
        Ok(Some(outcome).filter(|outcome| !matches!(outcome, Outcome::Refused(_))))
    }

    /// The id of the write that this request makes of a record of that revision. It is made of all that the
    /// request is about, so that a key which is used for another one as well names another write, and none is
    /// ever in the history twice.
    fn op_id(&self, base: Revision) -> Uuid {
        let Self { plan, task, change, key, .. } = self;
        Uuid::new_v5(key, format!("{plan}/{task}/{base}/{}", change.verb()).as_bytes())
    }

    /// The record that this very update has written already.
    async fn done_before(&self, app: &Shared, seen: &TaskView) -> Result<Option<TaskView>, Problem> {
        match self.precondition {
            _ if !self.repeatable => Ok(None),
            Match::Exactly(base) if base >= seen.revision => Ok(None),
            Match::Exactly(base) => {
                let op_id = self.op_id(base);
                Ok(app.coordinator.find_update(&self.plan, &self.task, base, op_id).await?)
            }
            // It is unknown how far to look back: only the present record is asked.
            Match::Any => {
                let base = match app.coordinator.record_before(&self.plan, seen).await {
                    Ok(before) => before.map(|before| before.revision),
                    Err(Error::Compacted) => None,
                    Err(error) => return Err(error.into()),
                };
                let ours = base.is_some_and(|base| seen.record.op_id == self.op_id(base));
                Ok(ours.then(|| seen.clone()))
            }
        }
    }

    fn told(&self, app: &Shared, outcome: Outcome) -> Result<Response, Problem> {
        match outcome {
            Outcome::Committed(task) => {
                app.metrics.update("committed");
                Ok(self.committed(&task))
            }
            Outcome::Refused(refused) => {
                app.metrics.update(if matches!(refused, Refused::Conflict(_)) {
                    "conflict"
                } else {
                    "refused"
                });
                Err(Problem::refused(&self.plan, &self.task, &self.change, &refused))
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

    fn committed(&self, task: &TaskView) -> Response {
        let update = TaskUpdate::committed(self.plan.clone(), self.change.verb(), task);
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
            let view = app.coordinator.plan(&plan).await?;
            view.task(&task)?;
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
    let view = app.coordinator.plan(&plan).await?;
    let attempt = query.attempt.unwrap_or(view.task(&task)?.record.attempt);
    let authority = caller.authority(&app, &view)?;
    match &query.reference {
        Some(reference) => authority.write_reference(&task, attempt, text, reference).await?,
        None => authority.write_findings(&task, attempt, text).await?,
    }
    let written = FindingsWritten { plan, task, attempt, bytes: text.len(), reference: query.reference };
    let mut response = JsonView(written).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
