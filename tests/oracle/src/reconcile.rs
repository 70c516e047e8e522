//! History and journal, reconciled: every answer is proven by the history, and every write is one that a
//! client answers for.
//!
//! | answer | in the history |
//! | --- | --- |
//! | committed | exactly once, at the revision of the answer |
//! | refused | never |
//! | unknown | once or never: which, is counted |
//! | nothing | once or never |
//!
//! That a refused change was not made after all is seen from the other side: each write of a writer that the
//! journal knows (by name and authority) must be one that was answered as committed or unknown, or belong to
//! a call that was never answered.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    PlanName, TaskId,
    record::{TaskRecord, Writer},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    history::TaskWrite,
    journal::{Call, Reply, What},
};

/// What the settlement came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settlement {
    /// Changes that were acknowledged, each found in the history once.
    pub committed: usize,
    /// Changes that were refused.
    pub refused: usize,
    /// Unknown outcomes that turned out to have been carried out.
    pub unknown_carried_out: usize,
    /// Unknown outcomes that turned out never to have happened.
    pub unknown_never: usize,
    /// Calls whose answers no client waited for.
    pub unanswered: usize,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Settles the calls against the writes.
#[must_use]
pub fn reconcile(writes: &[TaskWrite], calls: &[Call]) -> Settlement {
    let mut settlement = Settlement::default();
    let mut by_op: BTreeMap<Uuid, Vec<&TaskWrite>> = BTreeMap::new();
    for write in writes {
        by_op.entry(write.record.op_id).or_default().push(write);
    }
    let mut answered_for: BTreeSet<Uuid> = BTreeSet::new();
    let mut writers: Vec<(&PlanName, &Writer)> = Vec::new();
    for call in calls {
        let (task, writer) = match &call.what {
            What::Write { task, writer, .. } => (Some(task), writer),
            What::Recover(writer) => (None, writer),
            What::Read(_) | What::ReadPlan => continue,
        };
        if !writers.contains(&(&call.plan, writer)) {
            writers.push((&call.plan, writer));
        }
        let Some(task) = task else { continue };
        reconcile_write(call, task, &by_op, &mut settlement, &mut answered_for);
    }
    for write in writes {
        let known = writers.contains(&(&write.plan, &write.record.writer));
        if known && !answered_for.contains(&write.record.op_id) && !has_open_call(write, calls) {
            settlement.violations.push(format!(
                "no client got an answer to write {} of task {} of {} at revision {}: {} ({:?}), though all of its writer's calls \
                 were answered; about that task: {}",
                write.record.op_id,
                write.task,
                write.plan,
                write.revision,
                write.record.status,
                write.record.writer,
                answers(write, calls),
            ));
        }
    }
    settlement
}

/// What the writer called about the task, when, and which answer it got.
fn answers(write: &TaskWrite, calls: &[Call]) -> String {
    let of_task = calls.iter().filter(|call| {
        call.plan == write.plan
            && matches!(&call.what, What::Write { task, writer, .. } if *task == write.task && *writer == write.record.writer)
    });
    of_task.map(|call| format!("{:?} {:?}", call.began, call.reported)).collect::<Vec<_>>().join(", ")
}

fn reconcile_write(
    call: &Call,
    task: &TaskId,
    by_op: &BTreeMap<Uuid, Vec<&TaskWrite>>,
    settlement: &mut Settlement,
    answered_for: &mut BTreeSet<Uuid>,
) {
    let found = |op_id: &Uuid| by_op.get(op_id).map_or(&[][..], Vec::as_slice);
    match call.reported.as_ref().map(|(_, reported)| reported) {
        None => settlement.unanswered += 1,
        Some(Reply::Refused(..)) => settlement.refused += 1,
        Some(Reply::Committed(op_id, revision)) => {
            answered_for.insert(*op_id);
            let place = |write: &&TaskWrite| {
                write.revision == *revision && write.plan == call.plan && write.task == *task
            };
            match found(op_id) {
                [write] if place(write) => settlement.committed += 1,
                others => settlement.violations.push(format!(
                    "the answer to {} says that its write {op_id} of task {task} of {} is revision {revision}; the history has it at {:?}",
                    call.client,
                    call.plan,
                    others.iter().map(|write| write.revision.get()).collect::<Vec<_>>(),
                )),
            }
        }
        Some(Reply::Unknown(op_id)) => {
            answered_for.insert(*op_id);
            match found(op_id) {
                [] => settlement.unknown_never += 1,
                [_] => settlement.unknown_carried_out += 1,
                _ => settlement
                    .violations
                    .push(format!("the write {op_id} of task {task} of {} happened twice", call.plan)),
            }
        }
        Some(Reply::Record(_) | Reply::Plan(..) | Reply::Done) => {}
    }
}

/// Whether a call that was never answered, or a recovery, explains the write.
fn has_open_call(write: &TaskWrite, calls: &[Call]) -> bool {
    calls.iter().filter(|call| call.plan == write.plan).any(|call| match &call.what {
        What::Write { task, writer, seen } => {
            call.reported.is_none()
                && *task == write.task
                && *writer == write.record.writer
                && seen.is_none_or(|seen| write.before == Some(seen))
        }
        What::Recover(writer) => *writer == write.record.writer && is_recovery(&write.record),
        What::Read(_) | What::ReadPlan => false,
    })
}

/// Whether the record was written to say that its claimant was lost, or that an attempt of it ended which had
/// been cancelled.
fn is_recovery(record: &TaskRecord) -> bool {
    let last = record.transitions.last();
    let says = |what: &str| last.is_some_and(|last| last.why.as_ref().is_some_and(|why| why.contains(what)));
    record.claim.is_none() && ((record.lost > 0 && says("was lost")) || says("cancelled by"))
}
