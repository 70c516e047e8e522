//! How transactions share a request, and how each of them is answered.
//!
//! *Coalesced*, all conditions are compared first, and either everything is written or nothing: the cheapest
//! request that etcd knows. The owner of a plan is nearly always the only writer of its tasks, so it nearly
//! always succeeds. *Split*, each is a transaction of its own inside the request, and succeeds or fails by
//! itself: so is sent what was refused when it was coalesced.
//!
//! The parts of a request are borrowed from the transactions, which are in the order of their guards from
//! then on.

use std::{mem, sync::Arc};

use super::{
    batch::Waiting,
    fault::Fault,
    txn::{Branch, Compare, Op, Reply, Transaction},
};

/// How many conditions and how many operations a coalesced request has borrowed from each transaction.
#[derive(Debug)]
pub(super) struct Borrowed(Vec<(usize, usize)>);

/// One request that writes all or nothing; `None` if it would have more than `most` conditions or operations.
pub(super) fn coalesced(members: &mut [Waiting], most: usize) -> Option<(Transaction, Borrowed)> {
    let guards: Vec<_> = by_guard(members).map(guard_of).collect();
    let borrowed: Vec<_> =
        members.iter().map(|one| (one.write.txn.when.len(), one.write.txn.then.len())).collect();
    let compares = guards.len() + borrowed.iter().map(|(compares, _)| compares).sum::<usize>();
    let ops = borrowed.iter().map(|(_, ops)| ops).sum::<usize>();
    if compares.max(ops) > most {
        return None;
    }
    let mut all = Transaction::when(guards);
    for Waiting { write, .. } in members {
        all.when.append(&mut write.txn.when);
        all.then.append(&mut write.txn.then);
    }
    Some((all, Borrowed(borrowed)))
}

impl Borrowed {
    /// Returns to each what [`coalesced`] borrowed from it.
    pub(super) fn return_to(self, members: &mut [Waiting], all: Transaction) {
        let of_members: usize = self.0.iter().map(|(compares, _)| compares).sum();
        let guards = all.when.len() - of_members;
        let (mut when, mut then) = (all.when.into_iter().skip(guards), all.then.into_iter());
        for (one, (compares, ops)) in members.iter_mut().zip(self.0) {
            one.write.txn.when = when.by_ref().take(compares).collect();
            one.write.txn.then = then.by_ref().take(ops).collect();
        }
    }

    /// Answers all members of a [`coalesced`] request: everything was written.
    pub(super) fn answer(self, members: Vec<Waiting>, mut reply: Reply) {
        for (one, (_, ops)) in members.into_iter().zip(self.0) {
            // The caller may have dropped its receiver.
            let _ = one.answer.send(reply.part(ops).ok_or_else(incomplete));
        }
    }
}

/// One request of all of them, on three levels: below the request a transaction for each guard, which
/// compares it, and below that the transactions under it.
pub(super) fn split(members: &mut [Waiting]) -> Transaction {
    Transaction::default().then(by_guard(members).map(|members| {
        let guard = guard_of(members);
        let under_it = members.iter_mut().map(|one| Op::Nested(mem::take(&mut one.write.txn)));
        Op::Nested(Transaction::when([guard]).then(under_it))
    }))
}

/// Returns to each what [`split`] borrowed from it.
pub(super) fn return_to(members: &mut [Waiting], gathered: Transaction) {
    let nested = |op| if let Op::Nested(txn) = op { txn } else { Transaction::default() };
    let borrowed = gathered.then.into_iter().flat_map(|guard| nested(guard).then).map(nested);
    for (one, txn) in members.iter_mut().zip(borrowed) {
        one.write.txn = txn;
    }
}

/// Answers the members of a [`split`] request, but those whose guard did not hold: nothing was read for them.
pub(super) fn answer(members: Vec<Waiting>, mut reply: Reply) -> Vec<Waiting> {
    let mut without_guard = Vec::new();
    let (mut guard, mut under_it) = (None, None);
    for one in members {
        if guard.as_ref() != Some(&one.write.guard) {
            guard = Some(Arc::clone(&one.write.guard));
            under_it = reply.nested_reply();
        }
        match &mut under_it {
            Some(reply) if reply.branch == Branch::Otherwise => without_guard.push(one),
            reply => {
                let inner = reply.as_mut().and_then(Reply::nested_reply);
                // The caller may have dropped its receiver.
                let _ = one.answer.send(inner.ok_or_else(incomplete));
            }
        }
    }
    without_guard
}

fn by_guard(members: &mut [Waiting]) -> impl Iterator<Item = &mut [Waiting]> {
    members.sort_by(|one, other| one.write.guard.cmp(&other.write.guard));
    members.chunk_by_mut(|one, next| one.write.guard == next.write.guard)
}

/// The compare of members that have one guard.
fn guard_of(members: &mut [Waiting]) -> Compare {
    members[0].write.guard.compare()
}

fn incomplete() -> Fault {
    Fault::nonsense("an incomplete answer")
}

#[cfg(test)]
mod tests {
    use planlease_core::Revision;
    use tokio::{sync::oneshot, time::Instant};

    use super::{
        super::{
            authority_guard::{AuthorityGuard, Guarded},
            txn::MAX_OPS,
        },
        *,
    };

    type Reader = oneshot::Receiver<Result<Reply, Fault>>;

    /// Of each plan, one that writes this key, and reads another one.
    fn members(all: [(&str, &str); 4]) -> (Vec<Waiting>, Vec<Reader>) {
        let one = |(plan, key): (&str, &str)| {
            let ops = [Op::Put(key.into(), b"v".to_vec()), Op::Get(format!("{key}/other").into())];
            let txn = Transaction::when([Compare::Modified(key.into(), None)]).then(ops);
            let guard = AuthorityGuard::Key(plan.into(), Revision::from_wire(5).unwrap());
            let (answer, reader) = oneshot::channel();
            let write = Guarded { guard: guard.into(), txn };
            (Waiting { write, answer, deadline: Instant::now(), place: None }, reader)
        };
        all.map(one).into_iter().unzip()
    }

    fn transactions(members: &[Waiting]) -> Vec<Transaction> {
        members.iter().map(|one| one.write.txn.clone()).collect()
    }

    fn guard(plan: &str) -> Compare {
        Compare::Created(plan.into(), Revision::from_wire(5))
    }

    const ALL: [(&str, &str); 4] = [("p", "a"), ("q", "b"), ("p", "c"), ("q", "d")];

    #[tokio::test]
    async fn split_a_guard_is_compared_once_and_each_has_its_answer() {
        let (mut members, mut readers) = members(ALL);
        let borrowed = transactions(&members);
        let request = split(&mut members);
        let [Op::Nested(p), Op::Nested(q)] = request.then.as_slice() else { panic!("{request:?}") };
        assert_eq!((&p.when[..], &q.when[..]), (&[guard("p")][..], &[guard("q")][..]));
        assert_eq!((p.then.len(), q.then.len(), &p.otherwise[..]), (2, 2, &[][..]));
        return_to(&mut members, request);
        let by_guard = [&borrowed[0], &borrowed[2], &borrowed[1], &borrowed[3]].map(Clone::clone);
        assert_eq!(transactions(&members), by_guard);
        let each = vec![Reply::with(Branch::Then, Vec::new()), Reply::with(Branch::Otherwise, Vec::new())];
        let guards = vec![Reply::with(Branch::Then, each), Reply::with(Branch::Otherwise, Vec::new())];
        let without_guard = answer(members, Reply::with(Branch::Then, guards));
        let written = without_guard.iter().flat_map(|one| one.write.txn.written());
        assert_eq!(written.collect::<Vec<_>>(), [b"b", b"d"]);
        let branches = [0, 2].map(|n: usize| readers[n].try_recv().unwrap().unwrap().branch);
        assert_eq!(branches, [Branch::Then, Branch::Otherwise]);
        assert!(readers[1].try_recv().is_err(), "it is still to be asked what is there");
    }

    #[tokio::test]
    async fn coalesced_all_is_compared_and_each_gets_what_it_read() {
        let (mut members, readers) = members(ALL);
        let borrowed = transactions(&members);
        let (request, counts) = coalesced(&mut members, MAX_OPS).unwrap();
        let conditions = ["a", "c", "b", "d"].map(|key| Compare::Modified(key.into(), None));
        let all: Vec<_> = [guard("p"), guard("q")].into_iter().chain(conditions).collect();
        assert_eq!((request.when.clone(), request.otherwise.len()), (all, 0));
        assert_eq!(request.then.len(), 8);
        counts.return_to(&mut members, request);
        let by_guard = [&borrowed[0], &borrowed[2], &borrowed[1], &borrowed[3]].map(Clone::clone);
        assert_eq!(transactions(&members), by_guard);

        let (_, counts) = coalesced(&mut members, MAX_OPS).unwrap();
        counts.answer(members, Reply::of_reads(["a", "c", "b"]));
        let read = readers.into_iter().map(|mut reader| reader.try_recv().unwrap());
        let read: Vec<_> = read.map(|reply| reply.ok().map(|mut reply| reply.row().unwrap().value)).collect();
        let keys = [Some("a"), Some("b"), Some("c"), None].map(|key| key.map(|key| key.as_bytes().to_vec()));
        assert_eq!(read, keys, "the last one found no answer");
    }

    #[tokio::test]
    async fn too_many_conditions_are_not_coalesced() {
        let (mut all, _readers) = members(ALL);
        let more = |n: usize| Compare::Exists(format!("x{n}").into_bytes());
        all[0].write.txn.when.extend((0..MAX_OPS - 6).map(more));
        let before = transactions(&all);
        let (request, counts) = coalesced(&mut all, MAX_OPS).unwrap();
        assert_eq!(request.when.len(), MAX_OPS);
        counts.return_to(&mut all, request);
        all[0].write.txn.when.push(more(MAX_OPS));
        assert!(coalesced(&mut all, MAX_OPS).is_none());
        assert_eq!(transactions(&all)[1..], [&before[2], &before[1], &before[3]].map(Clone::clone));
    }
}
