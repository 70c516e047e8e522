//! Which status of a task may follow which, by whom, and what the record looks like afterwards.
//!
//! The only place where that is decided. Everybody who writes a task record gets it from [`apply`], and the
//! audit replays histories through [`is_allowed`].
//!
//! ```text
//!              start                 complete
//!   pending ──────────► in progress ──────────► completed ─┐
//!    ▲ │ ▲                │ │ │                            │ reopen
//!    │ │ └─ return, lost ─┘ │ └──────► failed ─┐ retry     │
//!    │ │ skip               │ skip       │     │           │
//!    │ └────────► skipped ◄─┴────────────┘     │           │
//!    └──────────────┴──────────────────────────┴───────────┘
//! ```
//!
//! A task whose plan asks for an approval ([`crate::approval`]) starts only when the attempt is approved, or
//! stays in progress after its completion, without a live claimant, until a person has decided.

mod after;
mod change;
mod claimant;
mod succession;

use self::{
    after::{MAX_WHY, approve, end_at_once, end_cancelled, enter, note, used_up, wait_for_approval},
    claimant::{claimant, held, live, owner_is_gone},
};
pub use self::{
    change::{Change, Refusal, Write},
    succession::{Impossible, differs_by_approval, is_allowed},
};
pub use crate::status::TaskStatus;
use crate::{
    approval::{ApprovalOf, Awaits},
    cancel::{CancelRequest, Then},
    extra::Extra,
    record::{GivenUp, Role, TaskRecord},
    spec::OnLost,
};

/// The record after the change.
///
/// # Errors
/// [`Refusal`], if the transition table does not allow the change to this writer now; the record stays as it
/// is.
pub fn apply(record: &TaskRecord, change: &Change, write: &Write) -> Result<TaskRecord, Refusal> {
    let to = target(record, change, write)?;
    let mut next = record.clone();
    next.writer = write.writer.clone();
    next.op_id = write.op_id;
    let is_cancelled = record.status == TaskStatus::InProgress && change.gives_up();
    if let Some(request) = record.cancel.as_ref().filter(|_| is_cancelled) {
        end_cancelled(&mut next, request);
        note(&mut next, record.status, request.then.status(), Some(&request.reason()), write);
        return Ok(next);
    }
    enter(&mut next, change, write)?;
    match change {
        Change::Complete(_) if to == TaskStatus::InProgress => return Ok(wait_for_approval(next, write)),
        Change::Approve(why) => return Ok(approve(next, record, to, why, write)),
        Change::Cancel(then, why) => {
            let (by, at) = (write.writer.who.clone(), write.at);
            let why = crate::codec::shorten(why, MAX_WHY);
            let request = CancelRequest { by, at, why, then: *then, extra: Extra::default() };
            if to == TaskStatus::InProgress {
                next.set_cancel(Some(request));
            } else {
                end_at_once(&mut next, record, *then, &request.reason(), write);
            }
            return Ok(next);
        }
        Change::Reject(_, why) => {
            let why = format!("rejected by {}: {}", write.writer.who, crate::codec::shorten(why, MAX_WHY));
            let then = match to {
                TaskStatus::Pending => Then::Retry,
                TaskStatus::Skipped => Then::Skip,
                _ => Then::Fail,
            };
            end_at_once(&mut next, record, then, &why, write);
            if then == Then::Retry {
                next.error = Some(why); // For the next attempt.
            }
            return Ok(next);
        }
        _ => {}
    }
    if let Some(why) = used_up(&next, record.status, to, change, write) {
        note(&mut next, record.status, TaskStatus::Failed, Some(&why), write);
        next.parked = Some(why);
    } else if to != record.status {
        note(&mut next, record.status, to, change.reason(), write);
    }
    Ok(next)
}

/// The status to which the change leads, if it is allowed.
fn target(record: &TaskRecord, change: &Change, write: &Write) -> Result<TaskStatus, Refusal> {
    use TaskStatus::{Completed, Failed, InProgress, Pending, Skipped};
    let role = write.writer.role;
    if let Some(decided) = decide(record, change, write)? {
        return Ok(decided);
    }
    let wrong = || Refusal::WrongStatus { verb: change.verb(), status: record.status };
    let not_allowed = || Refusal::NotAllowed { role, verb: change.verb(), status: record.status };
    match (record.status, change) {
        (Pending, Change::Start) => Ok(InProgress),
        (InProgress, Change::Start) => Err(Refusal::ClaimedBy { by: claimant(record) }),
        (InProgress, Change::Lose(on_lost, _)) => match role {
            Role::Owner => Ok(if *on_lost == OnLost::Retry { Pending } else { Failed }),
            // A claim whose time limit has passed has no claimant any more: a process that has seen its lease
            // end may say so.
            Role::Worker | Role::Operator
                if record.claim.as_ref().is_some_and(|claim| claim.limit.is_some()) =>
            {
                Ok(if *on_lost == OnLost::Retry { Pending } else { Failed })
            }
            Role::Operator if owner_is_gone(record, &write.writer) => {
                Ok(if *on_lost == OnLost::Retry { Pending } else { Failed })
            }
            Role::Worker | Role::Operator => Err(not_allowed()),
        },
        (InProgress, Change::Rest(_)) if role == Role::Owner => Ok(Failed),
        (InProgress, Change::Rest(_)) => Err(not_allowed()),
        (InProgress, Change::Progress(_) | Change::Spend(..)) => live(record, write).map(|()| InProgress),
        (InProgress, Change::Measure) if role == Role::Owner => held(record, write).map(|()| InProgress),
        (InProgress, Change::Measure) => Err(not_allowed()),
        (InProgress, Change::Complete(_)) => live(record, write).map(|()| match record.approval_of() {
            Some(ApprovalOf::After) => InProgress, // It waits for approval.
            _ => Completed,
        }),
        (InProgress | Pending | Failed, Change::Cancel(..)) if role == Role::Worker => Err(not_allowed()),
        // An operator speaks for the claim: no process is behind it that would have to end first.
        (InProgress, Change::Cancel(then, _)) if role == Role::Operator && held(record, write).is_ok() => {
            Ok(then.status())
        }
        (InProgress, Change::Cancel(..)) => Ok(InProgress),
        (Failed, Change::Cancel(then, _))
        | (Pending, Change::Cancel(then @ (Then::Skip | Then::Fail), _)) => Ok(then.status()),
        (InProgress, Change::Return(_)) => held(record, write).map(|()| Pending),
        (InProgress, Change::Fail(_)) if role == Role::Owner => Ok(Failed), // An attempt past its deadline.
        (InProgress, Change::Fail(_)) => held(record, write).map(|()| Failed),
        (InProgress, Change::GiveUp(GivenUp::Failed | GivenUp::Asks, _)) if role == Role::Owner => Ok(Failed),
        (InProgress, Change::GiveUp(GivenUp::Failed | GivenUp::Asks, _)) => {
            held(record, write).map(|()| Failed)
        }
        (Pending, Change::GiveUp(GivenUp::Failed, _)) if role == Role::Owner => Ok(Failed),
        (Pending, Change::GiveUp(GivenUp::Skipped, _)) if role == Role::Owner => Ok(Skipped),
        (Pending, Change::GiveUp(..)) => Err(not_allowed()),
        (InProgress, Change::Skip(_)) if role == Role::Owner => Ok(Skipped),
        (InProgress, Change::Skip(_)) => held(record, write).map(|()| Skipped),
        (InProgress, Change::Retry(_)) if role == Role::Operator => held(record, write).map(|()| Pending),
        (Pending | Failed, Change::Skip(_)) | (Failed | Skipped, Change::Retry(_))
            if role == Role::Worker =>
        {
            Err(not_allowed())
        }
        (Pending | Failed, Change::Park(_)) if role == Role::Owner => Ok(Failed),
        (Pending | Failed, Change::Park(_)) => Err(not_allowed()),
        (Pending | Failed, Change::Skip(_)) => Ok(Skipped),
        (Failed | Skipped, Change::Retry(_)) => Ok(Pending),
        (Completed, Change::Retry(_)) if role == Role::Operator => Ok(Pending),
        (Completed, Change::Retry(_)) => Err(not_allowed()),
        _ => Err(wrong()),
    }
}

/// Checks the attempt that the change is about, and decides what concerns an approval. `None` if the table
/// decides.
fn decide(record: &TaskRecord, change: &Change, write: &Write) -> Result<Option<TaskStatus>, Refusal> {
    let (awaits, role) = (record.awaits(), write.writer.role);
    let is_decision = change.is_decision();
    let present = match awaits {
        Some(awaits) if is_decision => awaits.attempt(),
        _ => record.attempt,
    };
    if let Some(given) = write.attempt
        && given != present
    {
        return Err(Refusal::StaleAttempt { given, present });
    }
    if is_decision && role != Role::Operator {
        return Err(Refusal::NotAllowed { role, verb: change.verb(), status: record.status });
    }
    match (awaits, change) {
        (Some(Awaits::Start(attempt)), Change::Start) => Err(Refusal::NotApproved { attempt }),
        (Some(Awaits::Start(_)), Change::Approve(_)) => Ok(Some(TaskStatus::Pending)),
        (Some(Awaits::Start(_)), Change::Reject(Some(Then::Retry), _)) => Err(Refusal::NothingToRetry),
        (Some(Awaits::Start(_)), Change::Reject(then, _)) => Ok(Some(then.unwrap_or(Then::Fail).status())),
        (Some(Awaits::Result(_)), Change::Approve(_)) => Ok(Some(TaskStatus::Completed)),
        (Some(Awaits::Result(_)), Change::Reject(then, _)) => Ok(Some(then.unwrap_or(Then::Retry).status())),
        (Some(Awaits::Result(_)), Change::Cancel(then, _)) if role != Role::Worker => Ok(Some(then.status())),
        (Some(Awaits::Result(_)), Change::Skip(_) | Change::Retry(_)) if role == Role::Operator => Ok(None),
        (Some(Awaits::Result(attempt)), _) => Err(Refusal::ResultWaits { attempt }),
        (None, Change::Approve(_) | Change::Reject(..)) => {
            // What failed or was rejected has an approval of an earlier decision at most.
            let given = record
                .approved()
                .filter(|_| !matches!(record.status, TaskStatus::Failed | TaskStatus::Skipped));
            let approved = given.map(|given| (given.attempt, given.by.clone()));
            Err(Refusal::NothingWaits { approved })
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod approval_tests;
#[cfg(test)]
mod cancel_tests;
#[cfg(test)]
mod tests;
