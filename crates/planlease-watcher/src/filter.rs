//! Which changes a subscriber wants.

use std::{collections::BTreeSet, sync::Arc};

use planlease_core::PlanName;
use rpds::RedBlackTreeMapSync;

use crate::{
    change::{Change, ChangeSet},
    snapshot::Snapshot,
};

/// Which changes a subscriber receives. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these plans, whether they are there yet or not; `None` for all.
    pub plans: Option<BTreeSet<PlanName>>,
    /// Only plans: nothing about the sessions of orchestrators.
    pub plans_only: bool,
}

impl Filter {
    /// One plan, and nothing else.
    #[must_use]
    pub fn plan(plan: PlanName) -> Self {
        Self { plans: Some(BTreeSet::from([plan])), plans_only: true }
    }

    /// The changes that are wanted; `None` if there are none. A closed gap is reported in any case.
    pub(crate) fn changes(&self, set: &Arc<ChangeSet>) -> Option<Arc<ChangeSet>> {
        if set.changes.iter().all(|change| self.wants(change)) {
            return Some(set.clone());
        }
        let changes: Vec<_> = set.changes.iter().filter(|change| self.wants(change)).cloned().collect();
        let reported = set.resynced || !changes.is_empty();
        reported.then(|| Arc::new(ChangeSet { revision: set.revision, resynced: set.resynced, changes }))
    }

    /// The part of a snapshot that is wanted.
    pub(crate) fn snapshot(&self, mut snapshot: Snapshot) -> Snapshot {
        if let Some(plans) = &self.plans {
            let wanted = plans.iter().filter_map(|name| Some((name.clone(), snapshot.plan(name)?.clone())));
            snapshot.plans = wanted.collect();
        }
        if self.plans_only {
            snapshot.orchestrators = RedBlackTreeMapSync::default();
        }
        let unreadable = snapshot
            .unreadable
            .iter()
            .filter(|(key, _)| self.wants(&Change::Unreadable { key: (*key).clone(), reason: None }));
        snapshot.unreadable = unreadable.map(|(key, reason)| (key.clone(), reason.clone())).collect();
        snapshot
    }

    fn wants(&self, change: &Change) -> bool {
        match change.plan() {
            Some(plan) => self.plans.as_ref().is_none_or(|plans| plans.contains(plan)),
            None => !self.plans_only,
        }
    }
}
