//! Whether one record of a task can follow another: for the audit, which knows the records, not the changes.

use super::{
    change::Write,
    claimant::{claimant, held},
};
use crate::{
    approval::{ApprovalOf, Awaits},
    record::{Role, TaskRecord},
    status::TaskStatus,
    time::WallTime,
};

/// Whether `after` can follow `before` in a task's history; else what is wrong with it. For the audit: it
/// knows the records, not the changes.
///
/// # Errors
/// A sentence that names what cannot be.
pub fn is_allowed(before: &TaskRecord, after: &TaskRecord) -> Result<(), Impossible> {
    use TaskStatus::{Completed, Failed, InProgress, Pending, Skipped};
    let (from, to) = (before.status, after.status);
    let role = after.writer.role;
    let path = match (from, to) {
        (Pending, InProgress | Skipped)
        | (InProgress, _)
        | (Failed | Skipped, Pending)
        | (Failed, Skipped) => true,
        (Completed, Pending) => role == Role::Operator,
        // A person's decision is asked for: by the owner, or by an operator who has cancelled it.
        (Pending | Failed, Failed) if role != Role::Worker && after.parked.is_some() => true,
        // An approval, or an edit of what the plan asks a person for.
        _ if from == to => role == Role::Operator && differs_by_approval(before, after),
        _ => false,
    };
    if !path {
        return impossible(format!("{} ({role:?}) took it from {from} to {to}", after.writer.who));
    }
    let started = from != InProgress && to == InProgress;
    let attempt = before.attempt.saturating_add(u32::from(started));
    if after.attempt != attempt {
        return impossible(format!(
            "attempt {} follows attempt {} ({from} to {to})",
            after.attempt, before.attempt
        ));
    }
    if after.claim.is_some() != (to == InProgress) {
        return impossible(format!(
            "it is {to}, and {} a claim",
            if after.claim.is_some() { "has" } else { "lacks" }
        ));
    }
    approval_is_allowed(before, after)?;
    let ended = !before.result_waits() && after.result_waits();
    if from == InProgress && to == InProgress && before.claim != after.claim && !ended {
        return impossible(format!(
            "the claim went from {} to {} without a start",
            claimant(before),
            claimant(after)
        ));
    }
    if before.cancel.is_some() && (to == Completed || (to == InProgress && after.cancel.is_none())) {
        return impossible(format!("{} took a cancelled attempt to {to}", after.writer.who));
    }
    if from == InProgress && to == Completed {
        let write =
            Write { writer: after.writer.clone(), attempt: None, at: WallTime(0), op_id: after.op_id };
        held(before, &write)
            .map_err(|refusal| Impossible(format!("{} completed it, but {refusal}", after.writer.who)))?;
    }
    Ok(())
}

/// Whether two records of a task differ in nothing but its approval, and who wrote them. For the audit: an
/// edit writes such a record.
#[must_use]
pub fn differs_by_approval(before: &TaskRecord, after: &TaskRecord) -> bool {
    if before.approval.is_none() && after.approval.is_none() {
        return false;
    }
    let (approval, transitions) = (after.approval.clone(), after.transitions.clone());
    let (writer, v, op_id) = (after.writer.clone(), after.v, after.op_id);
    TaskRecord { approval, transitions, writer, v, op_id, ..before.clone() } == *after
}

/// Whether the step obeys what its plan asks a person for.
fn approval_is_allowed(before: &TaskRecord, after: &TaskRecord) -> Result<(), Impossible> {
    let who = &after.writer.who;
    let by_person = after.writer.role == Role::Operator;
    let given = |record: &TaskRecord| record.approval.as_ref().and_then(|approval| approval.given.clone());
    if let (Some(Awaits::Start(attempt)), TaskStatus::InProgress) = (before.awaits(), after.status) {
        return impossible(format!("{who} started attempt {attempt} without an approval"));
    }
    if after.approval.is_some() && given(before) != given(after) && !by_person {
        return impossible(format!("{who}, who is no operator, approved attempt {}", after.attempt));
    }
    if (before.status, after.status) != (TaskStatus::InProgress, TaskStatus::Completed) {
        return Ok(());
    }
    let is_approved = by_person && after.approved().is_some();
    // Without a wish of the plan any more, the record has no approval left that could show it.
    let waits = before.approval_of() == Some(ApprovalOf::After) || (before.result_waits() && !by_person);
    if waits && !(before.result_waits() && is_approved) {
        return impossible(format!("{who} completed attempt {} without an approval", after.attempt));
    }
    Ok(())
}

/// A change of a task's record that no transition makes, as a sentence that names what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Impossible(String);

fn impossible(why: String) -> Result<(), Impossible> {
    Err(Impossible(why))
}
