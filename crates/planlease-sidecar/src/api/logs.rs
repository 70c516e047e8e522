//! The output of a task's attempts: as a document, or as events while it is written.

use std::{collections::VecDeque, time::Duration};

use async_stream::stream;
use axum::{extract::State, response::Response, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Method, StatusCode};
use planlease_core::{PlanName, TaskId, WallTime};
use planlease_documents::Time;
use planlease_observe::{Characters, Event, Outputs, Source, TaskOutput, Wanted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    parts::{Names, Query, own},
    problem::{Kind, Problem},
    routes::{Gives, Parameter, Route},
    shape::{Own, Shape},
    shared::{App, Shared},
    sse,
};

/// The most text in a document: the end of the output.
const MAX_TEXT: usize = 1 << 20;

pub(super) fn routes() -> Vec<Route> {
    let what = "What the command of a task has written, the last 1 MiB of it; as server-sent events also while it is written, over further attempts.";
    vec![
        Route::new(Method::GET, "/v1/plans/{plan}/tasks/{task}/logs", "taskLogs", what, || get(logs))
            .query(&[
                Parameter::new(
                    "attempt",
                    "positive",
                    "Which attempt; the present one or the last by default.",
                ),
                Parameter::new("tail", "count", "Only the last lines."),
                Parameter::new("since_s", "seconds", "Only what was written in so many seconds before now."),
            ])
            .gives(Gives::EventsOr(Shape::own::<TaskLogs>()))
            .problems(&[Kind::NoSuchPlan, Kind::NoSuchTask, Kind::NotFound]),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    attempt: Option<u32>,
    tail: Option<u64>,
    since_s: Option<f64>,
}

/// What an attempt has written.
#[derive(Debug, Serialize, JsonSchema)]
struct TaskLogs {
    plan: PlanName,
    task: TaskId,
    attempt: u32,
    /// The process that works on it, or did.
    by: Option<String>,
    /// From where it comes: `files` of the sidecar's host, the `host` of the orchestrator, or `etcd`, which
    /// keeps the beginning and the end of the last attempt.
    source: &'static str,
    /// The text; what is no UTF-8 is replaced.
    text: String,
    /// How many bytes before it, or within it, are left out.
    left_out: u64,
    /// Whether the attempt has ended.
    ended: bool,
    /// How its command ended, if that is known.
    how: Option<String>,
}

impl Own for TaskLogs {
    const SCHEMA: &'static str = "planlease.task_logs.v1";
}

/// An event about the output of a task. Which fields are there depends on the event.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct LogEvent {
    attempt: u32,
    /// Of `attempt`: the process that works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Of `attempt`: from where it comes: `files` of the sidecar's host, or the `host` of the orchestrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    /// Of `output`: when it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Time>,
    /// Of `output`: where it begins, in bytes from the beginning of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// Of `output` and `stored`: the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Of `left_out`: how much is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Of `ended`: how the command ended; absent if the process that ran it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<String>,
    /// Of `trouble` and `not_kept`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Own for LogEvent {
    const SCHEMA: &'static str = "planlease.log_event.v1";
}

async fn logs(
    State(app): State<App>,
    names: Names,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (plan, task) = (names.plan()?, names.task()?);
    let mut wanted = Wanted::of(plan.clone(), task.clone());
    if asked.attempt == Some(0) {
        return Err(Problem::new(Kind::BadRequest, "attempts are counted from 1"));
    }
    wanted.attempt = asked.attempt;
    wanted.from.tail = asked.tail;
    if let Some(since) = asked.since_s {
        let since = Duration::try_from_secs_f64(since)
            .map_err(|_| Problem::new(Kind::BadRequest, "since_s is a number of seconds, 0 or more"))?;
        let now = u64::try_from(app.coordinator.clock().wall().0).unwrap_or(0);
        wanted.from.since = Some(now.saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
    }
    wanted.follow = sse::wanted(&headers);
    let output = TaskOutput::new(app.coordinator.clone(), outputs(&app), wanted.clone());
    if wanted.follow {
        app.coordinator.excerpt(&plan, &task).await?; // A plan or a task that is not there is a problem at once.
        let ended = app.drain.ended.clone();
        let events = events(output).take_until(ended.cancelled_owned());
        return Ok(sse::answer(events, app.options.heartbeat));
    }
    Ok(own(StatusCode::OK, &document(plan, task, output).await?))
}

/// What the sidecar's host keeps.
fn outputs(app: &Shared) -> Option<Outputs> {
    Outputs::of(&app.coordinator)
}

async fn document(plan: PlanName, task: TaskId, mut output: TaskOutput) -> Result<TaskLogs, Problem> {
    let mut logs = TaskLogs {
        plan,
        task,
        attempt: 0,
        by: None,
        source: "files",
        text: String::new(),
        left_out: 0,
        ended: false,
        how: None,
    };
    let mut kept: VecDeque<u8> = VecDeque::new();
    while let Some(event) = output.next().await? {
        match event {
            Event::Attempt { attempt, by, source } => {
                (logs.attempt, logs.by) = (attempt, Some(by));
                logs.source = word(&source);
            }
            Event::Output { bytes, .. } => {
                kept.extend(bytes);
                let surplus = kept.len().saturating_sub(MAX_TEXT);
                kept.drain(..surplus);
                logs.left_out += u64::try_from(surplus).unwrap_or(u64::MAX);
            }
            Event::LeftOut { bytes, .. } => logs.left_out += bytes,
            Event::Stored(stored) => {
                logs.left_out = stored.bytes.saturating_sub(u64::try_from(stored.text.len()).unwrap_or(0));
                (logs.attempt, logs.source, logs.ended) = (stored.attempt, "etcd", true);
                kept = stored.text.into_bytes().into();
            }
            Event::Ended { how, .. } => {
                logs.ended = true;
                logs.how = how.and_then(|end| end.how);
            }
            Event::NotKept { attempt, why } => {
                return Err(Problem::new(
                    Kind::NotFound,
                    format!("the output of attempt {attempt} is not kept: {why}"),
                ));
            }
            Event::NotBegun { attempt, status } => {
                let what = format!("attempt {attempt} has not begun; the task is {status}");
                return Err(Problem::new(Kind::NotFound, what));
            }
            Event::Trouble { why, .. } => return Err(Problem::new(Kind::Unavailable, why)),
            _ => {}
        }
    }
    logs.text = String::from_utf8_lossy(kept.make_contiguous()).into_owned();
    Ok(logs)
}

/// From where an output comes, as documents say it.
fn word(source: &Source) -> &'static str {
    match source {
        Source::Files => "files",
        Source::Host(_) => "host",
    }
}

/// The events, as they come; one of the name `failed` if etcd cannot be read any more.
fn events(mut output: TaskOutput) -> impl Stream<Item = Bytes> + Send + 'static {
    stream! {
        let mut characters = Characters::default();
        loop {
            match output.next().await {
                Ok(Some(event)) => if let Some(bytes) = encode(event, &mut characters) {
                    yield bytes;
                },
                Ok(None) => return,
                Err(error) => {
                    let why = Some(planlease::error_chain(&error));
                    yield sse::document("failed", &LogEvent { why, ..LogEvent::default() });
                    return;
                }
            }
        }
    }
}

fn encode(event: Event, characters: &mut Characters) -> Option<Bytes> {
    let at = |millis| Some(Time(WallTime(i64::try_from(millis).unwrap_or(i64::MAX))));
    let (name, event) = match event {
        Event::Attempt { attempt, by, source } => {
            let (by, source) = (Some(by), Some(word(&source)));
            ("attempt", LogEvent { attempt, by, source, ..LogEvent::default() })
        }
        Event::Output { attempt, offset, at: written, bytes } => {
            let text = Some(characters.take(&bytes));
            let offset = Some(offset);
            ("output", LogEvent { attempt, offset, at: at(written), text, ..LogEvent::default() })
        }
        Event::LeftOut { attempt, bytes } => {
            ("left_out", LogEvent { attempt, bytes: Some(bytes), ..LogEvent::default() })
        }
        Event::Stored(stored) => {
            let (attempt, text, bytes) = (stored.attempt, Some(stored.text), Some(stored.bytes));
            ("stored", LogEvent { attempt, text, bytes, ..LogEvent::default() })
        }
        Event::Ended { attempt, how } => {
            let (how, at) = how.map_or((None, None), |end| (end.how, at(end.at)));
            ("ended", LogEvent { attempt, how, at, ..LogEvent::default() })
        }
        Event::Trouble { attempt, why } => {
            ("trouble", LogEvent { attempt, why: Some(why), ..LogEvent::default() })
        }
        Event::NotKept { attempt, why } => {
            ("not_kept", LogEvent { attempt, why: Some(why), ..LogEvent::default() })
        }
        Event::NotBegun { attempt, status } => {
            let why = Some(format!("the task is {status}"));
            ("not_begun", LogEvent { attempt, why, ..LogEvent::default() })
        }
        _ => return None,
    };
    Some(sse::document(name, &event))
}
