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

use serde_json::Map;
use uuid::Uuid;

pub use crate::status::TaskStatus;
use crate::{
    approval::{Approval, ApprovalOf, Approved, Awaits, WaitingResult},
    budget::Amount,
    cancel::{CancelRequest, Then},
    record::{Claim, GivenUp, Guard, Role, TRANSITIONS_KEPT, TaskRecord, TransitionRecord, Writer},
    spec::OnLost,
    time::WallTime,
};

/// How much of an attempt's last progress the next one is given, in bytes.
pub const LAST_PROGRESS_KEPT: usize = 4 * 1024;

/// How much is kept of the reason for a cancellation, in bytes.
const MAX_WHY: usize = 1_000;

/// What the history says of a completion that does not count yet.
const RESULT_WAITS: &str = "completed; waits for approval";

/// A requested change of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Begin the next attempt: the writer claims the task.
    Start,
    /// Say how the present attempt is doing.
    Progress(String),
    /// Say how much the present attempt has spent so far, and how it is doing if there is something to say.
    /// Above the task's budget, the attempt is cancelled.
    Spend(Amount, Option<String>),
    /// End it well, with notes if there is something to say.
    Complete(Option<String>),
    /// End it badly.
    Fail(String),
    /// Leave it out.
    Skip(String),
    /// Back to pending: a failed or skipped task is tried again, a completed one reopened (operators only).
    Retry(String),
    /// Back to pending: the claimant gives the task back unharmed, the attempt does not count as failed.
    Return(String),
    /// The claimant is gone; what happens is the task's policy. The owner may say so after it has checked. Of
    /// a claim whose time limit has passed, every process may that has seen it; of an owner's claim, an
    /// operator whose write compares that the plan has no owner.
    Lose(OnLost, String),
    /// The claimant is gone, and the task rests: its owner puts it back after the retry delay. Only the owner
    /// may say so.
    Rest(String),
    /// Hand a task that is not in progress to a person, with what there is to decide: it failed too often, or
    /// its time is up. Only the owner says so.
    Park(String),
    /// Give it up, as its policy says: an attempt that ended in a way after which it is not tried again, or a
    /// pending task behind one that failed for good; of the latter, only the owner says so.
    GiveUp(GivenUp, String),
    /// Cancel the present attempt, or a task that was not started yet. A claim of a live process stands until
    /// that process has ended the attempt, which it can only end as cancelled. An operator and the owner may
    /// say so.
    Cancel(Then, String),
    /// Approve what waits for approval: the start of the next attempt, or the result of the present one. Only
    /// an operator may say so.
    Approve(String),
    /// Reject what waits for approval, and say what becomes of the task. Without it, a task that was not
    /// started waits for a person, and a rejected result is worked on again. Only an operator may say so.
    Reject(Option<Then>, String),
    /// Store what the owner has measured of an attempt of its own ([`TaskRecord::spent_ms`]), and nothing
    /// else.
    Measure,
}

impl Change {
    /// Whether a claimant says by it that what ran for its attempt has ended.
    #[must_use]
    pub const fn ends_attempt(&self) -> bool {
        matches!(self, Self::Complete(_) | Self::Fail(_) | Self::Skip(_) | Self::Return(_) | Self::GiveUp(..))
    }

    /// The verb, for messages.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Progress(_) | Self::Spend(..) => "report progress of",
            Self::Complete(_) => "complete",
            Self::Fail(_) => "fail",
            Self::Skip(_) => "skip",
            Self::Retry(_) => "retry",
            Self::Return(_) => "return",
            Self::Lose(..) | Self::Rest(_) => "recover",
            Self::Park(_) => "park",
            Self::GiveUp(..) => "give up",
            Self::Cancel(..) => "cancel",
            Self::Approve(_) => "approve",
            Self::Reject(..) => "reject",
            Self::Measure => "measure",
        }
    }

    /// Why, if it says so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Start | Self::Complete(_) | Self::Progress(_) | Self::Spend(..) | Self::Measure => None,
            Self::Fail(why)
            | Self::Skip(why)
            | Self::Retry(why)
            | Self::Return(why)
            | Self::Park(why)
            | Self::Rest(why)
            | Self::Approve(why)
            | Self::Reject(_, why)
            | Self::Cancel(_, why)
            | Self::Lose(_, why)
            | Self::GiveUp(_, why) => Some(why),
        }
    }

    /// Whether a person decides by it about what waits for approval.
    #[must_use]
    pub const fn is_decision(&self) -> bool {
        matches!(self, Self::Approve(_) | Self::Reject(..))
    }

    /// Whether it ends the present attempt without a result that counts: what ends a cancelled one.
    fn gives_up(&self) -> bool {
        matches!(self, Self::Fail(_) | Self::Skip(_) | Self::Return(_) | Self::Lose(..) | Self::Rest(_))
    }
}

/// Everything about a write but the change itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who writes, by what right.
    pub writer: Writer,
    /// The attempt that the writer speaks for; `None` if for whichever is present. A result of an attempt
    /// that is not the present one is refused.
    pub attempt: Option<u32>,
    /// The writer's wall clock, for people.
    pub at: WallTime,
    /// Identifies the write.
    pub op_id: Uuid,
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The status does not allow it.
    #[error("cannot {verb} a task that is {status}")]
    WrongStatus {
        /// What was wanted.
        verb: &'static str,
        /// Where the task stands.
        status: TaskStatus,
    },
    /// Another claimant has the task.
    #[error("the task is claimed by {by}")]
    ClaimedBy {
        /// Who.
        by: String,
    },
    /// The result belongs to an attempt that is over.
    #[error("this is about attempt {given}; the present attempt is {present}")]
    StaleAttempt {
        /// Which attempt it is about.
        given: u32,
        /// Which attempt it is now.
        present: u32,
    },
    /// The attempt was cancelled: it can only be given up.
    #[error("the attempt was cancelled by {by}: {why}")]
    Cancelled {
        /// Who cancelled it.
        by: String,
        /// Why.
        why: String,
    },
    /// The attempt may start only when a person has approved it.
    #[error("attempt {attempt} waits for approval")]
    NotApproved {
        /// Which attempt.
        attempt: u32,
    },
    /// The attempt was completed, and its result waits for approval.
    #[error("the result of attempt {attempt} waits for approval")]
    ResultWaits {
        /// Which attempt.
        attempt: u32,
    },
    /// Nothing of the task waits for approval.
    #[error(
        "it does not wait for approval{}",
        .approved.as_ref().map_or_else(String::new, |(attempt, by)| {
            format!(": attempt {attempt} was approved by {by} already")
        })
    )]
    NothingWaits {
        /// The attempt that is approved already, and by whom.
        approved: Option<(u32, String)>,
    },
    /// A start is rejected, and there is no attempt that could be made again.
    #[error("no attempt was made that could be retried")]
    NothingToRetry,
    /// An attempt reports that it has spent less than before.
    #[error("attempt {attempt} has reported {reported} already, which is more than {given}")]
    SpentLess {
        /// Which attempt.
        attempt: u32,
        /// What is reported now.
        given: Amount,
        /// What was reported before.
        reported: Amount,
    },
    /// Another role is needed for that.
    #[error("{} may not {verb} a task that is {status}", role_name(*.role))]
    NotAllowed {
        /// The writer's part.
        role: Role,
        /// What was wanted.
        verb: &'static str,
        /// Where the task stands.
        status: TaskStatus,
    },
}

impl Refusal {
    /// Why, as the end of a sentence that names the task and the change: "cannot start task 1: it is
    /// skipped".
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::WrongStatus { status, .. } => format!("it is {status}"),
            Self::ClaimedBy { by } => format!("it is claimed by {by}"),
            Self::ResultWaits { attempt } => {
                format!("attempt {attempt} is completed, and its result waits for approval")
            }
            other => other.to_string(),
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "the owner",
        Role::Worker => "a worker",
        Role::Operator => "an operator",
    }
}

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
    if let Some(request) = record.cancel.as_ref().filter(|_| change.gives_up()) {
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
            let request = CancelRequest { by, at, why, then: *then, extra: Map::new() };
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

/// Enters what the change says, but for the status.
fn enter(next: &mut TaskRecord, change: &Change, write: &Write) -> Result<(), Refusal> {
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
        next.set_cancel(Some(CancelRequest { by, at, why, then: Then::Fail, extra: Map::new() }));
    }
    Ok(())
}

/// Why a task that could be tried again is parked instead, if its budget leaves nothing for another attempt.
/// A person who puts a task back has decided.
fn used_up(
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
/// the claim any more: no loss of a process ends it, and only a person does.
fn wait_for_approval(mut next: TaskRecord, write: &Write) -> TaskRecord {
    if let Some(claim) = &mut next.claim {
        claim.guard = None;
        claim.limit = None;
    }
    let mut approval = next.approval.take().map_or_else(Approval::default, |approval| *approval);
    approval.result = Some(WaitingResult { by: write.writer.who.clone(), at: write.at });
    next.set_approval(Some(approval));
    record_step(&mut next, TaskStatus::InProgress, TaskStatus::InProgress, Some(RESULT_WAITS), write);
    next
}

/// The record of a task that was approved: its next attempt may start, or its result counts.
fn approve(
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
fn end_at_once(next: &mut TaskRecord, before: &TaskRecord, then: Then, why: &str, write: &Write) {
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
fn end_cancelled(next: &mut TaskRecord, request: &CancelRequest) {
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
fn note(next: &mut TaskRecord, from: TaskStatus, to: TaskStatus, why: Option<&str>, write: &Write) {
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
        extra: Map::new(),
    });
    let excess = next.transitions.len().saturating_sub(TRANSITIONS_KEPT);
    next.transitions.drain(..excess);
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
            let approved = record.approved().map(|given| (given.attempt, given.by.clone()));
            Err(Refusal::NothingWaits { approved })
        }
        _ => Ok(None),
    }
}

fn claimant(record: &TaskRecord) -> String {
    record.claim.as_ref().map_or_else(|| "nobody".to_owned(), |claim| claim.by.clone())
}

/// Whether the writer speaks for the present claim.
///
/// The claimant does, by the same guard. An operator does for a claim by a person, and for one whose owner is
/// gone: an operator's write that compares "the plan has no owner" proves that an owner's claim is an orphan.
fn held(record: &TaskRecord, write: &Write) -> Result<(), Refusal> {
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
fn live(record: &TaskRecord, write: &Write) -> Result<(), Refusal> {
    held(record, write)?;
    match record.cancel.as_deref() {
        Some(CancelRequest { by, why, .. }) => Err(Refusal::Cancelled { by: by.clone(), why: why.clone() }),
        None => Ok(()),
    }
}

/// Whether an owner has claimed the task, and the writer's guard compares that the plan has none.
fn owner_is_gone(record: &TaskRecord, writer: &Writer) -> bool {
    let by_owner = |claim: &Claim| matches!(claim.guard, Some(Guard::Owner { .. }));
    record.claim.as_ref().is_some_and(by_owner) && writer.guard == Guard::Unowned
}

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

#[cfg(test)]
mod approval_tests;
#[cfg(test)]
mod cancel_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LeaseId, OrchestratorId, Revision, TermNumber, record::ClaimLimit};
    use proptest::prelude::*;

    fn writer(role: Role, n: i64) -> Writer {
        let revision = Revision::from_wire(n).unwrap();
        let guard = match role {
            Role::Owner => Guard::Owner { lease: LeaseId::from_wire(n).unwrap(), revision },
            Role::Worker => {
                Guard::Worker { orchestrator: OrchestratorId::new(format!("w{n}")).unwrap(), revision }
            }
            Role::Operator => Guard::Unowned,
        };
        Writer { who: format!("{role:?}{n}"), role, term: Some(TermNumber(n.unsigned_abs())), guard }
    }

    fn write(role: Role, n: i64) -> Write {
        Write {
            writer: writer(role, n),
            attempt: None,
            at: WallTime(n),
            op_id: Uuid::from_u128(n.unsigned_abs().into()),
        }
    }

    fn fresh() -> TaskRecord {
        TaskRecord::new(writer(Role::Owner, 1), Uuid::nil())
    }

    fn changes() -> Vec<Change> {
        vec![
            Change::Start,
            Change::Progress("p".into()),
            Change::Complete(None),
            Change::Fail("f".into()),
            Change::Skip("s".into()),
            Change::Retry("r".into()),
            Change::Return("b".into()),
            Change::Lose(OnLost::Retry, "l".into()),
            Change::Lose(OnLost::Fail, "l".into()),
            Change::Lose(OnLost::Ask, "l".into()),
            Change::Park("p".into()),
            Change::Measure,
            Change::Rest("l".into()),
        ]
    }

    /// A record in the given status whose claim, if any, is that of owner 1.
    fn in_status(status: TaskStatus) -> TaskRecord {
        let by_owner = write(Role::Owner, 1);
        let started = apply(&fresh(), &Change::Start, &by_owner).unwrap();
        let change = match status {
            TaskStatus::Pending => return fresh(),
            TaskStatus::InProgress => return started,
            TaskStatus::Completed => Change::Complete(None),
            TaskStatus::Failed => Change::Fail("f".into()),
            TaskStatus::Skipped => Change::Skip("s".into()),
        };
        apply(&started, &change, &by_owner).unwrap()
    }

    /// An older process goes on with what a newer one has begun.
    #[test]
    fn what_a_newer_version_said_stays_through_a_change() {
        let by_owner = write(Role::Owner, 1);
        let mut newer = serde_json::to_value(in_status(TaskStatus::InProgress)).unwrap();
        for place in ["", "/claim", "/transitions/0"] {
            newer.pointer_mut(place).unwrap()["shade"] = "blue".into();
        }
        let newer: TaskRecord = serde_json::from_value(newer).unwrap();
        let older = apply(&newer, &Change::Progress("half".into()), &by_owner).unwrap();
        let kept = serde_json::to_value(&older).unwrap();
        for place in ["/shade", "/claim/shade", "/transitions/0/shade"] {
            assert_eq!(kept.pointer(place), Some(&"blue".into()), "{place}: {kept}");
        }
    }

    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for (name, write) in [
            ("claimant", write(Role::Owner, 1)),
            ("later owner", write(Role::Owner, 2)),
            ("worker", write(Role::Worker, 3)),
            ("operator", write(Role::Operator, 4)),
        ] {
            for status in TaskStatus::ALL {
                let allowed: Vec<String> = changes()
                    .iter()
                    .filter_map(|change| {
                        let next = apply(&in_status(status), change, &write).ok()?;
                        Some(format!("{} → {}", change.verb(), next.status))
                    })
                    .collect();
                table += &format!("{name}, {status}: {}\n", allowed.join(", "));
            }
        }
        insta::assert_snapshot!(table, @r"
        claimant, pending: start → in_progress, skip → skipped, park → failed
        claimant, in_progress: report progress of → in_progress, complete → completed, fail → failed, skip → skipped, return → pending, recover → pending, recover → failed, recover → failed, measure → in_progress, recover → failed
        claimant, completed: 
        claimant, failed: skip → skipped, retry → pending, park → failed
        claimant, skipped: retry → pending
        later owner, pending: start → in_progress, skip → skipped, park → failed
        later owner, in_progress: fail → failed, skip → skipped, recover → pending, recover → failed, recover → failed, recover → failed
        later owner, completed: 
        later owner, failed: skip → skipped, retry → pending, park → failed
        later owner, skipped: retry → pending
        worker, pending: start → in_progress
        worker, in_progress: 
        worker, completed: 
        worker, failed: 
        worker, skipped: 
        operator, pending: start → in_progress, skip → skipped
        operator, in_progress: report progress of → in_progress, complete → completed, fail → failed, skip → skipped, retry → pending, return → pending, recover → pending, recover → failed, recover → failed
        operator, completed: retry → pending
        operator, failed: skip → skipped, retry → pending
        operator, skipped: retry → pending
        ");
    }

    #[test]
    fn an_expired_claim_can_be_lost_by_any_role() {
        let by_operator =
            apply(&in_status(TaskStatus::Pending), &Change::Start, &write(Role::Operator, 4)).unwrap();
        let limit = ClaimLimit { lease: LeaseId::from_wire(9).unwrap(), seconds: 60 };
        let mut limited = by_operator.clone();
        limited.claim.as_mut().unwrap().limit = Some(limit);
        let lose = |on_lost| Change::Lose(on_lost, "over".into());
        for (role, n) in [(Role::Owner, 1), (Role::Worker, 3), (Role::Operator, 5)] {
            let write = write(role, n);
            let status = |on_lost| apply(&limited, &lose(on_lost), &write).unwrap().status;
            assert_eq!(
                [OnLost::Retry, OnLost::Fail, OnLost::Ask].map(status),
                [TaskStatus::Pending, TaskStatus::Failed, TaskStatus::Failed]
            );
            assert_eq!(
                apply(&by_operator, &lose(OnLost::Retry), &write).is_ok(),
                role == Role::Owner,
                "{role:?}"
            );
            assert_eq!(is_allowed(&limited, &apply(&limited, &lose(OnLost::Retry), &write).unwrap()), Ok(()));
        }
    }

    #[test]
    fn a_late_result_of_an_attempt_that_is_over_is_refused() {
        let mut late = write(Role::Owner, 1);
        late.attempt = Some(1);
        let first = in_status(TaskStatus::InProgress);
        let returned = apply(&first, &Change::Return("x".into()), &late).unwrap();
        let second = apply(&returned, &Change::Start, &write(Role::Owner, 1)).unwrap();
        assert_eq!(
            apply(&second, &Change::Complete(None), &late),
            Err(Refusal::StaleAttempt { given: 1, present: 2 })
        );
    }

    /// A task that was in progress elsewhere when its plan was imported.
    #[test]
    fn an_unclaimed_task_is_ended_by_owner_or_operator() {
        let mut imported = in_status(TaskStatus::InProgress);
        imported.claim = Some(Claim { guard: Some(Guard::Import), ..imported.claim.unwrap() });
        for (role, may) in [(Role::Owner, true), (Role::Operator, true), (Role::Worker, false)] {
            let done = apply(&imported, &Change::Complete(None), &write(role, 9));
            assert_eq!(done.is_ok(), may, "{role:?}: {done:?}");
        }
        let recovered = apply(&imported, &Change::Lose(OnLost::Retry, "gone".into()), &write(Role::Owner, 9));
        assert_eq!(recovered.map(|record| record.status), Ok(TaskStatus::Pending));
    }

    #[test]
    fn a_lost_attempt_is_not_a_failed_one() {
        let lost = apply(
            &in_status(TaskStatus::InProgress),
            &Change::Lose(OnLost::Retry, "host gone".into()),
            &write(Role::Owner, 2),
        )
        .unwrap();
        assert_eq!((lost.status, lost.lost, lost.failures, lost.attempt), (TaskStatus::Pending, 1, 0, 1));
        let asked = apply(
            &in_status(TaskStatus::InProgress),
            &Change::Lose(OnLost::Ask, "host gone".into()),
            &write(Role::Owner, 2),
        )
        .unwrap();
        assert!(asked.parked.is_some() && asked.failures == 0);
        let rests = Change::Rest("host gone".into());
        let rests = apply(&in_status(TaskStatus::InProgress), &rests, &write(Role::Owner, 2)).unwrap();
        assert_eq!((rests.status, rests.lost, rests.failures), (TaskStatus::Failed, 1, 0));
        assert!(rests.parked.is_none() && !rests.lost_for_good && rests.claim.is_none());
        let again = Change::Retry("looked".into());
        let by_person = apply(&rests, &again, &write(Role::Operator, 4)).unwrap();
        assert_eq!(by_person.lost, 0, "a person has looked");
        assert_eq!(apply(&rests, &again, &write(Role::Owner, 2)).unwrap().lost, 1);
    }

    #[test]
    fn an_operators_return_restores_the_tasks_full_time() {
        let spent = TaskRecord { spent_ms: 9_000, ..in_status(TaskStatus::Failed) };
        let again = |role| apply(&spent, &Change::Retry("again".into()), &write(role, 1)).unwrap();
        assert_eq!((again(Role::Owner).spent_ms, again(Role::Operator).spent_ms), (9_000, 0));
        assert_eq!(again(Role::Operator).first_started_at, None);
    }

    #[test]
    fn the_record_remembers_a_bounded_number_of_transitions() {
        let mut record = fresh();
        for _ in 0..TRANSITIONS_KEPT {
            record = apply(&record, &Change::Start, &write(Role::Owner, 1)).unwrap();
            record = apply(&record, &Change::Return("again".into()), &write(Role::Owner, 1)).unwrap();
        }
        assert_eq!(record.transitions.len(), TRANSITIONS_KEPT);
        assert_eq!(record.transitions.last().map(|t| t.to), Some(TaskStatus::Pending));
    }

    proptest! {
        /// What the table allows, the audit allows: they cannot disagree about a history.
        #[test]
        fn the_audit_accepts_every_path_through_the_table(
            steps in proptest::collection::vec((0usize..12, 0usize..4), 1..60)
        ) {
            let writes =
                [write(Role::Owner, 1), write(Role::Owner, 2), write(Role::Worker, 3), write(Role::Operator, 4)];
            let mut record = fresh();
            for (change, by) in steps {
                if let Ok(next) = apply(&record, &changes()[change], &writes[by]) {
                    prop_assert_eq!(is_allowed(&record, &next), Ok(()));
                    record = next;
                }
            }
        }
    }
}
