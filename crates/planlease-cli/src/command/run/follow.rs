//! What `run` says while it works: a line per event, for people or as JSON.

use std::time::Duration;

use planlease::{
    clock::{Clock as _, SystemClock},
    core::{PlanName, Summary, TaskId, counted, transition::TaskStatus},
};
use planlease_observe::metrics::Work;
use planlease_orchestrator::{Report, Reporter, Stop};
use serde_json::{Value, json};

use crate::{
    command::{metrics, plan::ticked::named},
    lines::Lines,
    output::{self, Format, Style, Time, escape_json},
};

const SCHEMA: &str = "planlease.run.v1";

const PLAN: Style = Style::Cyan;
const GOOD: Style = Style::Green;
const BAD: Style = Style::Red;
const DIM: Style = Style::Dim;

/// Says each event on standard output: as a line for people, or as one JSON object a line. A reader that has
/// gone, or does not read, does not stop the work: then events are dropped, and their number is said.
pub(super) fn reporter(format: Format, work: Work) -> Reporter {
    let stdout = Lines::to_standard_output(match format {
        Format::Table | Format::Wide | Format::Name | Format::Yaml => {
            |lines| format!("{} dropped: they were not read in time\n", counted(lines, "line"))
        }
        Format::Json | Format::Jsonl => {
            |lines| format!("{}\n", json!({"schema": SCHEMA, "event": "dropped", "events": lines}))
        }
    });
    Reporter::new(move |report| {
        metrics::count(&work, report);
        let line = match format {
            Format::Table | Format::Wide | Format::Name | Format::Yaml => {
                format!("{DIM}{}{DIM:#} {}", Time(SystemClock.wall()).to_the_second(), line(report))
            }
            Format::Json | Format::Jsonl => {
                let mut event = event(report);
                event["at"] = Time(SystemClock.wall()).rfc_3339().into();
                escape_json(&event.to_string())
            }
        };
        stdout.say(&output::stdout_text(&format!("{line}\n")));
    })
}

/// Shows what a signal has caused.
pub(super) fn stopping(stop: Stop) {
    output::tell(match stop {
        Stop::Run | Stop::Drain => "finishing running tasks; press Ctrl-C again to stop them",
        Stop::Abort => "stopping running tasks",
    });
}

fn line(report: &Report) -> String {
    match report {
        Report::SessionOpened(id) => format!("{DIM}this is {id}{DIM:#}"),
        Report::Waiting(plan) => {
            format!("{PLAN}{plan}{PLAN:#} is owned by another process; waiting in the queue")
        }
        Report::Acquired { plan, token, recovered } => {
            let recovered = match recovered {
                0 => String::new(),
                n => format!("; recovered {} of lost claimants", counted(*n, "task")),
            };
            format!("{PLAN}{plan}{PLAN:#} acquired, token {token}{recovered}")
        }
        Report::Ticked { plan, tasks } => format!(
            "{PLAN}{plan}{PLAN:#} will run {} that count as pending: {}; `planlease task skip` leaves one out",
            counted(tasks.len(), "ticked task"),
            named(tasks)
        ),
        Report::Started { plan, task, attempt } => {
            let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            format!("{PLAN}{plan}{PLAN:#} {task} started{again}")
        }
        Report::ClaimedBy { plan, task, by } => {
            format!("{PLAN}{plan}{PLAN:#} waits for task {task}, which {by} has in progress")
        }
        Report::Left { plan, tasks } => {
            let (tasks, count) = (named(tasks), counted(tasks.len(), "task"));
            format!("{PLAN}{plan}{PLAN:#} leaves {count} to others: {tasks}")
        }
        Report::Ended { plan, task, status, took, error, .. } => {
            ended(plan.as_str(), task.as_str(), *status, *took, error.as_deref())
        }
        Report::NotStarted { plan, task, why, .. } => {
            format!("{PLAN}{plan}{PLAN:#} {task} {BAD}did not start{BAD:#}: {why}")
        }
        Report::Overdue { plan, task, status, why } => {
            format!("{PLAN}{plan}{PLAN:#} {task} is {status}: {why}")
        }
        Report::NotRecorded { plan, task, why } => {
            format!("{PLAN}{plan}{PLAN:#} {task} {BAD}not recorded{BAD:#}: {why}")
        }
        Report::Lost { plan, why } => format!("{PLAN}{plan}{PLAN:#} {BAD}lost{BAD:#}: {why}"),
        Report::LeftAlone { plan, rest } => {
            let seconds = rest.as_secs();
            format!("{PLAN}{plan}{PLAN:#} is left to others for {seconds}s, since an operator took it away")
        }
        Report::Finished { plan, summary, failed } => finished(plan, summary, failed),
        Report::Closed { plan, how, by, why } => {
            format!("{PLAN}{plan}{PLAN:#} {BAD}{how}{BAD:#} by {by}: {why}")
        }
        Report::Deleted(plan) => format!("{PLAN}{plan}{PLAN:#} {BAD}was deleted{BAD:#}"),
        Report::CannotStart { plan, why, again } => {
            let next = again.map_or_else(
                || "not tried any more".to_owned(),
                |again| format!("released; will try again in {}s", again.as_secs()),
            );
            format!("{PLAN}{plan}{PLAN:#} {BAD}commands do not start here{BAD:#}: {why}; {next}")
        }
        Report::Released(plan) => format!("{PLAN}{plan}{PLAN:#} released before it was finished"),
        Report::HandedOver { plan, to } => format!("{PLAN}{plan}{PLAN:#} handed over to {to}"),
        Report::Paused { .. } | Report::Eligibility { .. } | Report::FleetPaused(_) => halted(report),
        Report::WaitsForPool { plan, task, wait } => {
            format!("{PLAN}{plan}{PLAN:#} {task}: {}", output::plain(&wait.to_string()))
        }
        Report::Trouble(what) => format!("{DIM}{what}; trying again{DIM:#}"),
        Report::Unreadable(what) => format!("{BAD}left out{BAD:#}: {what}"),
        other => format!("{other:?}"),
    }
}

/// What keeps tasks from being started, or does so no more; with who did it, why, and what ends it.
fn halted(report: &Report) -> String {
    match report {
        Report::Paused { plan, why: Some((by, why)) } => {
            let (by, why) = (output::plain(by), output::plain(why));
            format!(
                "{PLAN}{plan}{PLAN:#} {BAD}is paused{BAD:#} by {by}: {why}; nothing starts in it until \
                 `planlease plan resume {}`",
                plan.quoted()
            )
        }
        Report::Paused { plan, why: None } => format!("{PLAN}{plan}{PLAN:#} was resumed"),
        Report::Eligibility { state, why: Some((by, why)) } => {
            format!(
                "this orchestrator is {BAD}{state}{BAD:#} by {}: {}; it takes no plan until \
                 `planlease orchestrator uncordon`",
                output::plain(by),
                output::plain(why)
            )
        }
        Report::Eligibility { state, why: None } => format!("this orchestrator is {state}"),
        Report::FleetPaused(Some((by, why))) => {
            format!(
                "{BAD}the fleet is paused{BAD:#} by {}: {}; nothing starts until `planlease fleet resume`",
                output::plain(by),
                output::plain(why)
            )
        }
        Report::FleetPaused(None) => "the fleet was resumed".to_owned(),
        _ => String::new(),
    }
}

fn ended(plan: &str, task: &str, status: TaskStatus, took: Duration, error: Option<&str>) -> String {
    let took = format!("{DIM}{:.1}s{DIM:#}", took.as_secs_f64());
    match (status, error) {
        (TaskStatus::Completed, _) => format!("{PLAN}{plan}{PLAN:#} {task} {GOOD}completed{GOOD:#} {took}"),
        (TaskStatus::Pending, Some(error)) => {
            format!("{PLAN}{plan}{PLAN:#} {task} failed after {took}; will retry: {error}")
        }
        (TaskStatus::Pending, None) => format!("{PLAN}{plan}{PLAN:#} {task} given back {took}"),
        (TaskStatus::InProgress, None) => {
            format!("{PLAN}{plan}{PLAN:#} {task} done {took}; waits for approval")
        }
        (status, error) => {
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            format!("{PLAN}{plan}{PLAN:#} {task} {BAD}{status}{BAD:#} {took}{error}")
        }
    }
}

/// The most failed tasks that are named; of the others there is the number.
const FAILED_SHOWN: usize = 10;

fn finished(plan: &PlanName, summary: &Summary, failed_tasks: &[(TaskId, String)]) -> String {
    let Summary { total, completed, skipped, failed, pending, in_progress, unreadable } = summary;
    if completed + skipped == *total {
        return format!(
            "{PLAN}{plan}{PLAN:#} {GOOD}finished{GOOD:#}: {completed} completed, {skipped} skipped of {total}"
        );
    }
    let waiting = pending + in_progress;
    let unreadable = if *unreadable > 0 { format!("{unreadable} unreadable, ") } else { String::new() };
    let mut text = format!(
        "{PLAN}{plan}{PLAN:#} {BAD}cannot go on{BAD:#}: {failed} failed, {waiting} waiting, {unreadable}{completed} completed of {total}"
    );
    for (task, why) in failed_tasks.iter().take(FAILED_SHOWN) {
        text += &format!("\n  {task} {BAD}failed{BAD:#}: {}", output::plain(why));
    }
    if failed_tasks.len() > FAILED_SHOWN {
        text += &format!("\n  … and {} more", failed_tasks.len() - FAILED_SHOWN);
    }
    if let Some((task, _)) = failed_tasks.first() {
        text += &format!(
            "\n  `planlease task retry {q_plan} {q_task}` puts a task back, `task skip` leaves it out.",
            q_plan = plan.quoted(),
            q_task = task.quoted()
        );
    } else if waiting > 0 {
        text += &format!("\n  `planlease why {q_plan}` shows what they wait for.", q_plan = plan.quoted());
    }
    text
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
        Report::Ticked { plan, tasks } => {
            json!({"schema": schema, "event": "ticked", "plan": plan, "tasks": tasks})
        }
        Report::Started { plan, task, attempt } => {
            json!({"schema": schema, "event": "started", "plan": plan, "task": task, "attempt": attempt})
        }
        Report::ClaimedBy { plan, task, by } => {
            json!({"schema": schema, "event": "claimed_by", "plan": plan, "task": task, "by": by})
        }
        Report::Left { plan, tasks } => {
            json!({"schema": schema, "event": "left", "plan": plan, "tasks": tasks})
        }
        Report::Ended { plan, task, attempt, status, took, error, .. } => {
            let seconds = took.as_secs_f64();
            json!({"schema": schema, "event": "ended", "plan": plan, "task": task, "attempt": attempt,
                   "status": status, "seconds": seconds, "error": error})
        }
        Report::NotStarted { plan, task, attempt, why } => {
            json!({"schema": schema, "event": "not_started", "plan": plan, "task": task, "attempt": attempt, "why": why})
        }
        Report::Overdue { plan, task, status, why } => {
            json!({"schema": schema, "event": "overdue", "plan": plan, "task": task, "status": status, "why": why})
        }
        Report::Unreadable(why) => json!({"schema": schema, "event": "unreadable", "why": why}),
        Report::NotRecorded { plan, task, why } => {
            json!({"schema": schema, "event": "not_recorded", "plan": plan, "task": task, "why": why})
        }
        Report::Lost { plan, why } => json!({"schema": schema, "event": "lost", "plan": plan, "why": why}),
        Report::LeftAlone { plan, rest } => {
            json!({"schema": schema, "event": "left_alone", "plan": plan, "rest_s": rest.as_secs()})
        }
        Report::Finished { plan, summary, failed } => {
            let failed: Vec<_> = failed.iter().map(|(task, why)| json!({"task": task, "why": why})).collect();
            json!({"schema": schema, "event": "finished", "plan": plan, "summary": summary, "failed": failed})
        }
        Report::Closed { plan, how, by, why } => {
            json!({"schema": schema, "event": "closed", "plan": plan, "how": how, "by": by, "why": why})
        }
        Report::Deleted(plan) => json!({"schema": schema, "event": "deleted", "plan": plan}),
        Report::CannotStart { plan, why, again } => {
            let again = again.map(|again| again.as_secs());
            json!({"schema": schema, "event": "cannot_start", "plan": plan, "why": why, "again_s": again})
        }
        Report::Released(plan) => json!({"schema": schema, "event": "released", "plan": plan}),
        Report::HandedOver { plan, to } => {
            json!({"schema": schema, "event": "handed_over", "plan": plan, "to": to})
        }
        Report::Eligibility { state, why } => {
            let (by, why) = why.clone().unzip();
            json!({"schema": schema, "event": "eligibility", "state": state, "by": by, "why": why})
        }
        Report::Paused { plan, why } => {
            let (paused, (by, why)) = (why.is_some(), why.clone().unzip());
            json!({"schema": schema, "event": "paused", "plan": plan, "paused": paused, "by": by, "why": why})
        }
        Report::FleetPaused(why) => {
            let (paused, (by, why)) = (why.is_some(), why.clone().unzip());
            json!({"schema": schema, "event": "fleet_paused", "paused": paused, "by": by, "why": why})
        }
        Report::Trouble(what) => json!({"schema": schema, "event": "trouble", "what": what}),
        other => json!({"schema": schema, "event": "other", "what": format!("{other:?}")}),
    }
}
