//! A refused update in words: why, and what its caller can do next.

use planlease::{Refused, TaskView};
use planlease_core::{pool::PoolWait, transition::Refusal};

/// A refused update in words.
#[derive(Clone, Debug)]
pub struct RefusalView<'a> {
    /// Why, as the end of a sentence that names the task and the change.
    pub why: String,
    /// What the caller can do next, as a sentence.
    pub next: &'static str,
    /// The record that is in the way, where it is known.
    pub present: Option<&'a TaskView>,
}

impl<'a> RefusalView<'a> {
    /// Of this refusal.
    #[must_use]
    pub fn of(refused: &'a Refused) -> Self {
        let (why, next) = match refused {
            Refused::Conflict(_) => (
                "it was changed since it was looked at".to_owned(),
                "Look at the present record, and decide again.",
            ),
            Refused::NotAllowed(refusal, _) => (refusal.why(), remedy(refusal)),
            Refused::AuthorityLost(_) => (
                "the right to it is over".to_owned(),
                "Stop working on the task: its claim ended with the session.",
            ),
            Refused::Dependency => (
                "it waits for others, or something that it needs was changed meanwhile".to_owned(),
                "Do another task, or wait until what it depends on is done.",
            ),
            Refused::Halted(halt) => (
                format!("the plan was {} by {}: {}", halt.how, halt.by, halt.why),
                "Wait until an operator resumes the plan.",
            ),
            Refused::FleetPaused(pause) => (
                format!("the fleet was paused by {}: {}", pause.by, pause.why),
                "Wait until an operator resumes the fleet.",
            ),
            Refused::Cordoned(cordon) => (
                format!("this worker was cordoned by {}: {}", cordon.by, cordon.why),
                "Finish what is in progress; an operator can uncordon the worker.",
            ),
            Refused::Full(most) => (
                format!("no more tasks may be in progress at once (max_in_progress = {most})"),
                "Wait until a task in progress ends.",
            ),
            Refused::Pool(wait) => (wait.to_string(), pool_remedy(wait)),
            Refused::NoSuchTask => ("there is no such task".to_owned(), "List the tasks of the plan."),
            _ => (format!("{refused:?}"), "Look at the present record, and decide again."),
        };
        let present = match refused {
            Refused::Conflict(present) | Refused::NotAllowed(_, present) => Some(&**present),
            _ => None,
        };
        Self { why, next, present }
    }
}

/// What to do about a task that gets no permit.
#[must_use]
pub fn pool_remedy(wait: &PoolWait) -> &'static str {
    match wait {
        PoolWait::Unknown(_) => "An operator defines it with `planlease pool set NAME SIZE`.",
        PoolWait::Unreadable(..) => "An operator defines it again with `planlease pool set NAME SIZE`.",
        PoolWait::TooSmall { .. } => "An operator makes it larger with `planlease pool set NAME SIZE`.",
        PoolWait::Full { size: 0, .. } => "An operator opens it again with `planlease pool set NAME SIZE`.",
        _ => "Wait until a task that uses the pool ends; `planlease pool show NAME` lists them.",
    }
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ClaimedBy { .. } => "Leave it to its claimant, and do another task.",
        Refusal::Cancelled { .. } => "Stop working on it, and give it up: fail it, or return it.",
        Refusal::StaleAttempt { .. } => "Stop working on it: the task was given to another attempt.",
        Refusal::NotApproved { .. } => "Do another task: a person has to approve this one first.",
        Refusal::ResultWaits { .. } => "Go on with another task: a person decides about the result.",
        Refusal::NothingWaits { .. } => "Look at the present record: there is nothing to decide.",
        Refusal::NothingToRetry => "Reject it with `fail` or `skip`.",
        Refusal::SpentLess { .. } => "Report what the attempt has spent in all, not what came on top.",
        Refusal::NotAllowed { .. } => "Ask an operator to do it.",
        _ => "Look at the present record: its status does not allow the change.",
    }
}
