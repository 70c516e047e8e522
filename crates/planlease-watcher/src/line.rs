//! Why an ownership changed, decided from the line before and after.
//!
//! etcd's deletions carry no reason; the reason is the term. An owner's key that goes together with an ended
//! term was released, handed over or forced, as the term says; one that goes alone went with its session.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    TermNumber,
    record::{Ending, TermRecord},
    term::{Candidate, Queue},
};

use crate::change::OwnershipChange;

/// Past terms of one plan, as far as they are kept.
pub(crate) type PastTerms = BTreeMap<TermNumber, TermRecord>;

/// What happened between two sights of a line. `past` is needed only if there was a gap between them: the
/// terms that began and ended in it are reported from there.
pub(crate) fn changes(before: &Queue, after: &Queue, past: &PastTerms) -> Vec<OwnershipChange> {
    if before == after {
        return Vec::new();
    }
    // A term that cannot be read does not say that its ownership is over.
    let owned = before.owner().map(|(_, term)| term).filter(|_| after.unreadable.is_empty());
    let owns = after.owner().map(|(_, term)| term);
    let newest = after.term.as_ref().map(|(_, term)| term);
    let still = |term: &TermRecord| owns.is_some_and(|owns| owns.token() == term.token());
    let mut changes = Vec::new();
    if let Some(term) = owned.filter(|term| !still(term)) {
        changes.push(end_of(term, newest, past));
    }
    let begun = begun(before, after, past);
    for term in &begun {
        changes
            .push(OwnershipChange::Acquired { owner: term.owner.orchestrator.clone(), token: term.token() });
        if !still(term) {
            changes.push(end_of(term, newest, past));
        }
    }
    let owners: BTreeSet<_> = begun.iter().chain(owned.as_slice()).map(|term| term.lease).collect();
    let only_in = |these: &Queue, those: &Queue| -> Vec<Candidate> {
        let there = |one: &Candidate| those.candidates().iter().any(|other| is_same(one, other));
        let missing = these.candidates().iter().filter(|one| !there(one) && !owners.contains(&one.lease));
        missing.cloned().collect()
    };
    changes.extend(only_in(before, after).into_iter().map(OwnershipChange::Left));
    changes.extend(only_in(after, before).into_iter().map(OwnershipChange::Waiting));
    if changes.is_empty() {
        changes.push(OwnershipChange::Amended);
    }
    changes
}

/// The terms that began in between, in order.
fn begun<'a>(before: &Queue, after: &'a Queue, past: &'a PastTerms) -> Vec<&'a TermRecord> {
    let Some((_, newest)) = &after.term else { return Vec::new() };
    if !before.unreadable.is_empty() {
        return if after.owner().is_some() { vec![newest] } else { Vec::new() };
    }
    let last = before.term.as_ref().map(|(_, term)| term);
    let first = last.map_or(TermNumber(0), |term| term.number.next());
    if newest.number >= first {
        return past.range(first..newest.number).map(|(_, term)| term).chain([newest]).collect();
    }
    // The same term as before; or a lower one, if an operator deleted it, which begins if it is effective.
    let known = last.is_some_and(|last| last.token() == newest.token());
    if known || after.owner().is_none() { Vec::new() } else { vec![newest] }
}

/// How a term ended of which it is known that it did.
fn end_of(term: &TermRecord, newest: Option<&TermRecord>, past: &PastTerms) -> OwnershipChange {
    let (owner, token) = (term.owner.orchestrator.clone(), term.token());
    let closed = newest.filter(|newest| newest.token() == token).or_else(|| past.get(&term.number));
    match closed.and_then(|term| term.ended.as_ref()).map(|ended| ended.how.clone()) {
        Some(Ending::Clean) => OwnershipChange::Released { owner, token },
        Some(Ending::HandedOver { to }) => OwnershipChange::HandedOver { owner, token, to },
        Some(Ending::Forced { by, reason }) => OwnershipChange::Forced { owner, token, by, reason },
        Some(Ending::Unclean) | None => OwnershipChange::Expired { owner, token },
    }
}

/// Whether it is the same place in the queue: a candidate that left and joined again has another one.
fn is_same(one: &Candidate, other: &Candidate) -> bool {
    one.lease == other.lease && one.joined == other.joined
}
