//! How far a task is: as its file says, and as the plan says.

use planlease_core::{
    spec::{DROPPED, MARK, TaskSpec},
    transition::TaskStatus,
};
use serde_json::Value;

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its status.
    pub status: TaskStatus,
    /// Whether it was ever started. What its file says of a task that never was, is what the plan was made
    /// of.
    pub was_begun: bool,
}

impl From<TaskStatus> for Progress {
    fn from(status: TaskStatus) -> Self {
        Self { status, was_begun: status != TaskStatus::Pending }
    }
}

/// What a file says of the state of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    #[default]
    Open,
    Done,
    Begun,
    Blocked,
    Deferred,
    Dropped,
}

impl From<TaskStatus> for State {
    /// What a file says of a task with this status; a failed one is held up until a person decides.
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Pending => Self::Open,
            TaskStatus::InProgress => Self::Begun,
            TaskStatus::Completed => Self::Done,
            TaskStatus::Failed => Self::Blocked,
            TaskStatus::Skipped => Self::Dropped,
        }
    }
}

impl State {
    /// Whether it says the same as how far a task is.
    pub(crate) fn says(self, progress: Progress) -> bool {
        match progress.status {
            TaskStatus::Completed => self == Self::Done,
            TaskStatus::Skipped => matches!(self, Self::Done | Self::Dropped),
            TaskStatus::InProgress => self == Self::Begun,
            _ => {
                matches!(self, Self::Open | Self::Blocked | Self::Deferred)
                    || self == Self::Begun && !progress.was_begun
            }
        }
    }

    /// What a file says of a task with this status, which was read with this mark: a task that is pending is
    /// blocked, or deferred, as long as its file has it so.
    pub(crate) fn of(task: &TaskSpec, status: TaskStatus) -> Self {
        let mark = task.extra.get(MARK).and_then(Value::as_str);
        let noted = [Self::Blocked, Self::Deferred].into_iter().find(|state| state.mark() == mark);
        match noted {
            Some(noted) if status == TaskStatus::Pending && mark.is_some() => noted,
            _ => status.into(),
        }
    }

    /// The same, completed by a mark that was noted where the file has no word for it.
    pub(crate) fn noted(self, mark: Option<&str>) -> Self {
        let states = [
            (Self::Done, Self::Dropped),
            (Self::Open, Self::Blocked),
            (Self::Open, Self::Deferred),
            (Self::Open, Self::Begun),
        ];
        let found =
            states.into_iter().find(|(said, noted)| *said == self && noted.mark() == mark && mark.is_some());
        found.map_or(self, |(_, noted)| noted)
    }

    /// Whether nothing is to be done any more.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Dropped)
    }

    /// What the plan keeps of it, besides that it is done or not.
    pub(crate) fn mark(self) -> Option<&'static str> {
        match self {
            Self::Open | Self::Done => None,
            Self::Begun => Some("in_progress"),
            Self::Blocked => Some("blocked"),
            Self::Deferred => Some("deferred"),
            Self::Dropped => Some(DROPPED),
        }
    }

    /// What becomes of such tasks, and what to do about it.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Dropped => {
                "With --ticked done they are recorded as skipped; with --ticked pending they are done."
            }
            Self::Blocked => {
                "The file does not say by what: they count as pending. Write what they depend on."
            }
            Self::Deferred => {
                "They count as pending, and are done like all others: take out what is not to be done."
            }
            _ => "No process of this plan works on them: they count as pending.",
        }
    }
}
