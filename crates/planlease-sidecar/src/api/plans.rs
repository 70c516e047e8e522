//! Plans: made of files, read, halted, deleted.

use std::{num::NonZeroU16, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post, put},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use planlease::{Imported, ImportedState, Reason};
use planlease_core::{PlanName, record};
use planlease_documents::{
    DefinitionView, DependencyGraph, EditView, EstimateView, HaltView, ImportList, NextTasks, PhaseList,
    PlanDeleted, PlanList, PlanStatus, WhyPlan,
};
use planlease_formats::{Format, Parsed};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    bodies::take,
    conditional::etag,
    options::MAX_READING,
    origin::Origin,
    parts::{Caller, Json, JsonView, Names, Query, RawBody, content_type},
    problem::{Kind, Problem},
    routes::{Gives, Parameter, Route, Takes},
    shape::Shape,
    shared::App,
};

/// The types of plan files.
const FILES: &[&str] = &["text/markdown", "application/toml", "application/json", "application/x-ndjson"];

/// What can be in the way of reading a plan.
const READING: &[Kind] = &[Kind::NoSuchPlan];

pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::new(Method::GET, "/v1/plans", "listPlans", "All plans, how far they are and who owns them.", || get(list))
            .query(&[Parameter::new("all", "boolean", "Archived plans as well.")])
            .shows::<PlanList>(),
        Route::new(Method::GET, "/v1/plans/{plan}", "showPlan", "What a plan is made of.", || get(show))
            .shows::<DefinitionView>()
            .problems(READING),
        Route::new(Method::PUT, "/v1/plans/{plan}", "importPlan", "Makes a plan of a file: 201, or 200 if it is there already from the same file. With update=true, edits the plan that is there.", || put(import))
            .takes(Takes::File(FILES))
            .query(&[
                Parameter::new("update", "boolean", "Edit the plan that is there."),
                Parameter::new("ticked", "string", "How tasks count whose boxes are ticked: done, or pending. By default done if other boxes of the file are open."),
            ])
            .gives(Gives::Document(201, Shape::of::<ImportList>()))
            .also(200, Some(Shape::of::<ImportList>()))
            .also(200, Some(Shape::of::<EditView>()))
            .problems(&[Kind::NoSuchPlan, Kind::Exists, Kind::BadPlan, Kind::Draining]),
        Route::new(Method::DELETE, "/v1/plans/{plan}", "deletePlan", "Deletes a plan that has no owner, with everything.", || delete(remove))
            .shows::<PlanDeleted>()
            .problems(&[Kind::NoSuchPlan, Kind::Held]),
    ];
    routes.extend(views());
    routes.extend(halts());
    routes
}

/// Ways to look at a plan.
fn views() -> [Route; 6] {
    let view = |path, name, what, shape, handler| {
        Route::new(Method::GET, path, name, what, handler)
            .gives(Gives::Document(200, shape))
            .problems(READING)
    };
    [
        view(
            "/v1/plans/{plan}/status",
            "planStatus",
            "How far a plan is.",
            Shape::of::<PlanStatus>(),
            || get(status),
        ),
        view(
            "/v1/plans/{plan}/next",
            "nextTasks",
            "What may start now, and what the others wait for.",
            Shape::of::<NextTasks>(),
            || get(next),
        )
        .query(&[
            Parameter::new("count", "count", "At most so many."),
            Parameter::new("label", "string", "Only tasks with these labels, separated by commas."),
        ]),
        view(
            "/v1/plans/{plan}/deps",
            "dependencies",
            "What waits for what.",
            Shape::of::<DependencyGraph>(),
            || get(deps),
        ),
        view("/v1/plans/{plan}/phases", "phases", "How far each phase is.", Shape::of::<PhaseList>(), || {
            get(phases)
        }),
        view(
            "/v1/plans/{plan}/estimate",
            "estimate",
            "How long a plan may still take.",
            Shape::of::<EstimateView>(),
            || get(estimate),
        )
        .query(&[
            Parameter::new("jobs", "positive", "How many tasks are worked on at once."),
            Parameter::new("guess_s", "seconds", "How long a task takes that was never measured."),
        ]),
        view("/v1/plans/{plan}/why", "whyPlan", "Why a plan is where it is.", Shape::of::<WhyPlan>(), || {
            get(why)
        }),
    ]
}

/// Ways to stop a plan, and to let it go on.
fn halts() -> [Route; 4] {
    let halt = |path, name, what, handler| {
        Route::new(Method::POST, path, name, what, handler)
            .acts()
            .reads::<Halt>()
            .shows::<HaltView>()
            .problems(&[Kind::NoSuchPlan, Kind::WrongState])
    };
    [
        halt("/v1/plans/{plan}/pause", "pausePlan", "Nothing more is started.", || post(pause)),
        halt("/v1/plans/{plan}/resume", "resumePlan", "It goes on.", || post(resume)),
        halt("/v1/plans/{plan}/cancel", "cancelPlan", "Ends its ownership; no process can own it.", || {
            post(cancel)
        }),
        halt("/v1/plans/{plan}/archive", "archivePlan", "Cancels it and puts it away.", || post(archive)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    all: bool,
}

async fn list(State(app): State<App>, Query(query): Query<List>) -> Result<Response, Problem> {
    let views = app.coordinator.plans().await?;
    let pause = app.coordinator.fleet_pause().await?;
    Ok(JsonView(PlanList::new(&views, query.all).in_fleet(pause.as_ref())).into_response())
}

async fn show(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let view = app.coordinator.plan(&names.plan()?).await?;
    let mut response = JsonView(DefinitionView::new(&view)).into_response();
    response.headers_mut().insert(header::ETAG, etag(view.defined()));
    Ok(response)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    #[serde(default)]
    update: bool,
    /// By default those of a file count as done in which other boxes are open.
    ticked: Option<Ticked>,
}

/// How tasks count whose boxes are ticked in the plan file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ticked {
    Done,
    Pending,
}

async fn import(
    State(app): State<App>,
    names: Names,
    Query(query): Query<Import>,
    caller: Caller,
    headers: HeaderMap,
    RawBody(file, _room): RawBody,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let (parsed, _reading) = parse(&app, &plan, &content_type(&headers), file).await?;
    let spec = &parsed.spec;
    let ticked_are_done = query.ticked.map_or_else(|| parsed.is_partly_ticked(), |how| how == Ticked::Done);
    let past = match ticked_are_done {
        true => ImportedState::of_ticked(spec, &parsed.reasons()),
        false => ImportedState::default(),
    };
    if query.update {
        let mut recorded = Vec::new();
        if ticked_are_done {
            recorded = app.coordinator.admin().skip_ticked(&plan, spec, &caller.name()).await?;
        }
        let edited = app.coordinator.admin().edit_with(&plan, spec, &past).await?;
        recorded.extend(edited.edit.added.iter().filter(|task| past.records.contains_key(*task)).cloned());
        let view = app.coordinator.plan(&plan).await?;
        let shown = EditView::new(&view, plan.as_str(), &edited.edit, edited.revision);
        return Ok(JsonView(shown.with_file(&view, &parsed, recorded)).into_response());
    }
    app.drain.allows_new()?;
    let imported = app.coordinator.admin().import_with(&plan, spec, &past, |_| {}).await?;
    let created = matches!(imported, Imported::Created(_));
    let mut imports = ImportList::default();
    imports.add(plan.clone(), plan.to_string(), &parsed, ticked_are_done, Some(imported));
    let mut response = JsonView(imports).into_response();
    if created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// The plan that a file defines, and the memory that reading it takes.
async fn parse(
    app: &App,
    plan: &PlanName,
    kind: &str,
    file: Bytes,
) -> Result<(Parsed, OwnedSemaphorePermit), Problem> {
    let name = match kind {
        "text/markdown" => format!("{plan}.md"),
        "application/toml" => format!("{plan}.toml"),
        "application/json" => format!("{plan}.json"),
        "application/x-ndjson" => format!("{plan}.jsonl"),
        other => {
            let detail = format!("a plan file is one of {}, not {other:?}", FILES.join(", "));
            return Err(Problem::new(Kind::UnsupportedType, detail));
        }
    };
    let format = Format::detect(&name, &file).unwrap_or(Format::Markdown);
    let memory = planlease_formats::memory(format, &file);
    if memory > MAX_READING {
        let mib = |bytes: usize| bytes / (1024 * 1024);
        let detail = format!(
            "reading the file would take some {} MiB, and a sidecar has {} MiB for that: it has very many parts for its \
             size; split the plan, or use `planlease plan import`",
            mib(memory),
            mib(MAX_READING)
        );
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let reading = take(&app.reading, memory, app.options.patience).await?;
    // Long enough for a session on the same thread to miss a renewal.
    let parsing = tokio::task::spawn_blocking(move || planlease_formats::parse_as(format, &name, &file));
    let parsed = parsing.await.map_err(|error| Problem::new(Kind::Unexpected, error.to_string()))?;
    let parsed = parsed.map_err(|problems| {
        let listed: Vec<String> = problems.listed.iter().map(ToString::to_string).collect();
        Problem::new(Kind::BadPlan, listed.join("; ")).with("problems", listed)
    })?;
    Ok((parsed, reading))
}

async fn remove(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let plan = names.plan()?;
    app.coordinator.admin().delete(&plan).await?;
    Ok(JsonView(PlanDeleted { deleted: plan, dry_run: false }).into_response())
}

async fn status(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let view = app.coordinator.plan(&names.plan()?).await?;
    let alive = app.coordinator.alive(&view).await?;
    let pause = app.coordinator.fleet_pause().await?;
    Ok(JsonView(PlanStatus::new(&view, &alive).in_fleet(pause.as_ref())).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    count: Option<usize>,
    label: Option<String>,
}

async fn next(State(app): State<App>, names: Names, Query(query): Query<Next>) -> Result<Response, Problem> {
    let labels: Vec<String> =
        query.label.iter().flat_map(|labels| labels.split(',')).map(str::to_owned).collect();
    let wanted = (query.count.unwrap_or(usize::MAX), labels.as_slice());
    let next = NextTasks::read(&app.coordinator, &names.plan()?, wanted, &app.offers().await?).await?;
    Ok(JsonView(next).into_response())
}

async fn deps(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    Ok(JsonView(DependencyGraph::new(&app.coordinator.plan(&names.plan()?).await?, None)).into_response())
}

async fn phases(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    Ok(JsonView(PhaseList::new(&app.coordinator.plan(&names.plan()?).await?)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Estimate {
    jobs: Option<NonZeroU16>,
    guess_s: Option<f64>,
}

async fn estimate(
    State(app): State<App>,
    names: Names,
    Query(query): Query<Estimate>,
) -> Result<Response, Problem> {
    let guess = match query.guess_s {
        None => Duration::ZERO,
        Some(guess) => crate::sessions::seconds("guess_s", guess, Duration::from_secs(u32::MAX.into()))?,
    };
    let view = app.coordinator.plan(&names.plan()?).await?;
    let now = app.coordinator.clock().wall();
    Ok(JsonView(EstimateView::new(&view, query.jobs.map_or(1, NonZeroU16::get), guess, now)).into_response())
}

async fn why(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    Ok(JsonView(WhyPlan::read(&app.coordinator, &names.plan()?).await?).into_response())
}

/// Why a plan is stopped, or goes on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "HaltRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Halt {
    /// For people: it stays with the pause or the cancellation; the reason of a resume stands in the
    /// sidecar's log, since no record is left that could keep it.
    #[serde(default)]
    why: String,
}

async fn pause(app: State<App>, names: Names, caller: Caller, body: Json<Halt>) -> Result<Response, Problem> {
    halt(app, names, caller, body, record::Halt::Paused).await
}

async fn cancel(
    app: State<App>,
    names: Names,
    caller: Caller,
    body: Json<Halt>,
) -> Result<Response, Problem> {
    halt(app, names, caller, body, record::Halt::Cancelled).await
}

async fn archive(
    app: State<App>,
    names: Names,
    caller: Caller,
    body: Json<Halt>,
) -> Result<Response, Problem> {
    halt(app, names, caller, body, record::Halt::Archived).await
}

async fn halt(
    State(app): State<App>,
    names: Names,
    caller: Caller,
    Json(body): Json<Halt>,
    how: record::Halt,
) -> Result<Response, Problem> {
    let (plan, reason) = (names.plan()?, Reason::by(caller.name()).because(body.why));
    let halted = match how {
        record::Halt::Paused => app.coordinator.admin().pause(&plan, &reason).await?,
        record::Halt::Cancelled => app.coordinator.admin().cancel(&plan, &reason).await?,
        record::Halt::Archived => app.coordinator.admin().archive(&plan, &reason).await?,
    };
    Ok(JsonView(HaltView::new(plan, how, halted)).into_response())
}

async fn resume(
    State(app): State<App>,
    Extension(client): Extension<Origin>,
    names: Names,
    caller: Caller,
    Json(body): Json<Halt>,
) -> Result<Response, Problem> {
    let plan = names.plan()?;
    let changed = app.coordinator.admin().resume(&plan).await?;
    tracing::info!(%client, by = caller.name(), %plan, why = body.why, changed, "the plan was resumed");
    Ok(JsonView(HaltView::resumed(plan, changed)).into_response())
}
