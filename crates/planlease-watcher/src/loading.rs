//! A list taken over into a store. Pure; in steps, since a list can be long.

use std::collections::BTreeMap;

use planlease::RawSnapshot;
use planlease_core::{
    PlanName, Revision,
    change::Entry,
    codec,
    keys::{Key, PlanKey},
    view::Parts,
};

use crate::{
    change::ChangeSet,
    snapshot::Snapshot,
    store::{Loaded, Store},
};

/// A list being taken over, entry by entry, so that its task can yield to others in between.
#[derive(Debug)]
pub(crate) struct Loading {
    loaded: Loaded,
    present: Option<Gathered>,
}

/// The plan whose keys are being read. Those of a plan follow one another, and are taken over together: its
/// definition waits for its further parts, which come after it.
#[derive(Debug)]
struct Gathered {
    plan: PlanName,
    head: Option<Entry>,
    parts: Parts,
}

impl Loading {
    /// A list of this revision.
    pub(crate) fn new(revision: Revision) -> Self {
        let store = Store { snapshot: Snapshot::empty(revision), hidden: BTreeMap::new() };
        Self { loaded: Loaded { store, past: BTreeMap::new() }, present: None }
    }

    pub(crate) fn all_of(list: &RawSnapshot) -> Self {
        let mut loading = Self::new(list.revision);
        list.entries.iter().for_each(|(key, entry)| loading.add(key, entry));
        loading
    }

    /// Takes over one entry. They come in the order of their keys.
    pub(crate) fn add(&mut self, key: &Key, entry: &Entry) {
        let mut unheard = Vec::new(); // Changes come from comparing the list with what was held.
        match key {
            Key::Store
            | Key::Logs(_)
            | Key::Worktree(..)
            | Key::Steering(_)
            | Key::Hook(_)
            | Key::HookRunner(_)
            | Key::Lock(..)
            | Key::Pool(_)
            | Key::Permit(..)
            | Key::Unknown(_)
            | Key::Plan(_, PlanKey::Excerpts | PlanKey::Excerpt(_)) => {
                self.loaded.store.check(key, Some(entry), &mut unheard);
            }
            Key::Orchestrator(id) => self.loaded.store.put_orchestrator(id, Some(entry), &mut unheard),
            Key::Plan(plan, of) => {
                let gathered = self.gathered(plan);
                match of {
                    PlanKey::Spec => gathered.head = Some(entry.clone()),
                    // Read once, with the whole definition: see `complete`.
                    PlanKey::SpecPart(n) => gathered.parts.put_spec_part(*n, Some(entry)),
                    of => {
                        let read = gathered.parts.put(plan, of, Some(entry));
                        self.loaded.store.note(key, read, &mut unheard);
                        if let PlanKey::PastTerm(number) = of
                            && let Ok(term) = codec::decode(&entry.value)
                        {
                            self.loaded.past.entry(plan.clone()).or_default().insert(*number, term);
                        }
                    }
                }
            }
        }
    }

    /// What was gathered of this plan; the one before it is complete.
    fn gathered(&mut self, plan: &PlanName) -> &mut Gathered {
        if self.present.as_ref().is_some_and(|present| present.plan != *plan) {
            self.complete();
        }
        self.present.get_or_insert_with(|| Gathered {
            plan: plan.clone(),
            head: None,
            parts: Parts::default(),
        })
    }

    fn complete(&mut self) {
        let Some(Gathered { plan, head, parts }) = self.present.take() else { return };
        let store = &mut self.loaded.store;
        if !parts.is_empty() {
            store.hidden.insert(plan.clone(), parts);
        }
        if let Some(head) = head {
            store.put_plan(&plan, &[(&PlanKey::Spec, Some(&head))], &mut Vec::new());
        }
        // Without a readable definition, the plan's parts are hidden: report which part of the definition is
        // at fault.
        let unreadable = store.hidden.get_mut(&plan).map(|parts| parts.unreadable_spec_parts(&plan));
        for (key, error) in unreadable.into_iter().flatten() {
            store.note(&key, Err(error), &mut Vec::new());
        }
    }

    pub(crate) fn finish(mut self) -> Loaded {
        self.complete();
        self.loaded
    }
}

impl Store {
    /// The store as a list shows it.
    #[must_use]
    pub fn load(list: &RawSnapshot) -> Self {
        Loading::all_of(list).finish().store
    }

    /// Replaces what is held by a new list and says what differs.
    pub fn resync(&mut self, list: &RawSnapshot) -> ChangeSet {
        self.replace(Loading::all_of(list).finish())
    }
}
