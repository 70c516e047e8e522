//! A list taken over into a store. Pure; in steps, since a list can be long.

use std::collections::BTreeMap;

use planlease::RawSnapshot;
use planlease_core::{
    PlanName, Revision,
    change::Entry,
    codec,
    keys::{Key, PlanKey},
};

use crate::{line::PastTerms, snapshot::Snapshot, store::Store};

/// A list being taken over, entry by entry, so that whoever does it can let others go on in between.
#[derive(Debug)]
pub(crate) struct Loading {
    loaded: Loaded,
    /// Definitions wait for their further parts, which come after them.
    heads: BTreeMap<PlanName, Entry>,
}

/// A list taken over.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) store: Store,
    pub(crate) past: BTreeMap<PlanName, PastTerms>,
}

impl Loading {
    /// A list of this revision.
    pub(crate) fn new(revision: Revision) -> Self {
        let store = Store { snapshot: Snapshot::empty(revision), hidden: BTreeMap::new() };
        Self { loaded: Loaded { store, past: BTreeMap::new() }, heads: BTreeMap::new() }
    }

    pub(crate) fn all_of(list: &RawSnapshot) -> Self {
        let mut loading = Self::new(list.revision);
        list.entries.iter().for_each(|(key, entry)| loading.add(key, entry));
        loading
    }

    pub(crate) fn add(&mut self, key: &Key, entry: &Entry) {
        let Loaded { store, past } = &mut self.loaded;
        let mut unheard = Vec::new(); // What a list says is told by comparing it with what was held.
        match key {
            Key::Store | Key::Worktree(..) => {}
            Key::Orchestrator(id) => store.put_orchestrator(id, Some(entry), &mut unheard),
            Key::Plan(plan, PlanKey::Spec) => {
                self.heads.insert(plan.clone(), entry.clone());
            }
            Key::Plan(plan, PlanKey::PastTerm(number)) => {
                if let Ok(term) = codec::decode(&entry.value) {
                    past.entry(plan.clone()).or_default().insert(*number, term);
                }
            }
            Key::Plan(plan, of) => {
                let read = store.hidden.entry(plan.clone()).or_default().put(of, Some(entry));
                store.note(key, read, &mut unheard);
            }
        }
    }

    pub(crate) fn finish(self) -> Loaded {
        let mut loaded = self.loaded;
        for (plan, head) in &self.heads {
            loaded.store.put_plan(plan, &[(&PlanKey::Spec, Some(head))], &mut Vec::new());
        }
        loaded.store.hidden.retain(|_, parts| !parts.is_empty());
        loaded
    }
}
