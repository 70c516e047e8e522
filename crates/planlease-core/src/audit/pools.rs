//! Whether no pool was exceeded: no permit taken beyond its size, and no task started without its permits.

use std::collections::BTreeSet;

use super::{Audit, Rule};
use crate::{
    change::RawChangeSet,
    id::{PlanName, TaskId},
    keys::Key,
    pool::Pools,
    record::TaskRecord,
    revision::Revision,
};

impl Audit {
    /// Of each pool of which the set takes a permit, whether it has that many; and whether the permit goes
    /// with its claim.
    pub(super) fn check_pools(&mut self, set: &RawChangeSet) {
        let mut taken = BTreeSet::new();
        for change in &set.changes {
            let (Key::Permit(pool, number, lease), Some(entry)) = (&change.key, &change.entry) else {
                continue;
            };
            self.check(set.revision, Rule::Leased, None, entry.lease == Some(*lease), || {
                format!("permit {number} of pool {pool} does not live on lease {lease}: it would outlive its claim")
            });
            if entry.version == 1 {
                taken.insert(pool.clone());
            }
        }
        for pool in taken {
            let Some(view) = self.pools.0.get(&pool) else { continue };
            let (used, size) = (view.used(), view.size());
            let keys = u32::try_from(self.permit_keys(&pool)).unwrap_or(u32::MAX).max(used);
            self.check(set.revision, Rule::Pools, None, keys <= size, || {
                format!("{keys} permits of pool {pool} are taken, of {size}")
            });
        }
    }

    /// Counted by key: two leases can have one number only if a start did not compare it.
    fn permit_keys(&self, pool: &crate::PoolName) -> usize {
        self.permits.iter().filter(|(of, ..)| of == pool).count()
    }

    /// Whether a task that was just started has the permits that it needs.
    pub(super) fn check_permits(
        &mut self,
        revision: Revision,
        plan: &PlanName,
        task: &TaskId,
        started: &TaskRecord,
    ) {
        let uses = self.plans.get(plan).and_then(|state| state.uses.get(task)).cloned().unwrap_or_default();
        if uses.is_empty() {
            return;
        }
        let missing = self.missing(&uses, started);
        self.check(revision, Rule::Pools, Some(plan), missing.is_none(), || {
            format!("task {task} was started without {}", missing.unwrap_or_default())
        });
    }

    /// What of the permits is missing.
    fn missing(&self, uses: &Pools, started: &TaskRecord) -> Option<String> {
        let permits = started.claim.as_ref().and_then(|claim| claim.permits.as_deref());
        uses.iter().find_map(|(pool, needs)| {
            let numbers =
                permits.and_then(|permits| permits.taken.get(pool).map(|taken| (permits.lease, taken)));
            let there = numbers.map_or(0, |(lease, taken)| {
                let has = |number: &&u32| self.permits.contains(&(pool.clone(), **number, lease));
                taken.iter().filter(has).count()
            });
            (there < usize::try_from(needs).unwrap_or(usize::MAX))
                .then(|| format!("its permits of pool {pool}: it has {there} of {needs}"))
        })
    }
}
