//! The transactions of the protocol, each as `docs/protocol.md` has it; what is in their records,
//! `planlease-core` decides.

use planlease_core::{
    Generation, TaskId, TermNumber, orphan,
    record::{Ending, TermRecord},
    spec::{PlanSpec, TaskSpec},
    term::{self, Succession},
    transition::{self, Change, Write},
};

use crate::{
    bridge::{self, Authority, End, NOW, Task, Term},
    etcd::{Compare, Kept, Lease, Op, OpId, Place, Rev, Store, Txn},
    flaws::{Flaw, Protocol},
};

/// The term that a process saw.
pub type SeenTerm = Option<Kept<Term>>;

/// Acquires the plan if the queue is empty, else joins it. `registered`: when the process last wrote its
/// registration, as far as it knows. By writing it again it makes sure that nothing which was sent before
/// puts the key.
#[must_use]
pub fn acquire(protocol: Protocol, lease: Lease, seen: SeenTerm, registered: Rev) -> Txn {
    let mut then = vec![Op::Join(lease)];
    then.extend(succession(protocol, lease, seen.map(|term| term.value), None));
    let fresh = (!protocol.has(Flaw::JoinNotOutdated)).then_some(Compare::Registered(lease, registered));
    let when = |compares: &[Compare]| compares.iter().copied().chain(fresh).collect();
    let join =
        Txn { when: when(&[Compare::Created(lease, None)]), then: vec![Op::Join(lease)], otherwise: None };
    Txn {
        when: when(&[Compare::Empty, Compare::TermModified(seen.map(|term| term.modified))]),
        then,
        otherwise: Some(Box::new(join)),
    }
}

/// Takes over if the own key is first. `left_at`: when the owner of the seen term left, if it was the one
/// before.
#[must_use]
pub fn take_over(protocol: Protocol, own: Place, seen: SeenTerm, left_at: Option<Rev>) -> Txn {
    let when = |term_at: Option<Rev>| {
        let mut when = vec![Compare::Created(own.lease, Some(own.created))];
        if !protocol.has(Flaw::NoSecondLook) {
            when.push(Compare::NoneBefore(own.created));
        }
        if !protocol.has(Flaw::TermNotCompared) {
            when.push(Compare::TermModified(term_at));
        }
        when
    };
    let writes = |previous: Option<Term>| succession(protocol, own.lease, previous, Some(own.created));
    let released = left_at.map(|left_at| {
        let ended = seen.map(|term| end(term.value, End::Clean));
        Box::new(Txn { when: when(Some(left_at)), then: writes(ended), otherwise: None })
    });
    Txn {
        when: when(seen.map(|term| term.modified)),
        then: writes(seen.map(|term| term.value)),
        otherwise: released,
    }
}

/// Ends a term with its owner's key: release and force alike.
#[must_use]
pub fn end_term(protocol: Protocol, owner: Place, term: Term, how: End) -> Txn {
    let ended = end(term, how);
    let then = vec![Op::Leave(owner.lease), Op::Term(ended), Op::Past(ended)];
    Txn { when: guard(protocol, owner), then, otherwise: None }
}

/// Removes a key without a term from the queue, if it has got none meanwhile: else its term would have no
/// end.
#[must_use]
pub fn leave(protocol: Protocol, place: Place, seen: SeenTerm) -> Txn {
    let mut when = guard(protocol, place);
    if !protocol.has(Flaw::RemovalBlind) {
        when.push(Compare::TermModified(seen.map(|term| term.modified)));
    }
    Txn { when, then: vec![Op::Leave(place.lease)], otherwise: None }
}

fn guard(protocol: Protocol, place: Place) -> Vec<Compare> {
    let compare = Compare::Created(place.lease, Some(place.created));
    if protocol.has(Flaw::ReleaseUnguarded) { Vec::new() } else { vec![compare] }
}

/// Changes a task as it was seen; `None` if the transition table does not allow it, and nothing is sent.
#[must_use]
pub fn write(
    protocol: Protocol,
    (task, seen): (u8, Kept<Task>),
    change: &Change,
    authority: Authority,
    op: OpId,
) -> Option<Txn> {
    let speaks_for = (!matches!(change, Change::Start)).then_some(seen.value.attempt.into());
    let write = Write { writer: authority.writer(), attempt: speaks_for, at: NOW, op_id: bridge::op_id(op) };
    let next = transition::apply(&seen.value.record(), change, &write).ok()?;
    let guard = match authority {
        Authority::Owner(place, _) | Authority::Operator(Some(place)) => {
            Compare::Created(place.lease, Some(place.created))
        }
        Authority::Operator(None) => Compare::Empty,
        Authority::Import => unreachable!("the plan is there from the beginning"),
    };
    let mut when = Vec::new();
    if !protocol.has(Flaw::RecordNotCompared) {
        when.push(Compare::TaskModified(task, seen.modified));
    }
    if !protocol.has(Flaw::WriteUnguarded) {
        when.push(guard);
    }
    Some(Txn { when, then: vec![Op::Task(task, Task::of(&next, authority, op))], otherwise: None })
}

/// The first task that is an orphan for the owner with this key, and what becomes of it.
#[must_use]
pub(crate) fn orphan(store: &Store, own: Place) -> Option<(u8, Change)> {
    let alive = bridge::alive(own);
    let records = (0u8..).zip(store.tasks.iter().map(|kept| kept.value.record()));
    let (task, record) = records.into_iter().find(|(_, record)| orphan::is_orphan(record, &alive))?;
    let id = TaskId::new((task + 1).to_string()).expect("a number is a task's id");
    let spec = PlanSpec { tasks: vec![TaskSpec::new(id.clone(), "")], ..PlanSpec::default() };
    Some((task, orphan::recovery(&spec, &id, &record)))
}

/// The same write under a new id, as if it were another.
#[must_use]
pub fn renewed(txn: &Txn) -> Txn {
    let renew = |op: &Op| match *op {
        Op::Task(task, value) => Op::Task(task, Task { op: OpId { renewed: true, ..value.op }, ..value }),
        other => other,
    };
    Txn { then: txn.then.iter().map(renew).collect(), ..txn.clone() }
}

fn succession(protocol: Protocol, lease: Lease, previous: Option<Term>, guard: Option<Rev>) -> Vec<Op> {
    let previous: Option<TermRecord> = previous.map(|term| term.record());
    let successor = bridge::successor(lease, guard);
    let Succession { mut term, closed, .. } =
        term::succeed(previous.as_ref(), Generation(1), &successor, NOW);
    if protocol.has(Flaw::TokenFromLease) {
        term.number = TermNumber(bridge::lease_number(lease).into());
    }
    let closed = closed.map(|closed| Op::Past(Term::of(&closed)));
    std::iter::once(Op::Term(Term::of(&term))).chain(closed).collect()
}

/// The term with its end.
#[must_use]
pub fn end(term: Term, how: End) -> Term {
    let how = match how {
        End::Clean => Ending::Clean,
        End::Unclean => Ending::Unclean,
        End::Forced => Ending::Forced { by: "operator".into(), reason: String::new() },
    };
    Term::of(&term::end(&term.record(), how, NOW))
}
