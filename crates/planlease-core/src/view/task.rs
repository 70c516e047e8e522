//! A task as it was at one revision.

use std::time::Duration;

use crate::{
    change::Entry,
    codec,
    id::{PlanName, TaskId},
    keys::{Key, PlanKey},
    record::TaskRecord,
    revision::Revision,
    unreadable::Unreadable,
};

/// A task as it was at a revision.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// Which task.
    pub id: TaskId,
    /// The revision that wrote this record: what an update compares.
    pub revision: Revision,
    /// The record.
    pub record: TaskRecord,
}

impl TaskView {
    /// Reads the task of a plan from what its key holds.
    ///
    /// # Errors
    /// [`Unreadable`] with the key.
    pub fn read(plan: &PlanName, id: TaskId, entry: &Entry) -> Result<Self, Unreadable> {
        match codec::decode(&entry.value) {
            Ok(record) => Ok(Self { id, revision: entry.modified, record }),
            Err(error) => Err(Unreadable::new(Key::Plan(plan.clone(), PlanKey::Task(id)), &error)),
        }
    }

    /// The task with what its owner has measured of it, if it has: an update of it stores that, too.
    #[must_use]
    pub fn measured(&self, spent: Option<Duration>) -> Self {
        let mut measured = self.clone();
        if let Some(spent) = spent {
            measured.record.spent_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        }
        measured
    }
}
