//! The end of a term, for every caller.

use planlease_core::{
    LeaseId, PlanName, Revision, codec,
    keys::PlanKey,
    record::{Ending, TermRecord},
    term::{self, HandOver, HandOverError},
};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, FaultKind, Op, Transaction},
};

/// What it takes to end an ownership.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) plan: PlanName,
    pub(crate) lease: LeaseId,
    pub(crate) revision: Revision,
    pub(crate) term: TermRecord,
}

/// Ends a term: deletes the owner's key, if it is still the one that is meant, so that a late repetition
/// cannot hurt a successor.
///
/// A hand-over also compares the successor's key, and deletes the keys of those ahead of it.
pub(crate) async fn end_term(
    coordinator: &Coordinator,
    ticket: &Ticket,
    how: Ending,
    hand_over: Option<HandOver<'_>>,
) -> Result<(), Error> {
    let Ticket { plan, lease, revision, term } = ticket;
    let layout = coordinator.layout();
    let ended = term::end(term, how.clone(), coordinator.clock().wall());
    let place = |lease: LeaseId| layout.of(plan, &PlanKey::Owner(lease));
    let key = place(*lease);
    let term_key = layout.of(plan, &PlanKey::Term);
    let value = codec::encode(&ended)?;
    let mut compares = vec![Compare::Created(key.clone(), Some(*revision))];
    compares
        .extend(hand_over.map(|to| Compare::Created(place(to.successor.lease), Some(to.successor.joined))));
    let displaced = hand_over.map(|to| to.displaced).unwrap_or_default();
    let release = Transaction::when(compares)
        .then([Op::Delete(key.clone())])
        .then(displaced.iter().map(|candidate| Op::Delete(place(candidate.lease))))
        .otherwise([Op::Get(term_key.clone()), Op::Get(key)]);
    let recorded = release.clone().then([
        Op::Put(term_key, value.clone()),
        Op::Put(layout.of(plan, &PlanKey::PastTerm(term.number)), value),
    ]);
    let (mut reply, is_recorded) = match coordinator.etcd().execute(&recorded, Admission::TURN).await {
        // A full database takes no record of the end, but it lets go of the keys. To the successor that is an
        // expiry.
        Err(fault) if fault.kind == FaultKind::NoSpace => {
            (coordinator.etcd().execute(&release, Admission::TURN).await?, false)
        }
        reply => (reply?, true),
    };
    if reply.branch == Branch::Then {
        tracing::info!(%plan, token = %term.token(), ?how, is_recorded, "ended");
        if is_recorded {
            coordinator.remember_term(plan, (reply.revision, ended));
        }
        return Ok(());
    }
    let present = reply.row().and_then(|entry| codec::decode::<TermRecord>(&entry.value).ok());
    let is_owned = reply.row().is_some_and(|own| own.created == *revision);
    if let (true, Ending::HandedOver { to }) = (is_owned, how) {
        return Err(HandOverError::NotQueued { to }.into()); // It was, a moment ago.
    }
    if !is_recorded {
        return Err(Error::outcome_unknown(
            "the ownership is over; whether the release was recorded is not known, since the database is full",
        ));
    }
    // Refused, after a try that was not answered: that try did it if the term says so in our words.
    match present {
        Some(present) if reply.uncertain && present.number == term.number && present.ended == ended.ended => {
            Ok(())
        }
        Some(present) if reply.uncertain && present.number > term.number => {
            let past = coordinator.history(plan).term(term.number).await;
            let past = past.map_err(|_| Error::outcome_unknown("how the term ended cannot be read"))?;
            match past.filter(|past| past.ended == ended.ended) {
                Some(_) => Ok(()),
                None => Err(Error::ownership_lost(plan.clone())),
            }
        }
        _ => Err(Error::ownership_lost(plan.clone())),
    }
}
