//! What is asked of a task's record: the change, who writes it, and why it is refused.

use uuid::Uuid;

use crate::{
    budget::Amount,
    cancel::Then,
    record::{GivenUp, Role, Writer},
    spec::OnLost,
    status::TaskStatus,
    time::WallTime,
};

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
    /// Store what the owner has measured of an attempt of its own (`spent_ms`), and nothing else.
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
    pub(super) fn gives_up(&self) -> bool {
        matches!(
            self,
            Self::Fail(_)
                | Self::Skip(_)
                | Self::Return(_)
                | Self::Lose(..)
                | Self::Rest(_)
                | Self::GiveUp(..)
        )
    }

    /// Whether it has a text of the claimant's, of any length.
    #[must_use]
    pub fn is_claimants_text(&self) -> bool {
        matches!(self, Self::Progress(_) | Self::Spend(..) | Self::Complete(_) | Self::Fail(_))
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
