//! The whole store at one revision, and how a subscriber keeps one of its own up to date.

use std::sync::Arc;

use planlease::Registered;
use planlease_core::{OrchestratorId, PlanName, Revision, keys::Key, unreadable::Unreadable};
use rpds::RedBlackTreeMapSync;

use crate::{
    change::{Change, ChangeSet},
    plan::PlanState,
};

/// All plans and orchestrators as they were at one revision. Cheap to clone and to keep: clones share what
/// they have in common, and one change copies a few nodes of a tree, not the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) plans: RedBlackTreeMapSync<PlanName, Arc<PlanState>>,
    pub(crate) orchestrators: RedBlackTreeMapSync<OrchestratorId, Arc<Registered>>,
    pub(crate) unreadable: RedBlackTreeMapSync<Key, String>,
}

impl Snapshot {
    pub(crate) fn empty(revision: Revision) -> Self {
        Self {
            revision,
            plans: RedBlackTreeMapSync::default(),
            orchestrators: RedBlackTreeMapSync::default(),
            unreadable: RedBlackTreeMapSync::default(),
        }
    }

    /// The revision: everything up to it is in here, and nothing after it.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All plans, by name.
    pub fn plans(&self) -> impl Iterator<Item = &Arc<PlanState>> {
        self.plans.values()
    }

    /// One plan; `None` if it is not there.
    #[must_use]
    pub fn plan(&self, name: &PlanName) -> Option<&Arc<PlanState>> {
        self.plans.get(name)
    }

    /// Everybody whose session is alive, by name.
    pub fn orchestrators(&self) -> impl Iterator<Item = &Arc<Registered>> {
        self.orchestrators.values()
    }

    /// One orchestrator; `None` if its session is not alive.
    #[must_use]
    pub fn orchestrator(&self, id: &OrchestratorId) -> Option<&Arc<Registered>> {
        self.orchestrators.get(id)
    }

    /// Stored values that cannot be read, and why; what they hold is missing here.
    pub fn unreadable(&self) -> impl Iterator<Item = Unreadable> {
        self.unreadable.iter().map(|(key, reason)| Unreadable { key: key.clone(), reason: reason.clone() })
    }

    /// Brings it up to date with the change set that follows. Applied in the order in which a subscription
    /// brings them, the result is the same as the watcher's own.
    pub fn apply(&mut self, set: &ChangeSet) {
        self.revision = self.revision.max(set.revision);
        for change in &set.changes {
            self.apply_one(change);
        }
    }

    fn apply_one(&mut self, change: &Change) {
        match change {
            Change::PlanAppeared(state) => self.plans.insert_mut(state.name().clone(), state.clone()),
            Change::PlanGone { plan } => {
                self.plans.remove_mut(plan);
            }
            Change::Redefined(after) => {
                self.edit(after.name(), |state| state.definition = after.definition.clone());
            }
            Change::Task { plan, task, .. } => {
                self.edit(plan, |state| state.parts.tasks.insert_mut(task.id.clone(), task.clone()));
            }
            Change::TaskGone { plan, before } => self.edit(plan, |state| {
                state.parts.tasks.remove_mut(&before.id);
            }),
            Change::Findings { plan, task, revision } => self.edit(plan, |state| match revision {
                Some(revision) => state.parts.findings.insert_mut(task.clone(), *revision),
                None => {
                    state.parts.findings.remove_mut(task);
                }
            }),
            Change::Halted { plan, halts } => self.edit(plan, |state| state.parts.halts = halts.clone()),
            Change::Ownership { plan, line, .. } => self.edit(plan, |state| state.parts.line = line.clone()),
            Change::OrchestratorAppeared(one) => self.orchestrators.insert_mut(one.id.clone(), one.clone()),
            Change::OrchestratorGone(one) => {
                self.orchestrators.remove_mut(&one.id);
            }
            Change::Unreadable { key, reason } => {
                note(&mut self.unreadable, key, reason.as_ref());
                if let Key::Plan(plan, of) = key {
                    self.edit(plan, |state| note(&mut state.parts.unreadable, of, reason.as_ref()));
                }
            }
        }
    }

    fn edit(&mut self, plan: &PlanName, edit: impl FnOnce(&mut PlanState)) {
        if let Some(state) = self.plans.get_mut(plan) {
            edit(Arc::make_mut(state));
        }
    }
}

/// Remembers why a key cannot be read, or forgets it.
fn note<K: Ord + Clone>(unreadable: &mut RedBlackTreeMapSync<K, String>, key: &K, reason: Option<&String>) {
    match reason {
        Some(reason) => unreadable.insert_mut(key.clone(), reason.clone()),
        None => {
            unreadable.remove_mut(key);
        }
    }
}
