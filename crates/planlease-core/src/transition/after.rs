//! What a task's record looks like after a change that is allowed.

use super::change::{Change, Refusal, Write};
use crate::{
    approval::{Approval, Approved, Awaits, WaitingResult},
    budget::Amount,
    cancel::{CancelRequest, Then},
    extra::Extra,
    record::{Claim, GivenUp, Role, TRANSITIONS_KEPT, TaskRecord, TransitionRecord},
    spec::OnLost,
    status::TaskStatus,
};

/// How much of an attempt's last progress the next one is given, in bytes.
const LAST_PROGRESS_KEPT: usize = 4 * 1024;

/// How much is kept of a person's reason, in bytes.
pub(super) const MAX_WHY: usize = 1_000;

/// What the history says of a completion that does not count yet.
const RESULT_WAITS: &str = "completed; waits for approval";

/// Enters what the change says, but for the status.
pub(super) fn enter(next: &mut TaskRecord, change: &Change, write: &Write) -> Result<(), Refusal> {
    let from = next.status;
    match change {
        Change::Start => start(next, write),
        Change::Progress(text) => next.progress = Some(text.clone()),
        Change::Spend(spent, text) => spend(next, *spent, text.as_ref(), write)?,
        Change::Complete(notes) => {
            next.notes.clone_from(notes);
            next.error = None;
        }
        Change::Fail(error) => {
            next.failures = next.failures.saturating_add(1);
            next.error = Some(error.clone());
        }
        Change::Skip(reason) => next.skip_reason = Some(reason.clone()),
        Change::Retry(_) => retry(next, write.writer.role),
        Change::Return(_) | Change::Measure => {}
        Change::Lose(on_lost, why) => lose(next, *on_lost, why),
        Change::Rest(why) => {
            next.lost = next.lost.saturating_add(1);
            next.error = Some(why.clone());
        }
        Change::Park(why) => {
            next.error.get_or_insert_with(|| why.clone());
            next.parked = Some(why.clone());
        }
        Change::GiveUp(given_up, why) => give_up(next, from, *given_up, why),
        Change::Cancel(..) | Change::Approve(_) | Change::Reject(..) => {}
    }
    Ok(())
}

/// Enters what the present attempt has spent so far. More than the budget ends the attempt: it is cancelled,
/// as a person would cancel it.
fn spend(next: &mut TaskRecord, spent: Amount, text: Option<&String>, write: &Write) -> Result<(), Refusal> {
    let budget = next.budget.get_or_insert_default();
    if spent < budget.spent {
        let (attempt, reported) = (next.attempt, budget.spent);
        return Err(Refusal::SpentLess { attempt, given: spent, reported });
    }
    budget.spent = spent;
    let exceeded = budget.exceeded();
    if let Some(text) = text {
        next.progress = Some(text.clone());
    }
    if let Some(why) = exceeded {
        let (by, at) = ("its budget".to_owned(), write.at);
        next.set_cancel(Some(CancelRequest { by, at, why, then: Then::Fail, extra: Extra::default() }));
    }
    Ok(())
}

/// Why a task that could be tried again is parked instead, if its budget leaves nothing for another attempt.
/// A person who puts a task back has decided.
pub(super) fn used_up(
    next: &TaskRecord,
    from: TaskStatus,
    to: TaskStatus,
    change: &Change,
    write: &Write,
) -> Option<String> {
    let is_again = match change {
        Change::Return(_) | Change::Lose(OnLost::Retry, _) | Change::Rest(_) | Change::Fail(_) => true,
        Change::Retry(_) => write.writer.role != Role::Operator,
        _ => false,
    };
    let ends = from != to && is_again && matches!(to, TaskStatus::Pending | TaskStatus::Failed);
    let why = next.budget_used_up().filter(|_| ends)?;
    Some(match next.error.as_deref().filter(|_| !matches!(change, Change::Return(_))) {
        Some(error) => format!("{why}; last: {}", crate::codec::shorten(error, 200)),
        None => why,
    })
}

/// The record of a task whose result waits for approval. Its attempt has ended, so that nothing is behind
/// the claim any more: it has no permits, no loss of a process ends it, and only a person does.
pub(super) fn wait_for_approval(mut next: TaskRecord, write: &Write) -> TaskRecord {
    if let Some(claim) = &mut next.claim {
        claim.guard = None;
        claim.limit = None;
        claim.permits = None;
    }
    let mut approval = next.approval.take().map_or_else(Approval::default, |approval| *approval);
    approval.result = Some(WaitingResult { by: write.writer.who.clone(), at: write.at });
    next.set_approval(Some(approval));
    record_step(&mut next, TaskStatus::InProgress, TaskStatus::InProgress, Some(RESULT_WAITS), write);
    next
}

/// The record of a task that was approved: its next attempt may start, or its result counts.
pub(super) fn approve(
    mut next: TaskRecord,
    before: &TaskRecord,
    to: TaskStatus,
    why: &str,
    write: &Write,
) -> TaskRecord {
    let attempt = before.awaits().map_or(before.attempt, Awaits::attempt);
    let (by, at) = (write.writer.who.clone(), write.at);
    let why = crate::codec::shorten(why, MAX_WHY);
    let said = format!("approved: {why}");
    if let Some(approval) = &mut next.approval {
        approval.given = Some(Approved { attempt, by, at, why });
    }
    if to == before.status {
        record_step(&mut next, to, to, Some(&said), write);
        if let Some(step) = next.transitions.last_mut() {
            step.attempt = attempt;
        }
    } else {
        note(&mut next, before.status, to, Some(&said), write);
    }
    next
}

/// Ends a task that no process works on, as a person has decided.
pub(super) fn end_at_once(next: &mut TaskRecord, before: &TaskRecord, then: Then, why: &str, write: &Write) {
    if then == Then::Retry {
        retry(next, write.writer.role);
    }
    end_decided(next, then, why);
    if then.status() != before.status {
        note(next, before.status, then.status(), Some(why), write);
    }
}

fn give_up(next: &mut TaskRecord, from: TaskStatus, given_up: GivenUp, why: &str) {
    next.given_up = Some(given_up);
    if given_up == GivenUp::Skipped {
        next.skip_reason = Some(why.to_owned());
        return;
    }
    next.failures = next.failures.saturating_add(u32::from(from == TaskStatus::InProgress));
    next.error = Some(why.to_owned());
    next.parked = Some(why.to_owned());
}

fn start(next: &mut TaskRecord, write: &Write) {
    next.attempt = next.attempt.saturating_add(1);
    if let Some(progress) = next.progress.take() {
        next.last_progress = Some(crate::codec::shorten(&progress, LAST_PROGRESS_KEPT));
    }
    next.close_spending();
    next.notes = None;
    next.skip_reason = None;
    next.lost_for_good = false;
    next.parked = None;
    next.given_up = None;
    next.first_started_at.get_or_insert(write.at);
    next.started_at = Some(write.at);
    next.ended_at = None;
    let manual = write.writer.role == Role::Operator;
    let guard = (!manual).then(|| write.writer.guard.clone());
    next.claim = Some(Claim::new(write.writer.who.clone(), guard, write.writer.term, write.at));
}

fn retry(next: &mut TaskRecord, role: Role) {
    if role == Role::Operator {
        next.first_started_at = None;
        next.spent_ms = 0;
        // A person has looked: the counts that bound automatic retries start from zero.
        next.failures = 0;
        next.lost = 0;
        next.restore_budget();
    }
    next.lost_for_good = false;
    next.parked = None;
    next.given_up = None;
    next.skip_reason = None;
    next.set_cancel(None);
}

fn lose(next: &mut TaskRecord, on_lost: OnLost, why: &str) {
    next.lost = next.lost.saturating_add(1);
    match on_lost {
        OnLost::Retry => {}
        OnLost::Fail => {
            next.error = Some(why.to_owned());
            next.lost_for_good = true;
        }
        OnLost::Ask => {
            next.error = Some(why.to_owned());
            next.parked = Some(format!("{why}; look at what it has done, then retry or skip it"));
        }
    }
}

/// Enters the end of a cancelled attempt into its task's record. Neither a failure nor a loss is counted.
pub(super) fn end_cancelled(next: &mut TaskRecord, request: &CancelRequest) {
    end_decided(next, request.then, &request.reason());
}

/// Enters what was decided about a task: by whom and why, and what becomes of it.
fn end_decided(next: &mut TaskRecord, then: Then, why: &str) {
    next.set_cancel(None);
    match then {
        Then::Retry => {}
        Then::Skip => next.skip_reason = Some(why.to_owned()),
        Then::Fail => {
            next.error = Some(why.to_owned());
            next.parked = Some(format!("{why}; retry or skip it"));
        }
    }
}

/// Enters the new status, with what every change of status brings along.
pub(super) fn note(
    next: &mut TaskRecord,
    from: TaskStatus,
    to: TaskStatus,
    why: Option<&str>,
    write: &Write,
) {
    next.status = to;
    if to != TaskStatus::InProgress {
        next.claim = None;
        next.end_wait();
    }
    if matches!(to, TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Skipped) {
        next.ended_at = Some(write.at);
    }
    record_step(next, from, to, why, write);
}

/// Adds a step to the record's history.
fn record_step(next: &mut TaskRecord, from: TaskStatus, to: TaskStatus, why: Option<&str>, write: &Write) {
    let why = why.map(|why| crate::codec::shorten(why, 200));
    next.transitions.push(TransitionRecord {
        at: write.at,
        from,
        to,
        attempt: next.attempt,
        by: write.writer.who.clone(),
        term: write.writer.term,
        why,
        extra: Extra::default(),
    });
    let excess = next.transitions.len().saturating_sub(TRANSITIONS_KEPT);
    next.transitions.drain(..excess);
}
