//! A pool is never exceeded: no more work that uses it is under way at once, over all plans and hosts, than
//! it has permits. What etcd says of that (permits by key) is the audit's rule `pools`; here the work itself
//! is counted, which may go on for a while after its ownership is over.
//!
//! An operator that revokes a lease is warned that this stops nothing: work under such a lease is left out.

use std::collections::BTreeSet;

use planlease::core::{
    FencingToken, PlanName, codec,
    keys::{Key, PlanKey},
    pool::PoolRecord,
    record::TermRecord,
};

use super::Evidence;
use crate::{
    hosts::operator::{definition, pool},
    world::{Shift, lock},
};

/// Where more work was under way than the pool allows.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let world = evidence.world;
    let plans = (0..world.options.plans).map(|number| definition(world, number));
    let using: BTreeSet<PlanName> =
        plans.filter(|(_, spec)| !spec.policy.pools.is_empty()).map(|(name, _)| name).collect();
    let (most, revoked) = (largest(evidence), under_revoked_leases(evidence));
    let shifts = lock(&world.office.shifts);
    let counts =
        |shift: &&Shift| using.contains(&shift.plan) && !revoked.contains(&(shift.plan.clone(), shift.token));
    let shifts: Vec<&Shift> = shifts.iter().filter(counts).collect();
    let mut violations = Vec::new();
    for shift in &shifts {
        // Within one tick, hosts run one after the other. Work that was killed with its host has no end here.
        let at = shift.began + world.options.tick;
        let under_way =
            |other: &&&Shift| other.began <= shift.began && other.ended.is_some_and(|ended| ended > at);
        let under_way: Vec<&&Shift> = shifts.iter().filter(under_way).collect();
        if under_way.len() > most {
            violations.push(format!(
                "at {at:?} more work was under way than pool {} allows: {under_way:?}",
                pool()
            ));
        }
    }
    violations
}

/// The largest size that the pool ever had.
fn largest(evidence: &Evidence<'_>) -> usize {
    let mut most = 0;
    for set in evidence.world.history.sets() {
        for change in &set.changes {
            if let (Key::Pool(_), Some(entry)) = (&change.key, &change.entry)
                && let Ok(record) = codec::decode::<PoolRecord>(&entry.value)
            {
                most = most.max(usize::try_from(record.size).unwrap_or(usize::MAX));
            }
        }
    }
    most
}

/// The ownerships whose leases were revoked from outside.
fn under_revoked_leases(evidence: &Evidence<'_>) -> BTreeSet<(PlanName, FencingToken)> {
    let revoked = lock(&evidence.world.revoked);
    let mut terms = BTreeSet::new();
    for set in evidence.world.history.sets() {
        for change in &set.changes {
            if let (Key::Plan(plan, PlanKey::Term), Some(entry)) = (&change.key, &change.entry)
                && let Ok(term) = codec::decode::<TermRecord>(&entry.value)
                && revoked.contains(&term.lease.to_wire())
            {
                terms.insert((plan.clone(), term.token()));
            }
        }
    }
    terms
}
