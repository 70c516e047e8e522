//! Two owners of a plan do not work at the same time, as long as clocks are no worse than the margin allows: whoever loses a
//! plan has stopped before the server can give it to somebody else (the law of lease timing).
//!
//! Looked at while it happens, at the place where the work is done ([`crate::world::Office`]). Who ends an ownership by force,
//! or revokes its lease, is told that what its holder does outside etcd is not stopped by this: such an end proves nothing.

use std::collections::BTreeSet;

use planlease::core::{
    FencingToken, PlanName, codec,
    keys::{Key, PlanKey},
    record::{Ending, TermRecord},
};

use super::Evidence;
use crate::world::lock;

/// Who met at work.
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let violent = ended_violently(evidence);
    let met = lock(&evidence.world.office.met);
    let unexplained = met.iter().filter(|meeting| !violent.contains(&(meeting.plan.clone(), meeting.older)));
    unexplained.map(|meeting| meeting.text.clone()).collect()
}

/// The ownerships whose ends came without their holders' time being up.
fn ended_violently(evidence: &Evidence<'_>) -> BTreeSet<(PlanName, FencingToken)> {
    let revoked = lock(&evidence.world.revoked);
    let mut violent = BTreeSet::new();
    for change in evidence.world.history.sets().iter().flat_map(|set| &set.changes) {
        let (Key::Plan(plan, PlanKey::Term | PlanKey::PastTerm(_)), Some(entry)) =
            (&change.key, &change.entry)
        else {
            continue;
        };
        let Ok(term) = codec::decode::<TermRecord>(&entry.value) else { continue };
        let forced = term.ended.as_ref().is_some_and(|end| matches!(end.how, Ending::Forced { .. }));
        if forced || revoked.contains(&term.lease.to_wire()) {
            violent.insert((plan.clone(), term.token()));
        }
    }
    violent
}
