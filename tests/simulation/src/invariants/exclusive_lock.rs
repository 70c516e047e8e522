//! Nobody works under a lock beyond its end: whoever loses a lock has stopped before the server gives up its key, and so before
//! anybody else can have it. As for ownerships, that holds as long as clocks are no worse than the margin allows; and whose
//! lease is revoked, or whose plan is deleted, is told that this proves nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use planlease::core::{
    LeaseId, PlanName,
    keys::{Key, PlanKey},
};

use super::Evidence;
use crate::world::lock;

/// Who worked for too long, or without a lock.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let keys = keys(evidence);
    let mut violations = Vec::new();
    for shift in lock(&evidence.world.desk.shifts).iter() {
        let (plan, who, began, ended) = (&shift.plan, &shift.who, shift.began, shift.ended);
        let Some(gone) = keys.get(&(plan.clone(), shift.token.term.0)) else {
            violations
                .push(format!("{who} worked under a lock of {plan} whose key never was: {}", shift.token));
            continue;
        };
        let Some(Gone { at, violent: false }) = gone else { continue };
        let last = *at + evidence.world.options.tick; // Within one tick, hosts run one after the other.
        if began > last || ended.is_some_and(|ended| ended > last) {
            violations.push(format!(
                "{who} worked under lock {} of {plan} from {began:?} to {ended:?}; it was over at {at:?}",
                shift.token,
            ));
        }
    }
    violations
}

/// How a key came to its end.
#[derive(Clone, Copy, Debug)]
struct Gone {
    at: Duration,
    /// Without its holder's time being up.
    violent: bool,
}

/// The keys of locks by their create revisions, and when each was gone.
fn keys(evidence: &Evidence<'_>) -> BTreeMap<(PlanName, u64), Option<Gone>> {
    let revoked = lock(&evidence.world.revoked);
    let mut keys = BTreeMap::new();
    let mut present: BTreeMap<(PlanName, LeaseId), u64> = BTreeMap::new();
    let (sets, times) = (evidence.world.history.sets(), evidence.world.history.times());
    for (set, at) in sets.iter().zip(times) {
        let deleted = set.changes.iter().filter_map(|change| match (&change.key, &change.entry) {
            (Key::Plan(plan, PlanKey::Spec), None) => Some(plan),
            _ => None,
        });
        let deleted: BTreeSet<&PlanName> = deleted.collect();
        for change in &set.changes {
            let Key::Plan(plan, PlanKey::Lock(_, lease)) = &change.key else { continue };
            match &change.entry {
                Some(entry) => {
                    present.insert((plan.clone(), *lease), entry.created.get());
                    keys.entry((plan.clone(), entry.created.get())).or_insert(None);
                }
                None => {
                    let Some(created) = present.remove(&(plan.clone(), *lease)) else { continue };
                    let violent = deleted.contains(plan) || revoked.contains(&lease.to_wire());
                    keys.insert((plan.clone(), created), Some(Gone { at, violent }));
                }
            }
        }
    }
    keys
}
