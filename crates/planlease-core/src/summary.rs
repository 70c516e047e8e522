//! The counts of a plan's tasks: always derived from the tasks at hand, never stored, so that they cannot
//! drift.

use serde::Serialize;

use crate::{record::TaskRecord, status::TaskStatus};

/// How many tasks have which status. The sum of the parts is `total`, by construction.
///
/// A task whose record cannot be read counts as none of them, so that its plan is never finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// All tasks.
    pub total: usize,
    /// Waiting for a dependency or to be started.
    pub pending: usize,
    /// Being worked on.
    pub in_progress: usize,
    /// Done.
    pub completed: usize,
    /// Given up, or waiting for a retry.
    pub failed: usize,
    /// Left out on purpose.
    pub skipped: usize,
    /// Tasks whose records cannot be read. Absent in JSON if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Summary {
    /// Counts the given tasks.
    pub fn of<'a>(tasks: impl IntoIterator<Item = &'a TaskRecord>) -> Self {
        let mut summary = Self::default();
        for task in tasks {
            summary.add(task.status);
        }
        summary
    }

    /// Counts one more task of this status.
    pub fn add(&mut self, status: TaskStatus) {
        self.total += 1;
        *match status {
            TaskStatus::Pending => &mut self.pending,
            TaskStatus::InProgress => &mut self.in_progress,
            TaskStatus::Completed => &mut self.completed,
            TaskStatus::Failed => &mut self.failed,
            TaskStatus::Skipped => &mut self.skipped,
        } += 1;
    }

    /// The same counts, with as many tasks besides whose records cannot be read.
    #[must_use]
    pub fn with_unreadable(self, unreadable: usize) -> Self {
        Self { total: self.total + unreadable, unreadable: self.unreadable + unreadable, ..self }
    }

    /// Tasks that have come to an end, whichever.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.completed + self.failed + self.skipped
    }

    /// Whether every task is completed or skipped: nothing failed, and nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.completed + self.skipped == self.total
    }

    /// Whether every task has come to an end, failed ones too. See [`Summary::is_done`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ended() == self.total
    }
}
