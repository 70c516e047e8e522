//! What a plan asks people to approve is approved by people: no attempt of such a task starts before it was
//! approved, and none is completed before its result was. One decision is recorded about each while it waits,
//! and none afterwards. What a plan asks for is read in its definition, and what waits in the history: not by
//! the code that decides it.

use std::collections::BTreeMap;

use planlease::core::{
    PlanName, TaskId,
    approval::{ApprovalOf, Approved},
    record::{Role, TaskRecord},
    spec::PlanSpec,
    transition::TaskStatus,
};

use super::Evidence;
use crate::hosts::operator::definition;

/// What went on without a decision, or after it.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let world = evidence.world;
    if !world.options.approvals {
        return Vec::new();
    }
    let specs: BTreeMap<PlanName, PlanSpec> =
        (0..world.options.plans).map(|number| definition(world, number)).collect();
    let mut known: BTreeMap<(PlanName, TaskId), TaskRecord> = BTreeMap::new();
    let mut violations = Vec::new();
    for write in world.history.task_writes() {
        let asked = specs.get(&write.plan).and_then(|spec| spec.task(&write.task)?.approval);
        let before = known.insert((write.plan.clone(), write.task.clone()), write.record.clone());
        // A task of a plan that was deleted is another one.
        let Some(before) = before.filter(|_| write.before.is_some()) else { continue };
        let wrong = [unapproved(&before, &write.record, asked), undecided(&before, &write.record, asked)];
        violations.extend(
            wrong
                .into_iter()
                .flatten()
                .map(|what| format!("{what}: {} {} at revision {}", write.plan, write.task, write.revision)),
        );
    }
    violations
}

/// What started or was completed without an approval.
fn unapproved(before: &TaskRecord, after: &TaskRecord, asked: Option<ApprovalOf>) -> Option<String> {
    let attempt = after.attempt;
    let is_given = |record: &TaskRecord| given(record).is_some_and(|given| given.attempt == attempt);
    let becomes = |status| before.status != status && after.status == status;
    match asked? {
        ApprovalOf::Before => (becomes(TaskStatus::InProgress) && !is_given(before))
            .then(|| format!("attempt {attempt} started without an approval")),
        ApprovalOf::After => (becomes(TaskStatus::Completed) && !(result_waits(before) && is_given(after)))
            .then(|| format!("attempt {attempt} was completed without an approval")),
    }
}

/// A decision about what did not wait for one, or by another process than an operator.
fn undecided(before: &TaskRecord, after: &TaskRecord, asked: Option<ApprovalOf>) -> Option<String> {
    let waiting = waiting(before, asked);
    let decided = match given(after).filter(|given| self::given(before) != Some(*given)) {
        Some(given) => Some(given.attempt),
        None if is_rejected(before, after) => waiting.or(Some(before.attempt)),
        None => None,
    }?;
    if waiting != Some(decided) {
        return Some(format!("attempt {decided} was decided about, which did not wait for it"));
    }
    let role = after.writer.role;
    (role != Role::Operator).then(|| format!("attempt {decided} was decided about by a process ({role:?})"))
}

/// The attempt that waits for a decision, if one does.
fn waiting(record: &TaskRecord, asked: Option<ApprovalOf>) -> Option<u32> {
    let next = record.attempt + 1;
    let is_approved = given(record).is_some_and(|given| given.attempt == next);
    match (record.status, asked) {
        (TaskStatus::Pending, Some(ApprovalOf::Before)) => (!is_approved).then_some(next),
        _ => result_waits(record).then_some(record.attempt),
    }
}

fn result_waits(record: &TaskRecord) -> bool {
    record.status == TaskStatus::InProgress
        && record.approval.as_ref().is_some_and(|approval| approval.result.is_some())
}

/// The last approval.
fn given(record: &TaskRecord) -> Option<&Approved> {
    record.approval.as_ref()?.given.as_ref()
}

/// Whether the step from one record to the next is a rejection.
fn is_rejected(before: &TaskRecord, after: &TaskRecord) -> bool {
    let last = after.transitions.last().filter(|last| before.transitions.last() != Some(*last));
    last.is_some_and(|last| last.why.as_deref().is_some_and(|why| why.starts_with("rejected by")))
}
