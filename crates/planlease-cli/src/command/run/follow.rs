//! What `run` says while it works: a line per event, for people or as JSON.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use planlease::core::{Summary, counted, transition::TaskStatus};
use planlease_orchestrator::{Report, Reporter, Stop};
use serde_json::{Value, json};

use crate::{
    lines::Lines,
    output::{self, Format},
};

const SCHEMA: &str = "planlease.run.v1";

const PLAN: Style = AnsiColor::Cyan.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Says each event on standard output: as a line for people, or as one JSON object a line. A reader that has gone, or does not
/// read, does not stop the work: then events are dropped, and their number is said.
pub(super) fn reporter(format: Format) -> Reporter {
    let stdout = Lines::to_standard_output(match format {
        Format::Table => |lines| format!("{} dropped: they were not read in time\n", counted(lines, "line")),
        Format::Json | Format::Jsonl => {
            |lines| format!("{}\n", json!({"schema": SCHEMA, "event": "dropped", "events": lines}))
        }
    });
    Reporter::new(move |report| {
        let line = match format {
            Format::Table => line(report),
            Format::Json | Format::Jsonl => event(report).to_string(),
        };
        stdout.say(output::colored(&format!("{line}\n"), &std::io::stdout()).as_bytes());
    })
}

/// Tells what a signal has brought about.
pub(super) fn stopping(stop: Stop) {
    output::tell(match stop {
        Stop::Run | Stop::Drain => "waiting for what runs to end; once more to stop it",
        Stop::Abort => "stopping what runs",
    });
}

fn line(report: &Report) -> String {
    match report {
        Report::SessionOpened(id) => format!("{DIM}this is {id}{DIM:#}"),
        Report::Waiting(plan) => format!("{PLAN}{plan}{PLAN:#} is owned by somebody else; waiting in line"),
        Report::Acquired { plan, token, recovered } => {
            let recovered = match recovered {
                0 => String::new(),
                n => format!("; recovered {} of lost claimants", counted(*n, "task")),
            };
            format!("{PLAN}{plan}{PLAN:#} acquired, token {token}{recovered}")
        }
        Report::Started { plan, task, attempt } => {
            let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            format!("{PLAN}{plan}{PLAN:#} {task} started{again}")
        }
        Report::ClaimedBy { plan, task, by } => {
            format!("{PLAN}{plan}{PLAN:#} waits for task {task}, which {by} has in progress")
        }
        Report::Ended { plan, task, status, took, error, .. } => {
            ended(plan.as_str(), task.as_str(), *status, *took, error.as_deref())
        }
        Report::Overdue { plan, task, status, why } => {
            format!("{PLAN}{plan}{PLAN:#} {task} is {status}: {why}")
        }
        Report::NotRecorded { plan, task, why } => {
            format!("{PLAN}{plan}{PLAN:#} {task} {BAD}not recorded{BAD:#}: {why}")
        }
        Report::Lost { plan, why } => format!("{PLAN}{plan}{PLAN:#} {BAD}lost{BAD:#}: {why}"),
        Report::Finished { plan, summary } => finished(plan.as_str(), summary),
        Report::Released(plan) => format!("{PLAN}{plan}{PLAN:#} released before it was finished"),
        Report::Trouble(what) => format!("{DIM}{what}; trying again{DIM:#}"),
        other => format!("{other:?}"),
    }
}

fn ended(plan: &str, task: &str, status: TaskStatus, took: Duration, error: Option<&str>) -> String {
    let took = format!("{DIM}{:.1}s{DIM:#}", took.as_secs_f64());
    match (status, error) {
        (TaskStatus::Completed, _) => format!("{PLAN}{plan}{PLAN:#} {task} {GOOD}completed{GOOD:#} {took}"),
        (TaskStatus::Pending, Some(error)) => {
            format!("{PLAN}{plan}{PLAN:#} {task} failed, to be tried again {took}: {error}")
        }
        (TaskStatus::Pending, None) => format!("{PLAN}{plan}{PLAN:#} {task} given back {took}"),
        (status, error) => {
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            format!("{PLAN}{plan}{PLAN:#} {task} {BAD}{status}{BAD:#} {took}{error}")
        }
    }
}

fn finished(plan: &str, summary: &Summary) -> String {
    let Summary { total, completed, skipped, failed, pending, in_progress } = summary;
    if completed + skipped == *total {
        return format!(
            "{PLAN}{plan}{PLAN:#} {GOOD}finished{GOOD:#}: {completed} completed, {skipped} skipped of {total}"
        );
    }
    let waiting = pending + in_progress;
    format!(
        "{PLAN}{plan}{PLAN:#} {BAD}cannot go on{BAD:#}: {failed} failed, {waiting} waiting, {completed} completed of {total}"
    )
}

/// The JSON form. Stable: `planlease.run.v1`.
fn event(report: &Report) -> Value {
    let schema = SCHEMA;
    match report {
        Report::SessionOpened(id) => json!({"schema": schema, "event": "session_opened", "orchestrator": id}),
        Report::Waiting(plan) => json!({"schema": schema, "event": "waiting", "plan": plan}),
        Report::Acquired { plan, token, recovered } => {
            json!({"schema": schema, "event": "acquired", "plan": plan, "token": token, "recovered": recovered})
        }
        Report::Started { plan, task, attempt } => {
            json!({"schema": schema, "event": "started", "plan": plan, "task": task, "attempt": attempt})
        }
        Report::ClaimedBy { plan, task, by } => {
            json!({"schema": schema, "event": "claimed_by", "plan": plan, "task": task, "by": by})
        }
        Report::Ended { plan, task, attempt, status, took, error } => {
            let seconds = took.as_secs_f64();
            json!({"schema": schema, "event": "ended", "plan": plan, "task": task, "attempt": attempt,
                   "status": status, "seconds": seconds, "error": error})
        }
        Report::Overdue { plan, task, status, why } => {
            json!({"schema": schema, "event": "overdue", "plan": plan, "task": task, "status": status, "why": why})
        }
        Report::NotRecorded { plan, task, why } => {
            json!({"schema": schema, "event": "not_recorded", "plan": plan, "task": task, "why": why})
        }
        Report::Lost { plan, why } => json!({"schema": schema, "event": "lost", "plan": plan, "why": why}),
        Report::Finished { plan, summary } => {
            json!({"schema": schema, "event": "finished", "plan": plan, "summary": summary})
        }
        Report::Released(plan) => json!({"schema": schema, "event": "released", "plan": plan}),
        Report::Trouble(what) => json!({"schema": schema, "event": "trouble", "what": what}),
        other => json!({"schema": schema, "event": "other", "what": format!("{other:?}")}),
    }
}
