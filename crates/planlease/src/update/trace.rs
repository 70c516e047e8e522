//! Looking in the history whether an update was carried out, and written over since.

use planlease_core::{PlanName, Revision, TaskId, change::Entry, view::TaskView};
use uuid::Uuid;

use crate::{coordinator::Coordinator, error::Error};

impl Coordinator {
    /// The record that the update with this id has written, if it was carried out on a record of revision
    /// `seen`: for a caller that repeats a request whose answer got lost. One read, and one more for each
    /// record written since. `None` proves that it was not carried out *yet*.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the plan was deleted and created again meanwhile, [`Error::Compacted`],
    /// and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn find_update(
        &self,
        plan: &PlanName,
        task: &TaskId,
        seen: Revision,
        op_id: Uuid,
    ) -> Result<Option<TaskView>, Error> {
        let Some(present) = self.task_entry(plan, task).await? else { return Ok(None) };
        let view = TaskView::read(plan, task.clone(), &present)?;
        if view.record.op_id == op_id {
            return Ok(Some(view));
        }
        if present.modified <= seen {
            return Ok(None);
        }
        let seen = TaskView { revision: seen, ..view };
        self.trace(plan, &seen, op_id, &present).await
    }

    /// The record that this one was written over; `None` if it is the first one. One read.
    ///
    /// # Errors
    /// [`Error::Compacted`] if the history does not reach back so far, and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn record_before(&self, plan: &PlanName, view: &TaskView) -> Result<Option<TaskView>, Error> {
        let Some(before) = Revision::from_wire(view.revision.to_wire() - 1) else { return Ok(None) };
        let entry = self.task_entry_at(plan, &view.id, before).await?;
        Ok(entry.map(|entry| TaskView::read(plan, view.id.clone(), &entry)).transpose()?)
    }

    /// Walks back from the present record to the one that was seen.
    pub(crate) async fn trace(
        &self,
        plan: &PlanName,
        seen: &TaskView,
        op_id: Uuid,
        present: &Entry,
    ) -> Result<Option<TaskView>, Error> {
        let mut at = present.modified;
        while let Some(before) =
            Revision::from_wire(at.to_wire() - 1).filter(|before| *before > seen.revision)
        {
            let Some(entry) = self.task_entry_at(plan, &seen.id, before).await? else {
                // The record that is there now is another plan's. What happened before the gap cannot be
                // reached from it.
                return Err(Error::outcome_unknown("the plan was deleted meanwhile, and created again"));
            };
            let view = TaskView::read(plan, seen.id.clone(), &entry)?;
            if view.record.op_id == op_id {
                return Ok(Some(view));
            }
            if view.revision <= seen.revision {
                break;
            }
            at = view.revision;
        }
        Ok(None)
    }
}
