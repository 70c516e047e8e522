//! Changes in words: a line each.

use planlease::{
    TaskView,
    core::{PlanName, Revision, WallTime},
};
use planlease_core::{counted, keys::Layout, record::Ending, term::Line, transition::TaskStatus};
use planlease_watcher::{Change, OwnershipChange};

use super::{SECOND_WIDTH, Time, plain};
use crate::printable::Style;

const PLAN: Style = Style::Cyan;
const DIM: Style = Style::Dim;

/// A change in words.
#[derive(Debug)]
pub(super) struct Told {
    /// When it happened, by the writer's clock; `None` if the record has no time.
    pub(super) at: Option<WallTime>,
    pub(super) plan: Option<PlanName>,
    pub(super) words: String,
}

/// `2025-11-24 16:00:00Z  1042  release  1.2 started by ci-1 (attempt 1)`; without a time, `-` in its place.
pub(super) fn line(at: Option<WallTime>, revision: Revision, plan: Option<&PlanName>, words: &str) -> String {
    let at = at.map_or_else(|| "-".to_owned(), |at| Time(at).to_the_second());
    let plan = plan.map_or_else(String::new, |plan| format!("{PLAN}{}{PLAN:#}  ", plain(plan.as_str())));
    format!("{DIM}{at:SECOND_WIDTH$}  {revision:>6}{DIM:#}  {plan}{words}\n")
}

pub(super) fn told(change: &Change, layout: &Layout) -> Told {
    let (at, words) = match change {
        Change::PlanAppeared(state) => {
            let title = plain(&state.spec().title);
            (None, format!("imported: {title}, {}", counted(state.summary().total, "task")))
        }
        Change::PlanGone { .. } => (None, "was deleted".to_owned()),
        Change::Task { task, before, .. } => written(task, before.as_deref()),
        Change::TaskGone { before, .. } => (None, format!("{} was deleted", before.id)),
        Change::Redefined(state) => {
            let spec = state.spec();
            (None, format!("was edited: {}, {}", plain(&spec.title), counted(spec.tasks.len(), "task")))
        }
        Change::Findings { task, revision: Some(_), .. } => (None, format!("{task} has output")),
        Change::Findings { task, revision: None, .. } => (None, format!("the output of {task} was deleted")),
        Change::Halted { halts, .. } => match halts.closed.as_ref().or(halts.paused.as_ref()) {
            Some((_, halt)) => {
                let (by, why) = (plain(&halt.by), plain(&halt.why));
                (Some(halt.at), format!("was {} by {by}: {why}", halt.how))
            }
            None => (None, "was resumed".to_owned()),
        },
        Change::Ownership { what, line, .. } => ownership(what, line),
        Change::OrchestratorAppeared(one) => {
            let (id, host) = (plain(one.id.as_str()), plain(&one.record.host));
            (
                Some(one.record.started_at),
                format!("orchestrator {id} registered, on {host} (process {})", one.record.pid),
            )
        }
        Change::OrchestratorGone(one) => (None, format!("orchestrator {} is gone", plain(one.id.as_str()))),
        Change::Unreadable { key, reason } => {
            let key = layout.key(key);
            let key = plain(&String::from_utf8_lossy(&key));
            let words = reason.as_ref().map_or_else(
                || format!("{key} is gone or can be read again"),
                |reason| format!("{key} cannot be read: {}", plain(reason)),
            );
            (None, words)
        }
        _ => (None, "something changed that this version has no words for".to_owned()),
    };
    Told { at, plan: change.plan().cloned(), words }
}

/// What was written about a task.
fn written(task: &TaskView, before: Option<&TaskView>) -> (Option<WallTime>, String) {
    let TaskView { id, record, .. } = task;
    let last = record.transitions.last();
    let from = before.map(|before| before.record.status);
    let at = last.filter(|_| from != Some(record.status)).map(|last| last.at);
    let by = plain(&record.writer.who);
    let because = |text: Option<&String>| text.map_or_else(String::new, |text| format!(": {}", plain(text)));
    let why = last.and_then(|last| last.why.as_ref());
    let words = match (from, record.status) {
        (Some(TaskStatus::InProgress), TaskStatus::InProgress)
            if before.is_some_and(|before| before.record.spent_ms != record.spent_ms) =>
        {
            format!("{id} has used up {} s of its time (total_deadline_s)", record.spent().as_secs())
        }
        (Some(TaskStatus::InProgress), TaskStatus::InProgress) => {
            format!("{id}{}", because(record.progress.as_ref()))
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
    };
    (at, words)
}

fn ownership(what: &OwnershipChange, line: &Line) -> (Option<WallTime>, String) {
    let term = line.term.as_ref().map(|(_, term)| term);
    let since = |token| term.filter(|term| term.token() == token).map(|term| term.since);
    // A term that expired was closed by the next owner, later than it ended.
    let ended = |token| {
        let end = term.filter(|term| term.token() == token).and_then(|term| term.ended.as_ref());
        end.filter(|end| end.how != Ending::Unclean).map(|end| end.at)
    };
    match what {
        OwnershipChange::Acquired { owner, token } => {
            (since(*token), format!("ownership acquired by {}, token {token}", plain(owner.as_str())))
        }
        OwnershipChange::Released { owner, token } => {
            (ended(*token), format!("ownership released by {}, token {token}", plain(owner.as_str())))
        }
        OwnershipChange::HandedOver { owner, token, to } => {
            let (owner, to) = (plain(owner.as_str()), plain(to.as_str()));
            (ended(*token), format!("ownership handed over by {owner} to {to}, token {token}"))
        }
        OwnershipChange::Expired { owner, token } => {
            (None, format!("ownership of {} expired with its session, token {token}", plain(owner.as_str())))
        }
        OwnershipChange::Forced { owner, token, by, reason } => {
            let (owner, by, reason) = (plain(owner.as_str()), plain(by), plain(reason));
            (ended(*token), format!("ownership of {owner} forced to end by {by}: {reason}, token {token}"))
        }
        OwnershipChange::Waiting(one) => {
            let since = one.record.as_ref().map(|record| record.since);
            (since, format!("{} joined the queue", plain(&one.name())))
        }
        OwnershipChange::Left(one) => (None, format!("{} left the queue", plain(&one.name()))),
        OwnershipChange::Amended => (None, "the record of the term was rewritten".to_owned()),
        _ => (None, "something about the ownership changed that this version has no words for".to_owned()),
    }
}
