//! No process works under a lock before it is theirs, nor beyond its end: a key has to be first in the queue,
//! and a holder that loses a lock has stopped before the server gives up its key, and so before another can
//! have it. As for ownerships, that holds as long as clocks are no worse than the margin allows; and whose
//! lease is revoked, or whose plan is deleted, is excepted: this proves nothing then.

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

/// Who worked too early, or for too long.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let keys = keys(evidence);
    let tick = evidence.world.options.tick; // Within one, hosts run one after the other.
    let mut violations = Vec::new();
    for shift in lock(&evidence.world.desk.shifts).iter() {
        let (plan, who, began, ended) = (&shift.plan, &shift.who, shift.began, shift.ended);
        let key = keys.get(&(plan.clone(), shift.token.term.0)).copied().unwrap_or_default();
        if key.first.is_none_or(|first| began + tick < first) {
            violations.push(format!(
                "{who} worked under lock {} of {plan} from {began:?} on, whose key was first in the queue at {:?}",
                shift.token, key.first
            ));
        } else if let Some(Gone { at, violent: false }) = key.gone
            && (began > at + tick || ended.is_some_and(|ended| ended > at + tick))
        {
            violations.push(format!(
                "{who} worked under lock {} of {plan} from {began:?} to {ended:?}; it was over at {at:?}",
                shift.token,
            ));
        }
    }
    violations
}

/// What became of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// When it was first in the queue, if ever.
    first: Option<Duration>,
    gone: Option<Gone>,
}

/// How a key came to its end.
#[derive(Clone, Copy, Debug)]
struct Gone {
    at: Duration,
    /// Without its holder's time being up.
    violent: bool,
}

/// The keys of locks by their create revisions. There is one lock in each plan.
fn keys(evidence: &Evidence<'_>) -> BTreeMap<(PlanName, u64), Life> {
    let revoked = lock(&evidence.world.revoked);
    let mut keys: BTreeMap<(PlanName, u64), Life> = BTreeMap::new();
    let mut lines: BTreeMap<PlanName, BTreeMap<LeaseId, u64>> = BTreeMap::new();
    let (sets, times) = (evidence.world.history.sets(), evidence.world.history.times());
    for (set, at) in sets.iter().zip(times) {
        let deleted = set.changes.iter().filter_map(|change| match (&change.key, &change.entry) {
            (Key::Plan(plan, PlanKey::Spec), None) => Some(plan),
            _ => None,
        });
        let deleted: BTreeSet<&PlanName> = deleted.collect();
        for change in &set.changes {
            let Key::Plan(plan, PlanKey::Lock(_, lease)) = &change.key else { continue };
            let line = lines.entry(plan.clone()).or_default();
            match &change.entry {
                Some(entry) => drop(line.insert(*lease, entry.created.get())),
                None => {
                    let Some(created) = line.remove(lease) else { continue };
                    let violent = deleted.contains(plan) || revoked.contains(&lease.to_wire());
                    keys.entry((plan.clone(), created)).or_default().gone = Some(Gone { at, violent });
                }
            }
            if let Some(first) = line.values().min() {
                keys.entry((plan.clone(), *first)).or_default().first.get_or_insert(at);
            }
        }
    }
    keys
}
