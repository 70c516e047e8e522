//! After an ownership that did not end in order the plan stays free for its lock delay, for any process
//! that comes next, in any way.
//!
//! Judged by when the history was received: of the end (the owner's key is gone, or an operator has ended the
//! term), and of the next term.

use std::{collections::BTreeMap, time::Duration};

use planlease::core::{
    LeaseId, PlanName, TermNumber, codec,
    keys::{Key, PlanKey},
    record::TermRecord,
    spec::PlanSpec,
    term::needs_lock_delay,
};

use super::Evidence;
use crate::faults::JUMPED;

/// How much faster a host's clock may be than the others'.
const SKEW: f64 = 0.2;

/// What is known of a plan.
#[derive(Default)]
struct Plan {
    delay: Option<Duration>,
    /// The present term or the last one, and its owner.
    term: Option<(TermNumber, LeaseId)>,
    /// Whether it goes on: later its owner may wait in the queue again, and leave it.
    goes_on: bool,
    /// When it ended, if that was not in order.
    ended: Option<Duration>,
}

/// Which terms began too early.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    if evidence.world.counts().contains_key(JUMPED) {
        return Vec::new(); // A clock that jumps ahead has counted time that did not pass for the others.
    }
    let mut plans: BTreeMap<PlanName, Plan> = BTreeMap::new();
    let mut violations = Vec::new();
    let tick = evidence.world.options.tick;
    let (sets, times) = (evidence.world.history.sets(), evidence.world.history.times());
    for (set, at) in sets.iter().zip(times) {
        let plan_keys = set.changes.iter().filter_map(|change| match &change.key {
            Key::Plan(plan, key) => Some((plan, key, change.entry.as_ref())),
            _ => None,
        });
        for (name, key, entry) in plan_keys {
            let plan = plans.entry(name.clone()).or_default();
            match (key, entry) {
                (PlanKey::Spec, entry) => {
                    let spec = entry.and_then(|entry| {
                        codec::decode_within::<PlanSpec>(&entry.value, codec::MAX_SPEC_PART).ok()
                    });
                    plan.delay = spec.map(|spec| Duration::from_secs(spec.policy.lock_delay_s));
                }
                (PlanKey::Owner(lease), None)
                    if plan.goes_on && plan.term.is_some_and(|(_, owner)| owner == *lease) =>
                {
                    plan.ended.get_or_insert(at);
                }
                (PlanKey::Term, Some(entry)) => {
                    let Ok(term) = codec::decode::<TermRecord>(&entry.value) else { continue };
                    let begins = plan.term.is_none_or(|(number, _)| number < term.number);
                    if let (true, Some(ended), Some(delay)) = (begins, plan.ended, plan.delay)
                        && (at + tick * 2).saturating_sub(ended) < delay.mul_f64(1.0 - SKEW)
                    {
                        violations.push(format!(
                            "term {} of {name} began at {at:?}, {:?} after an end that was not orderly; the delay is {delay:?}",
                            term.number,
                            at.saturating_sub(ended)
                        ));
                    }
                    plan.term = Some((term.number, term.lease));
                    plan.goes_on = term.ended.is_none();
                    plan.ended = match (term.ended.is_some(), needs_lock_delay(&term)) {
                        (true, true) => plan.ended.or(Some(at)),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        // A release deletes the key and ends the term in one revision: what the term says counts, whichever
        // comes first.
        for (name, entry) in set.changes.iter().filter_map(|change| match (&change.key, &change.entry) {
            (Key::Plan(plan, PlanKey::Term), Some(entry)) => Some((plan, entry)),
            _ => None,
        }) {
            if let (Ok(term), Some(plan)) = (codec::decode::<TermRecord>(&entry.value), plans.get_mut(name))
                && !needs_lock_delay(&term)
            {
                plan.ended = None;
            }
        }
    }
    violations
}
