//! The records that this sidecar answered with last: an update that names the revision of one of them needs
//! no read. A record at a revision never changes, and etcd compares the revision, so none of them can be too
//! old.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use planlease::TaskView;
use planlease_core::{PlanName, Revision, TaskId};

/// How many there are at most; some 1 KiB each. A task takes the place of another one with the same number.
const PLACES: usize = 1_024;

/// The last records, each at the place that its name gives it.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Vec<Option<Place>>>);

#[derive(Debug)]
struct Place {
    plan: PlanName,
    task: Arc<TaskView>,
}

impl Recent {
    /// Remembers a record, unless a later one is known.
    pub(crate) fn remember(&self, plan: &PlanName, task: &TaskView) {
        let mut places = self.places();
        if places.is_empty() {
            places.resize_with(PLACES, || None);
        }
        let place = &mut places[number(plan, &task.id)];
        let is_later = |known: &Place| {
            known.plan == *plan && known.task.id == task.id && known.task.revision >= task.revision
        };
        if !place.as_ref().is_some_and(is_later) {
            *place = Some(Place { plan: plan.clone(), task: Arc::new(task.clone()) });
        }
    }

    /// The record of a task at this very revision.
    pub(crate) fn at(&self, plan: &PlanName, task: &TaskId, revision: Revision) -> Option<Arc<TaskView>> {
        let places = self.places();
        let place = places.get(number(plan, task))?.as_ref()?;
        let is_it = place.plan == *plan && place.task.id == *task && place.task.revision == revision;
        is_it.then(|| Arc::clone(&place.task))
    }

    fn places(&self) -> MutexGuard<'_, Vec<Option<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(plan: &PlanName, task: &TaskId) -> usize {
    let mut hasher = DefaultHasher::new();
    (plan, task).hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use planlease_core::record::{Guard, Role, TaskRecord, Writer};
    use uuid::Uuid;

    use super::*;

    fn view(task: &str, revision: i64) -> TaskView {
        let writer = Writer { who: "me".into(), role: Role::Operator, term: None, guard: Guard::Unowned };
        let record = TaskRecord::new(writer, Uuid::nil());
        TaskView { id: TaskId::new(task).unwrap(), revision: Revision::from_wire(revision).unwrap(), record }
    }

    #[test]
    fn a_record_is_found_at_its_own_revision_alone() {
        let (recent, plan) = (Recent::default(), PlanName::new("p").unwrap());
        let at = |plan: &PlanName, task: &str, revision| {
            let revision = Revision::from_wire(revision).unwrap();
            recent.at(plan, &TaskId::new(task).unwrap(), revision).map(|found| found.revision.to_wire())
        };
        assert_eq!(at(&plan, "1", 5), None);
        recent.remember(&plan, &view("1", 5));
        recent.remember(&plan, &view("1", 4));
        assert_eq!((at(&plan, "1", 5), at(&plan, "1", 4), at(&plan, "1", 6)), (Some(5), None, None));
        assert_eq!((at(&plan, "2", 5), at(&PlanName::new("q").unwrap(), "1", 5)), (None, None));
        (0..5_000).for_each(|n| recent.remember(&plan, &view(&n.to_string(), 9)));
        assert_eq!(recent.places().len(), PLACES);
    }
}
