//! Whether the excerpts of a plan's definition say what the definition says, once they count.

use std::collections::BTreeMap;

use crate::{
    change::Entry,
    codec,
    excerpt::{ExcerptsRecord, find_in_excerpt},
    keys::{PlanKey, written_id},
    order,
    revision::Revision,
    spec::PlanSpec,
};

/// The excerpts of one plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Excerpts {
    record: Option<ExcerptsRecord>,
    /// In the order of their keys.
    excerpts: BTreeMap<String, Vec<u8>>,
}

impl Excerpts {
    /// Takes over what a key holds now. What cannot be read counts as absent, as it does for readers.
    pub(super) fn enter(&mut self, key: &PlanKey, entry: Option<&Entry>) {
        match (key, entry) {
            (PlanKey::Excerpts, entry) => {
                self.record = entry.and_then(|entry| codec::decode(&entry.value).ok());
            }
            (PlanKey::Excerpt(name), Some(entry)) => {
                self.excerpts.insert(written_id(name).into_owned(), entry.value.clone());
            }
            (PlanKey::Excerpt(name), None) => drop(self.excerpts.remove(written_id(name).as_ref())),
            _ => {}
        }
    }

    /// Whether they say what the definition of this revision says; else, what differs. `None` if they are of
    /// another one, or not complete. A task that none of them has is looked for in the definition.
    pub(super) fn compare(&self, spec: &PlanSpec, defined: Revision) -> Option<Result<(), String>> {
        let record = self.record.as_ref().filter(|record| record.of == Some(defined))?;
        if record.policy != spec.policy {
            return Some(Err("the excerpts have another policy than the definition".to_owned()));
        }
        let (waits, _) = order::waits(spec);
        for (task, waits) in spec.tasks.iter().zip(waits) {
            let first = self.excerpts.range(written_id(&task.id).into_owned()..).next();
            let found = first.and_then(|(_, excerpt)| find_in_excerpt(excerpt, &task.id).ok().flatten());
            if found.is_some_and(|found| found.task != *task || found.all_waits() != waits) {
                return Some(Err(format!("the excerpt of task {} is not what its definition says", task.id)));
            }
        }
        Some(Ok(()))
    }
}
