//! Which of the waiting transactions travel together: decided here, sent by [`super::commit`].
//!
//! etcd looks at all conditions of a request, those of nested transactions too, *before* it does anything. So two transactions of
//! which one writes what the other one writes or compares never share a request: the second would not see the first.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
};

use planlease_core::{PlanName, keys::KeyRange};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{
    fault::Fault,
    txn::{Compare, MAX_BYTES, MAX_OPS, Op, Reply, Transaction},
};

/// A transaction that waits for its turn, with whoever waits for its reply.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) txn: Transaction,
    pub(super) answer: oneshot::Sender<Result<Reply, Fault>>,
    /// When it is too late to begin.
    pub(super) deadline: Instant,
    /// Its place in the queue of its plan, given back with it.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// All that wait, each plan's in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    plans: BTreeMap<PlanName, VecDeque<Waiting>>,
    /// The plan whose turn it is.
    next: Option<PlanName>,
    waiting: usize,
    /// The keys that are being written: who writes one of them as well waits until that is answered, which keeps the order.
    under_way: BTreeSet<Vec<u8>>,
    /// The most transactions in one request.
    limit: usize,
}

/// Transactions that travel in one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) members: Vec<Waiting>,
    /// The keys that it writes.
    pub(super) written: BTreeSet<Vec<u8>>,
    compared: BTreeSet<Vec<u8>>,
    ranges: Vec<KeyRange>,
    bytes: usize,
    widest: usize,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { plans: BTreeMap::new(), next: None, waiting: 0, under_way: BTreeSet::new(), limit: MAX_OPS }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// From now on requests have fewer transactions than one that the server found too large.
    pub(super) fn shrink(&mut self, refused: usize) {
        self.limit = self.limit.min(refused / 2).max(1);
    }

    pub(super) fn push(&mut self, plan: &PlanName, waiting: Waiting) {
        self.waiting += 1;
        self.plans.entry(plan.clone()).or_default().push_back(waiting);
    }

    /// Those who wait are told that nobody sends them.
    pub(super) fn abandon(&mut self) {
        self.plans.clear();
        self.waiting = 0;
    }

    /// The next batch: one transaction of each plan in turn, until it is full or nothing more fits together. What it writes is
    /// under way from then on, until [`Queue::done`]. And those whose time was up before they began.
    pub(super) fn take(&mut self, now: Instant) -> (Batch, Vec<Waiting>) {
        let (mut batch, mut late) = (Batch::default(), Vec::new());
        let mut turns = self.turns();
        // Who comes after one that was passed over and writes the same key is passed over too.
        let mut blocked = BTreeSet::new();
        'full: loop {
            let mut took = false;
            for (plan, queue, passed) in &mut turns {
                while let Some(one) = queue.pop_front() {
                    if one.answer.is_closed() {
                        continue; // Nobody waits for it any more, and it has not begun.
                    }
                    if one.deadline <= now {
                        late.push(one);
                        continue;
                    }
                    let busy = |key| self.under_way.contains(key) || blocked.contains(key);
                    if one.txn.written().any(busy) || batch.conflicts(&one.txn) {
                        blocked.extend(one.txn.written().map(<[u8]>::to_vec));
                        passed.push_back(one);
                        continue;
                    }
                    if !batch.has_room(&one.txn, self.limit) {
                        queue.push_front(one);
                        self.next = Some(plan.clone());
                        break 'full;
                    }
                    batch.take_in(one);
                    took = true;
                    break;
                }
            }
            if !took {
                break;
            }
        }
        for (plan, mut queue, mut passed) in turns {
            passed.append(&mut queue);
            if !passed.is_empty() {
                self.plans.insert(plan, passed);
            }
        }
        self.waiting = self.plans.values().map(VecDeque::len).sum();
        self.under_way.extend(batch.written.iter().cloned());
        (batch, late)
    }

    /// All plans, beginning with the one whose turn it is: who waits, and who will have been passed over.
    fn turns(&mut self) -> Vec<(PlanName, VecDeque<Waiting>, VecDeque<Waiting>)> {
        let mut later = mem::take(&mut self.plans);
        let first = self.next.take().map(|next| later.split_off(&next)).unwrap_or_default();
        first.into_iter().chain(later).map(|(plan, queue)| (plan, queue, VecDeque::new())).collect()
    }

    /// What a batch wrote is no longer under way.
    pub(super) fn done(&mut self, written: &BTreeSet<Vec<u8>>) {
        self.under_way.retain(|key| !written.contains(key));
    }
}

impl Batch {
    /// Whether one of the two would have to see what the other one writes.
    fn conflicts(&self, txn: &Transaction) -> bool {
        let known = |key: &[u8]| {
            self.written.contains(key)
                || self.compared.contains(key)
                || self.ranges.iter().any(|range| range.contains(key))
        };
        txn.written().any(known)
            || txn.when.iter().any(|compare| match compare {
                Compare::Created(key, _) | Compare::Modified(key, _) | Compare::Exists(key) => {
                    self.written.contains(key)
                }
                Compare::Empty(range)
                | Compare::NoneBefore(range, _)
                | Compare::NoneWrittenAfter(range, _) => {
                    self.written.range(range.start.clone()..range.end.clone()).next().is_some()
                }
            })
    }

    /// Whether etcd would take it in as well. A single one is always taken: it was checked by itself.
    fn has_room(&self, txn: &Transaction, limit: usize) -> bool {
        let count = self.members.len() + 1;
        // The nested transactions and the longest list in one of them are counted together.
        let fits = count + self.widest.max(txn.widest()) <= MAX_OPS
            && self.bytes + Op::nested_bytes(txn) <= MAX_BYTES;
        self.members.is_empty() || (fits && count <= limit)
    }

    fn take_in(&mut self, mut one: Waiting) {
        one.place = None; // Somebody else may wait there.
        self.written.extend(one.txn.written().map(<[u8]>::to_vec));
        for compare in &one.txn.when {
            match compare {
                Compare::Created(key, _) | Compare::Modified(key, _) | Compare::Exists(key) => {
                    self.compared.insert(key.clone());
                }
                Compare::Empty(range)
                | Compare::NoneBefore(range, _)
                | Compare::NoneWrittenAfter(range, _) => self.ranges.push(range.clone()),
            }
        }
        self.bytes += Op::nested_bytes(&one.txn);
        self.widest = self.widest.max(one.txn.widest());
        self.members.push(one);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Reader = oneshot::Receiver<Result<Reply, Fault>>;

    /// Writes `key` if it is at revision 1 and what else is compared holds.
    fn put(queue: &mut Queue, plan: &str, key: &str, more: Vec<Compare>) -> Reader {
        let when = [Compare::Modified(key.into(), None)].into_iter().chain(more);
        push(queue, plan, Transaction::when(when).then([Op::Put(key.into(), b"v".to_vec())]), 60)
    }

    fn push(queue: &mut Queue, plan: &str, txn: Transaction, seconds: u64) -> Reader {
        let (answer, reader) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        queue.push(&plan.parse().unwrap(), Waiting { txn, answer, deadline, place: None });
        reader
    }

    fn keys(batch: &Batch) -> Vec<String> {
        let keys = batch.members.iter().flat_map(|one| one.txn.written());
        keys.map(|key| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn plans_take_turns_and_go_on_where_they_stopped() {
        let mut queue = Queue::new();
        let many: Vec<_> = (0..300).map(|n| put(&mut queue, "many", &format!("m{n}"), Vec::new())).collect();
        let few = [put(&mut queue, "few", "f0", Vec::new()), put(&mut queue, "few", "f1", Vec::new())];
        let (batch, _) = queue.take(Instant::now());
        assert_eq!(keys(&batch)[..5], ["f0", "m0", "f1", "m1", "m2"]);
        assert_eq!(batch.members.len(), MAX_OPS - 1, "as many as etcd takes, the widest of them included");
        let (batch, _) = queue.take(Instant::now());
        assert_eq!(keys(&batch)[0], "m125");
        assert_eq!(queue.waiting(), 302 - 2 * 127);
        let again = (put(&mut queue, "few", "f2", Vec::new()), put(&mut queue, "zoo", "z0", Vec::new()));
        let (batch, _) = queue.take(Instant::now());
        assert_eq!(keys(&batch)[..3], ["m252", "z0", "f2"], "it is the turn of the one that found no room");
        drop((many, few, again));
    }

    #[tokio::test]
    async fn who_would_have_to_see_the_other_one_waits() {
        let range = || KeyRange { start: b"a".to_vec(), end: b"b".to_vec() };
        let none_after =
            || Compare::NoneWrittenAfter(range(), planlease_core::Revision::from_wire(7).unwrap());
        for (first, second) in [
            (("a1", vec![]), ("a1", vec![])),
            (("a1", vec![]), ("a2", vec![Compare::Modified(b"a1".to_vec(), None)])),
            (("a2", vec![Compare::Exists(b"a1".to_vec())]), ("a1", vec![])),
            (("a1", vec![]), ("a2", vec![none_after()])),
            (("a2", vec![none_after()]), ("a1", vec![])),
            (("a1", vec![]), ("x", vec![Compare::Empty(range())])),
        ] {
            let mut queue = Queue::new();
            let readers = [put(&mut queue, "p", first.0, first.1), put(&mut queue, "q", second.0, second.1)];
            let other = put(&mut queue, "q", "c", Vec::new());
            let (batch, _) = queue.take(Instant::now());
            assert_eq!(keys(&batch), [first.0, "c"], "{}", second.0);
            let (next, _) = queue.take(Instant::now());
            // Another request comes after it, in etcd's own order; only who writes the same key waits for the answer.
            assert_eq!(next.members.len(), usize::from(first.0 != second.0));
            queue.done(&batch.written);
            let (next, _) = queue.take(Instant::now());
            assert_eq!(next.members.len(), usize::from(first.0 == second.0));
            drop((readers, other));
        }
    }

    #[tokio::test]
    async fn the_order_of_a_key_is_kept_past_those_that_are_passed_over() {
        let mut queue = Queue::new();
        let on_a = vec![Compare::Exists(b"a".to_vec())];
        let readers = [("a", vec![]), ("b", on_a), ("b", vec![]), ("c", vec![])]
            .map(|(key, more)| put(&mut queue, "p", key, more));
        let (batch, _) = queue.take(Instant::now());
        assert_eq!(keys(&batch), ["a", "c"], "the second `b` does not overtake the first one");
        let (batch, _) = queue.take(Instant::now());
        assert_eq!((keys(&batch), batch.members[0].txn.when.len()), (vec!["b".to_owned()], 2));
        drop(readers);
    }

    #[tokio::test]
    async fn bytes_and_what_a_server_allows_bound_a_batch() {
        let mut queue = Queue::new();
        let large = |n: usize| {
            Transaction::default().then([Op::Put(format!("{n}").into_bytes(), vec![0; MAX_BYTES / 3])])
        };
        let readers: Vec<_> = (0..5).map(|n| push(&mut queue, "p", large(n), 60)).collect();
        let (batch, _) = queue.take(Instant::now());
        assert_eq!(batch.members.len(), 2);
        queue.shrink(2);
        let (batch, _) = queue.take(Instant::now());
        assert_eq!(batch.members.len(), 1);
        // The widest one leaves room for fewer beside it, wherever it stands.
        for (at, together) in [(0, MAX_OPS - 101), (40, 40)] {
            let mut queue = Queue::new();
            let wide = (0..100).map(|n| Compare::Exists(format!("x{n}").into_bytes())).collect::<Vec<_>>();
            let more = |n: usize| if n == at { wide.clone() } else { Vec::new() };
            let readers: Vec<_> = (0..60).map(|n| put(&mut queue, "p", &format!("{n}"), more(n))).collect();
            let (batch, _) = queue.take(Instant::now());
            assert_eq!(batch.members.len(), together);
            drop(readers);
        }
        drop(readers);
    }

    #[tokio::test]
    async fn who_is_late_or_gone_is_not_sent() {
        let mut queue = Queue::new();
        drop(put(&mut queue, "p", "gone", Vec::new()));
        let late =
            push(&mut queue, "p", Transaction::default().then([Op::Put(b"late".to_vec(), Vec::new())]), 0);
        let good = put(&mut queue, "p", "good", Vec::new());
        let (batch, late_ones) = queue.take(Instant::now());
        assert_eq!((keys(&batch), late_ones.len(), queue.waiting()), (vec!["good".to_owned()], 1, 0));
        drop((late, good));
    }
}
