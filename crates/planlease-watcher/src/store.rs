//! The map kept from the stream of changes: raw keys in, typed changes out. Pure: no I/O, no clock, no task.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use planlease::Registered;
use planlease_core::{
    OrchestratorId, PlanName,
    change::{Entry, RawChangeSet},
    codec::{self, CodecError},
    keys::{Key, PlanKey},
    unreadable,
    view::{Parts, PlanView},
};

use crate::{
    change::{Change, ChangeSet},
    compare::{PlanKeyChange, Touched, compare},
    line::PastTerms,
    snapshot::Snapshot,
};

/// What is known of a namespace.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) snapshot: Snapshot,
    /// What belongs to plans that are not there: half an import, the last term of a deleted plan.
    pub(crate) hidden: BTreeMap<PlanName, Parts>,
}

/// What is said about an orchestrator that is registered like this; nothing if it was before.
fn registered(before: Option<&Arc<Registered>>, one: &Arc<Registered>) -> Option<Change> {
    match before {
        Some(before) if before == one => None,
        Some(before) if before.revision == one.revision => Some(Change::OrchestratorChanged(one.clone())),
        // A name is of one process; the same name with another registration is another process.
        _ => Some(Change::OrchestratorAppeared(one.clone())),
    }
}

impl Store {
    /// What is held.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Takes over the changes of one revision and says what they mean. `None` if they mean nothing to a
    /// subscriber (half an import), or were taken over before: some versions of etcd tell things twice.
    pub fn apply(&mut self, set: &RawChangeSet) -> Option<ChangeSet> {
        if set.revision <= self.snapshot.revision {
            return None;
        }
        self.snapshot.revision = set.revision;
        let mut changes = Vec::new();
        let mut plans: BTreeMap<&PlanName, Vec<PlanKeyChange<'_>>> = BTreeMap::new();
        for change in &set.changes {
            let entry = change.entry.as_ref();
            match &change.key {
                // Not kept, but reported if they cannot be read.
                key @ (Key::Store
                | Key::Logs(_)
                | Key::Worktree(..)
                | Key::Steering(_)
                | Key::Hook(_)
                | Key::HookRunner(_)
                | Key::Lock(..)
                | Key::Pool(_)
                | Key::Permit(..)
                | Key::Unknown(_)) => {
                    self.check(key, entry, &mut changes);
                }
                Key::Orchestrator(id) => self.put_orchestrator(id, entry, &mut changes),
                Key::Plan(plan, key) => plans.entry(plan).or_default().push((key, entry)),
            }
        }
        for (plan, keys) in plans {
            let before = self.snapshot.plan(plan).cloned();
            self.put_plan(plan, &keys, &mut changes);
            let after = self.snapshot.plan(plan);
            compare(before.as_ref(), after, Touched::of(&keys), &PastTerms::new(), &mut changes);
        }
        (!changes.is_empty()).then_some(ChangeSet { revision: set.revision, resynced: false, changes })
    }

    /// Replaces what is held by what was loaded and says what differs.
    pub(crate) fn replace(&mut self, loaded: Loaded) -> ChangeSet {
        let Loaded { store, past } = loaded;
        let previous = std::mem::replace(self, store).snapshot;
        let next = &self.snapshot;
        let mut changes = Vec::new();
        for (id, one) in &previous.orchestrators {
            // A name is of one process; the same name with another registration is another process.
            if next.orchestrator(id).is_none_or(|other| other.revision != one.revision) {
                changes.push(Change::OrchestratorGone(one.clone()));
            }
        }
        changes
            .extend(next.orchestrators().filter_map(|one| registered(previous.orchestrator(&one.id), one)));
        for (key, _) in previous.unreadable.iter().filter(|(key, _)| !next.unreadable.contains_key(key)) {
            changes.push(Change::Unreadable { key: key.clone(), reason: None });
        }
        for (key, reason) in
            next.unreadable.iter().filter(|(key, why)| previous.unreadable.get(key) != Some(why))
        {
            changes.push(Change::Unreadable { key: key.clone(), reason: Some(reason.clone()) });
        }
        let none = PastTerms::new();
        let names: BTreeSet<_> = previous.plans.keys().chain(next.plans.keys()).collect();
        for name in names {
            let (before, after) = (previous.plan(name), next.plan(name));
            let touched = Touched::between(before, after);
            compare(before, after, touched, past.get(name).unwrap_or(&none), &mut changes);
        }
        ChangeSet { revision: next.revision, resynced: true, changes }
    }

    pub(crate) fn put_orchestrator(
        &mut self,
        id: &OrchestratorId,
        entry: Option<&Entry>,
        changes: &mut Vec<Change>,
    ) {
        let orchestrators = &mut self.snapshot.orchestrators;
        let before = orchestrators.get(id).cloned();
        orchestrators.remove_mut(id);
        let read = entry.map(|entry| codec::decode(&entry.value).map(|record| (record, entry.created)));
        let (now, read) = split(read.transpose());
        match now {
            Some((record, revision)) => {
                let one = Arc::new(Registered { id: id.clone(), record, revision });
                changes.extend(registered(before.as_ref(), &one));
                orchestrators.insert_mut(id.clone(), one);
            }
            None => changes.extend(before.map(Change::OrchestratorGone)),
        }
        self.note(&Key::Orchestrator(id.clone()), read, changes);
    }

    /// Takes over keys of one plan. The definition goes last: the same transaction may have written parts of
    /// it.
    pub(crate) fn put_plan(
        &mut self,
        plan: &PlanName,
        keys: &[PlanKeyChange<'_>],
        changes: &mut Vec<Change>,
    ) {
        let (mut definition, mut parts) = match self.snapshot.plan(plan) {
            Some(view) => (Some(view.definition().clone()), view.parts().clone()),
            None => (None, self.hidden.remove(plan).unwrap_or_default()),
        };
        let (heads, others): (Vec<_>, Vec<_>) =
            keys.iter().partition(|(key, _)| matches!(key, PlanKey::Spec));
        for (key, entry) in others {
            let read = parts.put(plan, key, entry);
            self.note(&Key::Plan(plan.clone(), (*key).clone()), read, changes);
        }
        for (key, entry) in heads {
            let (now, read) = split(entry.map(|entry| parts.define(entry)).transpose());
            definition = now;
            self.note(&Key::Plan(plan.clone(), (*key).clone()), read, changes);
        }
        match definition {
            Some(definition) => {
                let view = PlanView::new(plan.clone(), self.snapshot.revision, definition, parts);
                self.snapshot.plans.insert_mut(plan.clone(), Arc::new(view));
            }
            None => {
                self.snapshot.plans.remove_mut(plan);
                if !parts.is_empty() {
                    self.hidden.insert(plan.clone(), parts);
                }
            }
        }
    }

    /// Looks whether a value of which nothing is kept can be read.
    pub(crate) fn check(&mut self, key: &Key, entry: Option<&Entry>, changes: &mut Vec<Change>) {
        self.note(key, entry.map_or(Ok(()), |entry| unreadable::check(key, &entry.value)), changes);
    }

    /// Keeps account of what cannot be read.
    pub(crate) fn note(&mut self, key: &Key, read: Result<(), CodecError>, changes: &mut Vec<Change>) {
        match read {
            Err(error) => {
                let reason = error.to_string();
                tracing::warn!(?key, %reason, "a stored value is left out");
                self.snapshot.unreadable.insert_mut(key.clone(), reason.clone());
                changes.push(Change::Unreadable { key: key.clone(), reason: Some(reason) });
            }
            Ok(()) if self.snapshot.unreadable.remove_mut(key) => {
                changes.push(Change::Unreadable { key: key.clone(), reason: None });
            }
            Ok(()) => {}
        }
    }
}

/// A list taken over.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) store: Store,
    pub(crate) past: BTreeMap<PlanName, PastTerms>,
}

/// What was read, if anything was, and whether it could be.
pub(crate) fn split<T>(read: Result<Option<T>, CodecError>) -> (Option<T>, Result<(), CodecError>) {
    match read {
        Ok(now) => (now, Ok(())),
        Err(error) => (None, Err(error)),
    }
}
