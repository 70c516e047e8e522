//! What was of one plan: its past terms, and earlier records of its tasks, found in etcd's history.

use planlease_core::{
    PlanName, Revision, TaskId, TermNumber,
    change::Entry,
    keys::{Key, PlanKey},
    record::TermRecord,
    unreadable,
    view::TaskView,
};
use uuid::Uuid;

use crate::{coordinator::Coordinator, error::Error, list::List};

/// The past of one plan. Made by [`Coordinator::history`].
#[derive(Clone, Copy, Debug)]
pub struct PlanHistory<'a> {
    coordinator: &'a Coordinator,
    plan: &'a PlanName,
}

impl Coordinator {
    /// The past of a plan: its terms, and earlier records of its tasks.
    #[must_use]
    pub fn history<'a>(&'a self, plan: &'a PlanName) -> PlanHistory<'a> {
        PlanHistory { coordinator: self, plan }
    }
}

impl PlanHistory<'_> {
    /// A past term of the plan, if it is kept.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn term(self, number: TermNumber) -> Result<Option<TermRecord>, Error> {
        self.coordinator.record(&Key::Plan(self.plan.clone(), PlanKey::PastTerm(number))).await
    }

    /// The past terms of the plan that are kept, the oldest first. The present one is in
    /// [`Coordinator::queue`].
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn terms(self) -> Result<List<TermRecord>, Error> {
        let snapshot =
            self.coordinator.raw().snapshot(&self.coordinator.layout().past_terms(self.plan)).await?;
        Ok(snapshot.entries.iter().map(|(key, entry)| unreadable::read(key, &entry.value)).collect())
    }

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
        self,
        task: &TaskId,
        seen: Revision,
        op_id: Uuid,
    ) -> Result<Option<TaskView>, Error> {
        let Some(present) = self.coordinator.task_entry(self.plan, task).await? else { return Ok(None) };
        let view = TaskView::read(self.plan, task.clone(), &present)?;
        if view.record.op_id == op_id {
            return Ok(Some(view));
        }
        if present.modified <= seen {
            return Ok(None);
        }
        let seen = TaskView { revision: seen, ..view };
        self.trace(&seen, op_id, &present).await
    }

    /// The record that this one was written over; `None` if it is the first one. One read.
    ///
    /// # Errors
    /// [`Error::Compacted`] if the history does not reach back so far, and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn record_before(self, view: &TaskView) -> Result<Option<TaskView>, Error> {
        let Some(before) = Revision::from_wire(view.revision.to_wire() - 1) else { return Ok(None) };
        let entry = self.coordinator.task_entry_at(self.plan, &view.id, before).await?;
        Ok(entry.map(|entry| TaskView::read(self.plan, view.id.clone(), &entry)).transpose()?)
    }

    /// Walks back from the present record to the one that was seen.
    pub(crate) async fn trace(
        self,
        seen: &TaskView,
        op_id: Uuid,
        present: &Entry,
    ) -> Result<Option<TaskView>, Error> {
        self.written_before(seen, op_id, present.modified).await
    }

    /// The same from the revision of the present record.
    pub(crate) async fn written_before(
        self,
        seen: &TaskView,
        op_id: Uuid,
        present: Revision,
    ) -> Result<Option<TaskView>, Error> {
        let mut at = present;
        while let Some(before) =
            Revision::from_wire(at.to_wire() - 1).filter(|before| *before > seen.revision)
        {
            let Some(entry) = self.coordinator.task_entry_at(self.plan, &seen.id, before).await? else {
                // The record that is there now is another plan's. What happened before the gap cannot be
                // reached from it.
                return Err(Error::outcome_unknown("the plan was deleted meanwhile, and created again"));
            };
            let view = TaskView::read(self.plan, seen.id.clone(), &entry)?;
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
