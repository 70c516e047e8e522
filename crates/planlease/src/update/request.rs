//! One update of one task, as its caller asks for it.

use std::time::Duration;

use planlease_core::{PlanName, Revision, TaskId, transition::Change};
use uuid::Uuid;

/// An update of a task, for [`Authority::submit`](crate::Authority::submit).
///
/// ```
/// use planlease::{UpdateRequest, core::{TaskId, transition::Change}};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let task = TaskId::new("2.3")?;
/// let request = UpdateRequest::new(task, Change::Complete(Some("tagged v1.4".to_owned()))).of_attempt(1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpdateRequest {
    /// The task.
    pub task: TaskId,
    /// The change.
    pub change: Change,
    /// The revision that the task's record must have, as in HTTP's `If-Match`; `None` for whichever is
    /// present: then the change is decided again if the record changes at the same moment.
    pub expect: Option<Revision>,
    /// The attempt that the change is about; `None` for whichever is present.
    pub attempt: Option<u32>,
    /// The id by which the update is found again; `None` for a random one.
    pub op_id: Option<OpId>,
    /// How much of its total time the task has used up, as its owner has measured it; stored with the change.
    pub spent: Option<Duration>,
}

/// The id of an update that its caller chooses, so that the same request can be submitted again after a lost
/// answer and is carried out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpId {
    /// The id of the write itself. No other request may have the same.
    Write(Uuid),
    /// An idempotency key. The id of the write is derived from it and from all that the request is about, the
    /// revision that it replaces included: a key that is used for another request names another write.
    Key(Uuid),
}

impl UpdateRequest {
    /// A change of a task, whatever its record is at present.
    #[must_use]
    pub fn new(task: TaskId, change: Change) -> Self {
        Self { task, change, expect: None, attempt: None, op_id: None, spent: None }
    }

    /// Only if the task's record is still of this revision; otherwise the update is refused as a
    /// [conflict](crate::Refused::Conflict).
    #[must_use]
    pub fn expecting(self, revision: Revision) -> Self {
        Self { expect: Some(revision), ..self }
    }

    /// Only if the task is in this attempt. `None` for whichever is present.
    #[must_use]
    pub fn of_attempt(self, attempt: impl Into<Option<u32>>) -> Self {
        Self { attempt: attempt.into(), ..self }
    }

    /// With this id of the write: the request can be submitted again, and
    /// [`PlanHistory::find_update`](crate::PlanHistory::find_update) finds out whether it was carried out.
    #[must_use]
    pub fn identified(self, op_id: Uuid) -> Self {
        Self { op_id: Some(OpId::Write(op_id)), ..self }
    }

    /// With an idempotency key: the request can be submitted again.
    #[must_use]
    pub fn idempotent(self, key: Uuid) -> Self {
        Self { op_id: Some(OpId::Key(key)), ..self }
    }

    /// With what the owner has measured of the task's total time, if it has.
    #[must_use]
    pub fn measured(self, spent: Option<Duration>) -> Self {
        Self { spent, ..self }
    }

    /// The id of the write that replaces the record of this revision, if the caller has chosen it.
    pub(crate) fn op_id_on(&self, plan: &PlanName, base: Revision) -> Option<Uuid> {
        self.op_id.map(|id| match id {
            OpId::Write(op_id) => op_id,
            OpId::Key(key) => {
                let Self { task, change, .. } = self;
                Uuid::new_v5(&key, format!("{plan}/{task}/{base}/{}", change.verb()).as_bytes())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_another_write_for_another_request() {
        let (plan, key) = (PlanName::new("p").unwrap(), Uuid::from_u128(7));
        let revision = |n| Revision::from_wire(n).unwrap();
        let request =
            |task: &str, change| UpdateRequest::new(TaskId::new(task).unwrap(), change).idempotent(key);
        let start = request("1", Change::Start);
        let id = start.op_id_on(&plan, revision(5));
        assert_eq!(id, request("1", Change::Start).op_id_on(&plan, revision(5)), "the same request");
        let other = PlanName::new("q").unwrap();
        for another in [
            start.op_id_on(&plan, revision(6)),
            start.op_id_on(&other, revision(5)),
            request("2", Change::Start).op_id_on(&plan, revision(5)),
            request("1", Change::Complete(None)).op_id_on(&plan, revision(5)),
        ] {
            assert_ne!(id, another);
        }
        let given = start.identified(key);
        assert_eq!(given.op_id_on(&plan, revision(5)), Some(key));
    }
}
