//! How transactions travel in one request, and how each of them is answered.
//!
//! *Joined*, all conditions are compared first, and either everything is written or nothing: the cheapest
//! request that etcd knows. As who owns a plan is nearly always the only one who writes to its tasks, it
//! nearly always succeeds. *Apart*, each is a transaction of its own inside the request, and succeeds or
//! fails by itself: so is sent what was refused when it was joined.
//!
//! What a request is made of is lent by the transactions, which are in the order of their rights from then
//! on.

use std::{mem, sync::Arc};

use super::{
    batch::Waiting,
    fault::Fault,
    txn::{Branch, Compare, Op, Reply, Transaction},
};

/// How many conditions and how many operations each has lent to a joined request.
#[derive(Debug)]
pub(super) struct Lent(Vec<(usize, usize)>);

/// One request that writes all or nothing; `None` if it would have more conditions or operations than this.
pub(super) fn joined(members: &mut [Waiting], most: usize) -> Option<(Transaction, Lent)> {
    let rights: Vec<_> = by_right(members).map(right_of).collect();
    let lent: Vec<_> =
        members.iter().map(|one| (one.write.txn.when.len(), one.write.txn.then.len())).collect();
    let compares = rights.len() + lent.iter().map(|(compares, _)| compares).sum::<usize>();
    let ops = lent.iter().map(|(_, ops)| ops).sum::<usize>();
    if compares.max(ops) > most {
        return None;
    }
    let mut all = Transaction::when(rights);
    for Waiting { write, .. } in members {
        all.when.append(&mut write.txn.when);
        all.then.append(&mut write.txn.then);
    }
    Some((all, Lent(lent)))
}

impl Lent {
    /// Gives each what it lent to [`joined`].
    pub(super) fn give_back(self, members: &mut [Waiting], all: Transaction) {
        let of_members: usize = self.0.iter().map(|(compares, _)| compares).sum();
        let rights = all.when.len() - of_members;
        let (mut when, mut then) = (all.when.into_iter().skip(rights), all.then.into_iter());
        for (one, (compares, ops)) in members.iter_mut().zip(self.0) {
            one.write.txn.when = when.by_ref().take(compares).collect();
            one.write.txn.then = then.by_ref().take(ops).collect();
        }
    }

    /// Answers all that [`joined`] put together: everything was written.
    pub(super) fn answer(self, members: Vec<Waiting>, mut reply: Reply) {
        for (one, (_, ops)) in members.into_iter().zip(self.0) {
            // The caller may have dropped its receiver.
            let _ = one.answer.send(reply.part(ops).ok_or_else(incomplete));
        }
    }
}

/// One request of all of them, on three levels: below the request a transaction for each right, which
/// compares that it is there, and below that the transactions under it.
pub(super) fn apart(members: &mut [Waiting]) -> Transaction {
    Transaction::default().then(by_right(members).map(|members| {
        let right = right_of(members);
        let under_it = members.iter_mut().map(|one| Op::Nested(mem::take(&mut one.write.txn)));
        Op::Nested(Transaction::when([right]).then(under_it))
    }))
}

/// Gives each what it lent to [`apart`].
pub(super) fn give_back(members: &mut [Waiting], gathered: Transaction) {
    let nested = |op| if let Op::Nested(txn) = op { txn } else { Transaction::default() };
    let lent = gathered.then.into_iter().flat_map(|right| nested(right).then).map(nested);
    for (one, txn) in members.iter_mut().zip(lent) {
        one.write.txn = txn;
    }
}

/// Answers all that [`apart`] put together, but those whose right was not there: nothing was read for them.
pub(super) fn answer(members: Vec<Waiting>, mut reply: Reply) -> Vec<Waiting> {
    let mut without_right = Vec::new();
    let (mut right, mut under_it) = (None, None);
    for one in members {
        if right.as_ref() != Some(&one.write.right) {
            right = Some(Arc::clone(&one.write.right));
            under_it = reply.nested_reply();
        }
        match &mut under_it {
            Some(reply) if reply.branch == Branch::Otherwise => without_right.push(one),
            reply => {
                let inner = reply.as_mut().and_then(Reply::nested_reply);
                // The caller may have dropped its receiver.
                let _ = one.answer.send(inner.ok_or_else(incomplete));
            }
        }
    }
    without_right
}

fn by_right(members: &mut [Waiting]) -> impl Iterator<Item = &mut [Waiting]> {
    members.sort_by(|one, other| one.write.right.cmp(&other.write.right));
    members.chunk_by_mut(|one, next| one.write.right == next.write.right)
}

/// What those compare that have one right.
fn right_of(members: &mut [Waiting]) -> Compare {
    members[0].write.right.compare()
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
            right::{Fenced, Right},
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
            let right = Right::Key(plan.into(), Revision::from_wire(5).unwrap());
            let (answer, reader) = oneshot::channel();
            let write = Fenced { right: right.into(), txn };
            (Waiting { write, answer, deadline: Instant::now(), place: None }, reader)
        };
        all.map(one).into_iter().unzip()
    }

    fn transactions(members: &[Waiting]) -> Vec<Transaction> {
        members.iter().map(|one| one.write.txn.clone()).collect()
    }

    fn right(plan: &str) -> Compare {
        Compare::Created(plan.into(), Revision::from_wire(5))
    }

    const ALL: [(&str, &str); 4] = [("p", "a"), ("q", "b"), ("p", "c"), ("q", "d")];

    #[tokio::test]
    async fn apart_a_right_is_asked_for_once_and_everyone_is_answered_for_himself() {
        let (mut members, mut readers) = members(ALL);
        let lent = transactions(&members);
        let request = apart(&mut members);
        let [Op::Nested(p), Op::Nested(q)] = request.then.as_slice() else { panic!("{request:?}") };
        assert_eq!((&p.when[..], &q.when[..]), (&[right("p")][..], &[right("q")][..]));
        assert_eq!((p.then.len(), q.then.len(), &p.otherwise[..]), (2, 2, &[][..]));
        give_back(&mut members, request);
        let by_right = [&lent[0], &lent[2], &lent[1], &lent[3]].map(Clone::clone);
        assert_eq!(transactions(&members), by_right);
        let each = vec![Reply::with(Branch::Then, Vec::new()), Reply::with(Branch::Otherwise, Vec::new())];
        let rights = vec![Reply::with(Branch::Then, each), Reply::with(Branch::Otherwise, Vec::new())];
        let without_right = answer(members, Reply::with(Branch::Then, rights));
        let written = without_right.iter().flat_map(|one| one.write.txn.written());
        assert_eq!(written.collect::<Vec<_>>(), [b"b", b"d"]);
        let branches = [0, 2].map(|n: usize| readers[n].try_recv().unwrap().unwrap().branch);
        assert_eq!(branches, [Branch::Then, Branch::Otherwise]);
        assert!(readers[1].try_recv().is_err(), "it is still to be asked what is there");
    }

    #[tokio::test]
    async fn joined_everything_is_compared_and_everyone_gets_what_he_read() {
        let (mut members, readers) = members(ALL);
        let lent = transactions(&members);
        let (request, counts) = joined(&mut members, MAX_OPS).unwrap();
        let conditions = ["a", "c", "b", "d"].map(|key| Compare::Modified(key.into(), None));
        let all: Vec<_> = [right("p"), right("q")].into_iter().chain(conditions).collect();
        assert_eq!((request.when.clone(), request.otherwise.len()), (all, 0));
        assert_eq!(request.then.len(), 8);
        counts.give_back(&mut members, request);
        let by_right = [&lent[0], &lent[2], &lent[1], &lent[3]].map(Clone::clone);
        assert_eq!(transactions(&members), by_right);

        let (_, counts) = joined(&mut members, MAX_OPS).unwrap();
        counts.answer(members, Reply::of_reads(["a", "c", "b"]));
        let read = readers.into_iter().map(|mut reader| reader.try_recv().unwrap());
        let read: Vec<_> = read.map(|reply| reply.ok().map(|mut reply| reply.row().unwrap().value)).collect();
        let keys = [Some("a"), Some("b"), Some("c"), None].map(|key| key.map(|key| key.as_bytes().to_vec()));
        assert_eq!(read, keys, "the last one found no answer");
    }

    #[tokio::test]
    async fn what_has_too_many_conditions_is_not_joined() {
        let (mut all, _readers) = members(ALL);
        let more = |n: usize| Compare::Exists(format!("x{n}").into_bytes());
        all[0].write.txn.when.extend((0..MAX_OPS - 6).map(more));
        let before = transactions(&all);
        let (request, counts) = joined(&mut all, MAX_OPS).unwrap();
        assert_eq!(request.when.len(), MAX_OPS);
        counts.give_back(&mut all, request);
        all[0].write.txn.when.push(more(MAX_OPS));
        assert!(joined(&mut all, MAX_OPS).is_none());
        assert_eq!(transactions(&all)[1..], [&before[2], &before[1], &before[3]].map(Clone::clone));
    }
}
