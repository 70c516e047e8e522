//! Changes in words: a line each.

use planlease::{
    TaskView,
    core::{PlanName, Revision, WallTime},
};
use planlease_core::{TaskId, counted, keys::Layout, record::TaskRecord, transition::TaskStatus};
use planlease_watcher::{Change, OwnershipChange};

use crate::{
    printable::{Style, plain},
    time::{SECOND_WIDTH, Time},
    wire::task::Cancel,
};

const PLAN: Style = Style::Cyan;
const DIM: Style = Style::Dim;

/// `2025-11-24 16:00:00Z  1042  release  1.2 started by ci-1 (attempt 1)`; without a time, `-` in its place.
pub(super) fn line(at: Option<WallTime>, revision: Revision, plan: Option<&PlanName>, words: &str) -> String {
    let at = at.map_or_else(|| "-".to_owned(), |at| Time(at).to_the_second());
    let plan = plan.map_or_else(String::new, |plan| format!("{PLAN}{}{PLAN:#}  ", plain(plan.as_str())));
    format!("{DIM}{at:SECOND_WIDTH$}  {revision:>6}{DIM:#}  {plan}{words}\n")
}

/// A change in words.
pub(super) fn words(change: &Change, layout: &Layout) -> String {
    match change {
        Change::PlanAppeared(state) => {
            let title = plain(&state.spec().title);
            format!("imported: {title}, {}", counted(state.summary().total, "task"))
        }
        Change::PlanGone { .. } => "was deleted".to_owned(),
        Change::Task { task, before, .. } => written(task, before.as_deref()),
        Change::TaskGone { before, .. } => format!("{} was deleted", before.id),
        Change::Redefined(state) => {
            let spec = state.spec();
            format!("was edited: {}, {}", plain(&spec.title), counted(spec.tasks.len(), "task"))
        }
        Change::Findings { task, revision: Some(_), .. } => format!("{task} has output"),
        Change::Findings { task, revision: None, .. } => format!("the output of {task} was deleted"),
        Change::Halted { halts, .. } => match halts.closed.as_ref().or(halts.paused.as_ref()) {
            Some((_, halt)) => {
                let (by, why) = (plain(&halt.by), plain(&halt.why));
                format!("was {} by {by}: {why}", halt.how)
            }
            None => "was resumed".to_owned(),
        },
        Change::Ownership { what, .. } => ownership(what),
        Change::OrchestratorAppeared(one) => {
            let (id, host) = (plain(one.id.as_str()), plain(&one.record.host));
            format!("orchestrator {id} registered, on {host} (process {})", one.record.pid)
        }
        Change::OrchestratorChanged(one) => {
            format!("orchestrator {} says something else about itself", plain(one.id.as_str()))
        }
        Change::OrchestratorGone(one) => format!("orchestrator {} is gone", plain(one.id.as_str())),
        Change::Unreadable { key, reason } => {
            let key = layout.key(key);
            let key = plain(&String::from_utf8_lossy(&key));
            reason.as_ref().map_or_else(
                || format!("{key} is gone or can be read again"),
                |reason| format!("{key} cannot be read: {}", plain(reason)),
            )
        }
        _ => "something changed that this version has no words for".to_owned(),
    }
}

/// What was written about a task.
fn written(task: &TaskView, before: Option<&TaskView>) -> String {
    let TaskView { id, record, .. } = task;
    let last = record.transitions.last();
    let from = before.map(|before| before.record.status);
    let by = plain(&record.writer.who);
    let because = |text: Option<&String>| text.map_or_else(String::new, |text| format!(": {}", plain(text)));
    let why = last.and_then(|last| last.why.as_ref());
    let approved =
        before.and_then(|before| record.approved().filter(|now| Some(*now) != before.record.approved()));
    match (from, record.status) {
        (Some(TaskStatus::Pending), TaskStatus::Pending) if approved.is_some() => {
            format!("{id} may start: approved by {by}{}", because(approved.map(|approved| &approved.why)))
        }
        (Some(TaskStatus::InProgress), TaskStatus::Completed) if approved.is_some() => {
            format!("{id} completed: approved by {by}{}", because(approved.map(|approved| &approved.why)))
        }
        (_, TaskStatus::InProgress) if from == Some(record.status) => {
            goes_on(id, record, before.map(|before| &before.record))
        }
        (_, TaskStatus::InProgress) => format!("{id} started by {by} (attempt {})", record.attempt),
        (_, TaskStatus::Completed) => format!("{id} completed by {by}{}", because(record.notes.as_ref())),
        (_, TaskStatus::Failed) => match &record.parked {
            Some(parked) => format!("{id} waits for a decision: {}", plain(parked)),
            None => format!("{id} failed by {by}{}", because(record.error.as_ref())),
        },
        (_, TaskStatus::Skipped) => format!("{id} skipped by {by}{}", because(record.skip_reason.as_ref())),
        (None, TaskStatus::Pending) => format!("{id} added"),
        (_, TaskStatus::Pending) => format!("{id} pending again, by {by}{}", because(why)),
    }
}

/// What was written about a task that was in progress, and is.
fn goes_on(id: &TaskId, record: &TaskRecord, before: Option<&TaskRecord>) -> String {
    let differs = |of: fn(&TaskRecord) -> Option<String>| {
        let now = of(record)?;
        before.is_none_or(|before| of(before).as_ref() != Some(&now)).then_some(now)
    };
    if let Some(cancelled) = differs(|record| Some(Cancel::of(record)?.sentence())) {
        format!("{id} is cancelled {cancelled}")
    } else if before.is_some_and(|before| before.spent_ms != record.spent_ms) {
        format!("{id} has used up {} s of its time (total_deadline_s)", record.spent().as_secs())
    } else if let Some(question) =
        differs(|record| record.approval_question().filter(|_| record.result_waits()))
    {
        format!("{id} waits for approval: {}", plain(&question))
    } else if let Some(spent) = differs(spent) {
        let said = differs(|record| record.progress.clone());
        format!(
            "{id} has spent {spent}{}",
            said.map_or_else(String::new, |said| format!(": {}", plain(&said)))
        )
    } else if let Some(said) = record.progress.as_deref().filter(|said| !said.is_empty()) {
        format!("{id}: {}", plain(said))
    } else {
        format!("{id} goes on")
    }
}

/// What the attempts of a task have spent, and of how much, if they have spent anything: `12 of 25`.
fn spent(record: &TaskRecord) -> Option<String> {
    let budget = record.budget.as_ref()?;
    let spent = budget.spent_in_all();
    match (spent.is_zero(), budget.budget.is_zero()) {
        (true, _) => None,
        (false, true) => Some(spent.to_string()),
        (false, false) => Some(format!("{spent} of {}", budget.budget)),
    }
}

fn ownership(what: &OwnershipChange) -> String {
    match what {
        OwnershipChange::Acquired { owner, token } => {
            format!("ownership acquired by {}, token {token}", plain(owner.as_str()))
        }
        OwnershipChange::Released { owner, token } => {
            format!("ownership released by {}, token {token}", plain(owner.as_str()))
        }
        OwnershipChange::HandedOver { owner, token, to } => {
            let (owner, to) = (plain(owner.as_str()), plain(to.as_str()));
            format!("ownership handed over by {owner} to {to}, token {token}")
        }
        OwnershipChange::Expired { owner, token } => {
            format!("ownership of {} expired with its session, token {token}", plain(owner.as_str()))
        }
        OwnershipChange::Forced { owner, token, by, reason } => {
            let (owner, by, reason) = (plain(owner.as_str()), plain(by), plain(reason));
            format!("ownership of {owner} forced to end by {by}: {reason}, token {token}")
        }
        OwnershipChange::Waiting(one) => {
            format!("{} joined the queue", plain(&one.name()))
        }
        OwnershipChange::Left(one) => format!("{} left the queue", plain(&one.name())),
        OwnershipChange::Amended => "the record of the term was rewritten".to_owned(),
        _ => "something about the ownership changed that this version has no words for".to_owned(),
    }
}
