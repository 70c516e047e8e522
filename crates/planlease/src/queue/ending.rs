//! The end of a term, for every caller.

use planlease_core::{
    LeaseId, PlanName, Revision, codec,
    keys::PlanKey,
    record::{Ending, TermRecord},
    term,
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

/// Ends a term: deletes the owner's key, and the keys of those who lose their place with it, if the
/// owner's key is still the one that is meant. A late repetition cannot hurt a successor.
pub(crate) async fn end_term(
    coordinator: &Coordinator,
    ticket: &Ticket,
    how: Ending,
    displaced: &[LeaseId],
) -> Result<(), Error> {
    let Ticket { plan, lease, revision, term } = ticket;
    let layout = coordinator.layout();
    let ended = term::end(term, how.clone(), coordinator.clock().wall());
    let key = layout.of(plan, &PlanKey::Owner(*lease));
    let term_key = layout.of(plan, &PlanKey::Term);
    let value = codec::encode(&ended)?;
    let displaced = displaced.iter().map(|lease| Op::Delete(layout.of(plan, &PlanKey::Owner(*lease))));
    let txn = Transaction::when([Compare::Created(key.clone(), Some(*revision))])
        .then([
            Op::Delete(key),
            Op::Put(term_key.clone(), value.clone()),
            Op::Put(layout.of(plan, &PlanKey::PastTerm(term.number)), value),
        ])
        .then(displaced)
        .otherwise([Op::Get(term_key)]);
    let mut reply = match coordinator.etcd().execute(&txn, Admission::TURN).await {
        // A full database takes no record of the end, but it lets go of the key. To the successor that is an
        // expiry.
        Err(fault) if fault.kind == FaultKind::NoSpace => {
            let key = layout.of(plan, &PlanKey::Owner(*lease));
            let bare =
                Transaction::when([Compare::Created(key.clone(), Some(*revision))]).then([Op::Delete(key)]);
            let reply = coordinator.etcd().execute(&bare, Admission::TURN).await?;
            tracing::info!(%plan, token = %term.token(), "let go of, with a full database");
            return match reply.branch {
                Branch::Then => Ok(()),
                Branch::Otherwise => Err(Error::outcome_unknown(
                    "the ownership is over; whether the release was recorded is not known, since the database is full",
                )),
            };
        }
        reply => reply?,
    };
    if reply.branch == Branch::Then {
        tracing::info!(%plan, token = %term.token(), ?how, "ended");
        coordinator.remember_term(plan, (reply.revision, ended));
        return Ok(());
    }
    // Refused, after a try that was not answered: that try did it if the term says so in our words.
    let present = reply.row().and_then(|entry| codec::decode::<TermRecord>(&entry.value).ok());
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
