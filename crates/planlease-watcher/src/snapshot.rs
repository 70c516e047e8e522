//! The whole store at one revision, and how a subscriber keeps one of its own up to date.

use std::sync::Arc;

use planlease::Registered;
use planlease_core::{
    OrchestratorId, PlanName, Revision,
    keys::Key,
    unreadable::Unreadable,
    view::{Parts, PlanView},
};
use rpds::RedBlackTreeMapSync;

use crate::change::{Change, ChangeSet};

/// All plans and orchestrators as they were at one revision. Cheap to clone and to keep: clones share what
/// they have in common, and one change copies a few nodes of a tree, not the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) plans: RedBlackTreeMapSync<PlanName, Arc<PlanView>>,
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
    pub fn plans(&self) -> impl Iterator<Item = &Arc<PlanView>> {
        self.plans.values()
    }

    /// One plan; `None` if it is not there.
    #[must_use]
    pub fn plan(&self, name: &PlanName) -> Option<&Arc<PlanView>> {
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
                if let Some(state) = self.plans.get_mut(after.name()) {
                    *state = Arc::new(PlanView::clone(state).with_definition(after.definition().clone()));
                }
            }
            Change::Task { plan, task, .. } => {
                self.edit(plan, |parts| parts.tasks.insert(task.clone()));
            }
            Change::TaskGone { plan, before } => self.edit(plan, |parts| {
                parts.tasks.remove(&before.id);
            }),
            Change::Findings { plan, task, revision } => self.edit(plan, |parts| match revision {
                Some(revision) => parts.findings.insert_mut(task.clone(), *revision),
                None => {
                    parts.findings.remove_mut(task);
                }
            }),
            Change::Halted { plan, halts } => self.edit(plan, |parts| parts.halts = halts.clone()),
            Change::Ownership { plan, queue, .. } => self.edit(plan, |parts| parts.queue = queue.clone()),
            Change::OrchestratorAppeared(one) | Change::OrchestratorChanged(one) => {
                self.orchestrators.insert_mut(one.id.clone(), one.clone());
            }
            Change::OrchestratorGone(one) => {
                self.orchestrators.remove_mut(&one.id);
            }
            Change::Unreadable { key, reason } => {
                match reason {
                    Some(reason) => self.unreadable.insert_mut(key.clone(), reason.clone()),
                    None => {
                        self.unreadable.remove_mut(key);
                    }
                }
                if let Key::Plan(plan, of) = key {
                    self.edit(plan, |parts| parts.set_unreadable(of, reason.clone()));
                }
            }
        }
    }

    fn edit(&mut self, plan: &PlanName, edit: impl FnOnce(&mut Parts)) {
        if let Some(view) = self.plans.get_mut(plan) {
            Arc::make_mut(view).change(self.revision, edit);
        }
    }
}
