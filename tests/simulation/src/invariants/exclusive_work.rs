//! No process works on a plan beyond the end of its ownership: an owner that loses a plan has stopped before
//! the server gives up its key, and so before another can own it. That holds as long as clocks are no worse
//! than the margin allows (the law of lease timing).
//!
//! An operator that ends an ownership by force, or revokes its lease, is warned that what its holder does
//! outside etcd is not stopped by this: such an end proves nothing.

use std::{collections::BTreeMap, time::Duration};

use planlease::core::{
    FencingToken, LeaseId, PlanName, codec,
    keys::{Key, PlanKey},
    record::{Ending, TermRecord},
};

use super::Evidence;
use crate::world::lock;

/// Who worked for too long.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let ends = ends(evidence);
    let shifts = lock(&evidence.world.office.shifts);
    let mut violations = Vec::new();
    for shift in shifts.iter() {
        let Some(End { at, violent: false }) = ends.get(&(shift.plan.clone(), shift.token)) else { continue };
        // Within one tick, hosts run one after the other.
        let last = *at + evidence.world.options.tick;
        if shift.began > last || shift.ended.is_some_and(|ended| ended > last) {
            violations.push(format!(
                "{} worked on {} under token {} from {:?} to {:?}; the ownership was over at {at:?}",
                shift.who, shift.plan, shift.token, shift.began, shift.ended,
            ));
        }
    }
    violations
}

/// How an ownership ended.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Duration,
    /// Without its holder's time being up.
    violent: bool,
}

/// When the key of each ownership was gone.
fn ends(evidence: &Evidence<'_>) -> BTreeMap<(PlanName, FencingToken), End> {
    let revoked = lock(&evidence.world.revoked);
    let mut terms: BTreeMap<(PlanName, FencingToken), (LeaseId, bool)> = BTreeMap::new();
    let mut present: BTreeMap<PlanName, (FencingToken, LeaseId)> = BTreeMap::new();
    let mut ends = BTreeMap::new();
    let (sets, times) = (evidence.world.history.sets(), evidence.world.history.times());
    for (set, at) in sets.iter().zip(times) {
        // The term first: a release writes it in the transaction that deletes the key.
        for change in &set.changes {
            let (Key::Plan(plan, PlanKey::Term | PlanKey::PastTerm(_)), Some(entry)) =
                (&change.key, &change.entry)
            else {
                continue;
            };
            let Ok(term) = codec::decode::<TermRecord>(&entry.value) else { continue };
            let forced = term.ended.as_ref().is_some_and(|end| matches!(end.how, Ending::Forced { .. }));
            terms.insert(
                (plan.clone(), term.token()),
                (term.lease, forced || revoked.contains(&term.lease.to_wire())),
            );
            if change.key == Key::Plan(plan.clone(), PlanKey::Term) {
                present.insert(plan.clone(), (term.token(), term.lease));
            }
        }
        for change in &set.changes {
            if let (Key::Plan(plan, PlanKey::Owner(lease)), None) = (&change.key, &change.entry)
                && let Some((token, of)) = present.get(plan)
                && of == lease
            {
                ends.entry((plan.clone(), *token)).or_insert(End { at, violent: false });
            }
        }
    }
    for (ownership, end) in &mut ends {
        end.violent = terms.get(ownership).is_some_and(|(_, violent)| *violent);
    }
    ends
}
