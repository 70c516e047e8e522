//! What a plan is waited for to be, and whether it still can be.

use std::{fmt, str::FromStr};

use planlease::{
    Error, PlanView, TaskId,
    core::{standing::Outlook, transition::TaskStatus},
};

use crate::{
    command::ended::{has_ended, unfinished},
    exit::Exit,
    failure::Failure,
};

/// A state of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Every task is completed or skipped.
    Finished,
    /// A task has failed.
    Failed,
    /// A process owns it.
    Owned,
    /// No process owns it.
    Unowned,
    /// A task has a status.
    Task(TaskId, TaskStatus),
}

/// Whether a condition holds.
#[derive(Debug)]
pub(super) enum Verdict {
    Holds,
    NotYet,
    /// It does not, and will not without a person.
    Never(Failure),
}

impl Condition {
    /// Whether it holds for this plan.
    pub(super) fn of(&self, plan: &PlanView) -> Verdict {
        let holds = match self {
            Self::Finished => plan.outlook() == Outlook::Done,
            Self::Failed => plan.summary().failed > 0,
            Self::Owned => plan.queue().owner().is_some(),
            Self::Unowned => plan.queue().owner().is_none(),
            Self::Task(task, status) => match plan.task(task) {
                Ok(task) => task.record.status == *status,
                Err(missing) => return Verdict::Never(Error::from(missing).into()),
            },
        };
        match holds {
            true => Verdict::Holds,
            false if self.needs_a_person(plan) => {
                Verdict::Never(unfinished(plan).unwrap_or_else(|| self.too_late(plan)))
            }
            false => Verdict::NotYet,
        }
    }

    /// Whether the plan does not come to it by itself. Any process may still own one that waits for a person.
    fn needs_a_person(&self, plan: &PlanView) -> bool {
        match self {
            Self::Owned => plan.halts().closed.is_some() || plan.outlook() == Outlook::Done,
            Self::Unowned => false,
            Self::Finished | Self::Failed | Self::Task(..) => has_ended(plan),
        }
    }

    /// The plan is finished, and nothing more happens to it.
    fn too_late(&self, plan: &PlanView) -> Failure {
        let what = format!("plan {} is finished, and will not be {self}", plan.name());
        Failure::new(Exit::PlanFinished, what)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "finished" => Ok(Self::Finished),
            "failed" => Ok(Self::Failed),
            "owned" => Ok(Self::Owned),
            "unowned" => Ok(Self::Unowned),
            _ => task(text).ok_or_else(|| {
                let statuses = TaskStatus::ALL.map(TaskStatus::as_str).join(", ");
                format!(
                    "write finished, failed, owned, unowned or task=ID:STATUS; the statuses are {statuses}"
                )
            }),
        }
    }
}

/// Reads `task=3.1:completed`. An id may have colons of its own.
fn task(text: &str) -> Option<Condition> {
    let (id, status) = text.strip_prefix("task=")?.rsplit_once(':')?;
    let status = TaskStatus::ALL.into_iter().find(|one| one.as_str() == status)?;
    Some(Condition::Task(TaskId::new(id).ok()?, status))
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Failed => f.write_str("failed"),
            Self::Owned => f.write_str("owned"),
            Self::Unowned => f.write_str("without an owner"),
            Self::Task(task, status) => write!(f, "so far that task {task} is {}", status.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_written() {
        let of_task = |id: &str, status| Condition::Task(TaskId::new(id).unwrap(), status);
        for (text, condition) in [
            ("finished", Condition::Finished),
            ("failed", Condition::Failed),
            ("owned", Condition::Owned),
            ("unowned", Condition::Unowned),
            ("task=3.1:completed", of_task("3.1", TaskStatus::Completed)),
            ("task=a:b:in_progress", of_task("a:b", TaskStatus::InProgress)),
        ] {
            assert_eq!(text.parse(), Ok(condition), "{text}");
        }
        for text in ["", "done", "task=3.1", "task=:completed", "task=3.1:done", "3.1:completed"] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
