//! Who speaks for the claim of a task in progress.

use super::change::{Refusal, Write};
use crate::{
    cancel::CancelRequest,
    record::{Claim, Guard, Role, TaskRecord, Writer},
};

pub(super) fn claimant(record: &TaskRecord) -> String {
    record.claim.as_ref().map_or_else(|| "an unknown claimant".to_owned(), |claim| claim.by.clone())
}

/// Whether the writer speaks for the present claim.
///
/// The claimant does, by the same guard. An operator does for a claim by a person, and for one whose owner is
/// gone: an operator's write that compares "the plan has no owner" proves that an owner's claim is an orphan.
pub(super) fn held(record: &TaskRecord, write: &Write) -> Result<(), Refusal> {
    let writer = &write.writer;
    let holds = record.claim.as_ref().is_some_and(|claim| match (&claim.guard, writer.role) {
        (None, Role::Operator | Role::Owner) => true,
        (None, Role::Worker) => false,
        (Some(Guard::Owner { .. }), Role::Operator) => owner_is_gone(record, writer),
        // It came with its plan, from a process that never had a right here.
        (Some(Guard::Import), Role::Operator | Role::Owner) => true,
        (Some(guard), _) => *guard == writer.guard,
    });
    if holds { Ok(()) } else { Err(Refusal::ClaimedBy { by: claimant(record) }) }
}

/// Whether the writer speaks for the present claim, and the attempt may go on.
pub(super) fn live(record: &TaskRecord, write: &Write) -> Result<(), Refusal> {
    held(record, write)?;
    match record.cancel.as_deref() {
        Some(CancelRequest { by, why, .. }) => Err(Refusal::Cancelled { by: by.clone(), why: why.clone() }),
        None => Ok(()),
    }
}

/// Whether an owner has claimed the task, and the writer's guard compares that the plan has none.
pub(super) fn owner_is_gone(record: &TaskRecord, writer: &Writer) -> bool {
    let by_owner = |claim: &Claim| matches!(claim.guard, Some(Guard::Owner { .. }));
    record.claim.as_ref().is_some_and(by_owner) && writer.guard == Guard::Unowned
}
