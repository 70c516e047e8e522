//! Which of the waiting transactions share a request: decided here, put into a request by
//! [`super::coalesce`], sent by [`super::commit`].
//!
//! etcd looks at all conditions of a request, those of nested transactions too, *before* it does anything. So
//! two transactions of which one writes what the other one writes or compares never share a request: the
//! second would not see the first.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::Arc,
};

use planlease_core::{PlanName, keys::KeyRange};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{
    authority_guard::{AuthorityGuard, Guarded},
    fault::Fault,
    txn::{Compare, MAX_BYTES, MAX_OPS, Op, Reply},
};

/// A transaction that waits for its turn, with the caller that waits for its reply.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) write: Guarded,
    pub(super) answer: oneshot::Sender<Result<Reply, Fault>>,
    /// When it is too late to begin.
    pub(super) deadline: Instant,
    /// Its place in the queue of its plan, given back with it.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// How many requests are under way at most.
pub(super) const MAX_FLIGHTS: usize = 4;

/// How many batches are sent split once a coalesced one was refused: where updates meet others' often,
/// coalescing them is in vain.
const SPLIT_BATCHES: usize = 32;

/// How many have to wait for a request to go out beside those that are under way, and the fewest that one of
/// several has.
const ENOUGH: usize = 32;

/// All that wait, each plan's in the order in which they came, and what is under way.
#[derive(Debug)]
pub(super) struct Queue {
    plans: BTreeMap<PlanName, VecDeque<Waiting>>,
    /// The plan whose turn it is.
    next: Option<PlanName>,
    waiting: usize,
    under_way: BTreeMap<Ticket, Sent>,
    /// The keys that are being written: who writes one of them as well waits until that is answered, which
    /// keeps the order.
    busy: HashSet<Hash>,
    hashes: Hashes,
    /// How many batches there were.
    batches: u64,
    /// The most transactions in one request.
    limit: usize,
    /// The most conditions, or operations, of one that is coalesced.
    coalesced: usize,
    /// How many batches more are sent split.
    split: usize,
}

/// Stands for a batch that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Sent {
    written: HashSet<Hash>,
    members: usize,
}

/// Stands for a key: to compare keys that begin alike, and to copy them, costs more. Two keys of one hash
/// wait for each other in vain, which is all that comes of it.
type Hash = u64;

/// How keys become hashes; keys cannot be chosen so that their hashes collide.
#[derive(Clone, Debug, Default)]
struct Hashes(RandomState);

impl Hashes {
    fn of(&self, key: &[u8]) -> Hash {
        self.0.hash_one(key)
    }
}

/// Transactions that share a request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) members: Vec<Waiting>,
    pub(super) ticket: Ticket,
    /// The most conditions, or operations, with which it is worth a try to write all or nothing: see
    /// [`super::coalesce`]. 0: none.
    pub(super) coalesced: usize,
}

/// A batch that is being filled.
#[derive(Debug, Default)]
struct Filling {
    members: Vec<Waiting>,
    hashes: Hashes,
    /// The keys that it writes.
    written: HashSet<Hash>,
    /// The keys that it compares beside those.
    compared: HashSet<Hash>,
    ranges: Vec<KeyRange>,
    /// How many of its transactions each guard has.
    guards: BTreeMap<Arc<AuthorityGuard>, usize>,
    /// The most that one of them has.
    most: usize,
    bytes: usize,
    widest: usize,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            plans: BTreeMap::new(),
            next: None,
            waiting: 0,
            under_way: BTreeMap::new(),
            busy: HashSet::new(),
            hashes: Hashes::default(),
            batches: 0,
            limit: MAX_OPS,
            coalesced: MAX_OPS,
            split: 0,
        }
    }

    /// Whether enough wait for a request beside those that are under way.
    pub(super) fn has_enough(&self) -> bool {
        self.waiting >= ENOUGH
    }

    /// How many transactions wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether no transaction waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// From now on requests have fewer transactions than one that the server found too large.
    pub(super) fn shrink(&mut self, refused: usize) {
        self.limit = self.limit.min(refused / 2).max(1);
    }

    /// From now on coalesced requests have fewer conditions and operations than one that the server found too
    /// large.
    pub(super) fn shrink_coalesced(&mut self, refused: usize) {
        self.coalesced = self.coalesced.min(refused / 2);
    }

    /// A batch that was coalesced was refused.
    pub(super) fn keep_split(&mut self) {
        self.split = SPLIT_BATCHES;
    }

    pub(super) fn push(&mut self, plan: &PlanName, waiting: Waiting) {
        self.waiting += 1;
        match self.plans.get_mut(plan) {
            Some(queue) => queue.push_back(waiting),
            None => drop(self.plans.insert(plan.clone(), VecDeque::from([waiting]))),
        }
    }

    /// Answers all waiting callers that their transactions will not be sent.
    pub(super) fn abandon(&mut self) {
        self.plans.clear();
        self.waiting = 0;
    }

    /// How many the next batch has at most: as many as there are for each of the requests, so that the server
    /// syncs and works on some while the answers to others are dealt with here.
    fn share(&self) -> usize {
        let sent: usize = self.under_way.values().map(|sent| sent.members).sum();
        (self.waiting + sent).div_ceil(MAX_FLIGHTS).max(ENOUGH).min(self.limit)
    }

    /// The next batch: one transaction of each plan in turn, until it is full or nothing more fits into it;
    /// `None` if there is nothing to send. What it writes is under way from then on, until [`Queue::done`].
    /// And those whose time was up before they began.
    pub(super) fn take(&mut self, now: Instant) -> (Option<Batch>, Vec<Waiting>) {
        let mut batch = Filling { hashes: self.hashes.clone(), ..Filling::default() };
        let mut late = Vec::new();
        let share = self.share();
        let mut turns = self.turns();
        // A later one that writes the same key as one that was passed over is passed over too.
        let mut blocked = HashSet::new();
        'full: loop {
            let mut took = false;
            for (plan, queue, passed) in &mut turns {
                while let Some(one) = queue.pop_front() {
                    if one.answer.is_closed() {
                        continue; // Its caller has gone, and it has not begun.
                    }
                    if one.deadline <= now {
                        late.push(one);
                        continue;
                    }
                    let busy = |key: &[u8]| {
                        let hash = self.hashes.of(key);
                        self.busy.contains(&hash) || blocked.contains(&hash)
                    };
                    if one.write.txn.written().any(busy) || batch.conflicts(&one.write) {
                        blocked.extend(one.write.txn.written().map(|key| self.hashes.of(key)));
                        passed.push_back(one);
                        continue;
                    }
                    if !batch.has_room(&one.write, share) {
                        queue.push_front(one);
                        self.next = Some(plan.clone());
                        break 'full;
                    }
                    batch.add(one);
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
        let Filling { members, written, .. } = batch;
        if members.is_empty() {
            return (None, late);
        }
        self.batches += 1;
        let ticket = Ticket(self.batches);
        self.busy.extend(&written);
        self.under_way.insert(ticket, Sent { written, members: members.len() });
        let coalesced = if self.split == 0 { self.coalesced } else { 0 };
        self.split = self.split.saturating_sub(1);
        (Some(Batch { members, ticket, coalesced }), late)
    }

    /// All plans, beginning with the one whose turn it is: who waits, and who will have been passed over.
    fn turns(&mut self) -> Vec<(PlanName, VecDeque<Waiting>, VecDeque<Waiting>)> {
        let mut later = mem::take(&mut self.plans);
        let first = self.next.take().map(|next| later.split_off(&next)).unwrap_or_default();
        first.into_iter().chain(later).map(|(plan, queue)| (plan, queue, VecDeque::new())).collect()
    }

    /// A batch is no longer under way.
    pub(super) fn done(&mut self, ticket: Ticket) {
        for hash in self.under_way.remove(&ticket).iter().flat_map(|sent| &sent.written) {
            self.busy.remove(hash);
        }
    }
}

impl Filling {
    /// Whether one of the two would have to see what the other one writes.
    fn conflicts(&self, write: &Guarded) -> bool {
        let written = |key: &[u8]| self.written.contains(&self.hashes.of(key));
        let known = |key: &[u8]| {
            let hash = self.hashes.of(key);
            self.written.contains(&hash)
                || self.compared.contains(&hash)
                || self.ranges.iter().any(|range| range.contains(key))
        };
        let writes = |range: &KeyRange| {
            self.members.iter().flat_map(|one| one.write.txn.written()).any(|key| range.contains(key))
        };
        let guard = match &*write.guard {
            AuthorityGuard::Key(key, _) => written(key),
            AuthorityGuard::Unowned(range) => writes(range),
        };
        guard
            || write.txn.written().any(known)
            || write.txn.when.iter().any(|compare| match compare {
                Compare::Created(key, _) | Compare::Modified(key, _) | Compare::Exists(key) => written(key),
                Compare::Empty(range)
                | Compare::NoneBefore(range, _)
                | Compare::NoneWrittenAfter(range, _) => writes(range),
            })
    }

    /// Whether etcd would accept it as well. A single one is always taken: it was checked by itself.
    fn has_room(&self, write: &Guarded, limit: usize) -> bool {
        let of_guard = self.guards.get(&write.guard);
        let guards = self.guards.len() + usize::from(of_guard.is_none());
        let most = self.most.max(of_guard.unwrap_or(&0) + 1);
        // etcd counts the longest list of each of the three levels: see [`super::coalesce::split`].
        let fits = guards + most + self.widest.max(write.txn.widest()) <= MAX_OPS
            && self.bytes + Self::bytes(write) <= MAX_BYTES;
        self.members.is_empty() || (fits && self.members.len() < limit)
    }

    fn bytes(write: &Guarded) -> usize {
        Op::nested_bytes(&write.txn) + write.guard.bytes()
    }

    fn add(&mut self, mut one: Waiting) {
        one.place = None; // Another transaction may wait there.
        let Guarded { guard, txn } = &one.write;
        self.written.extend(txn.written().map(|key| self.hashes.of(key)));
        let of_guard = if let Some(count) = self.guards.get_mut(guard) {
            *count += 1;
            *count
        } else {
            self.guards.insert(Arc::clone(guard), 1);
            self.remember(&guard.compare());
            1
        };
        self.most = self.most.max(of_guard);
        for compare in &txn.when {
            self.remember(compare);
        }
        self.bytes += Self::bytes(&one.write);
        self.widest = self.widest.max(txn.widest());
        self.members.push(one);
    }

    fn remember(&mut self, compare: &Compare) {
        match compare {
            Compare::Created(key, _) | Compare::Modified(key, _) | Compare::Exists(key) => {
                let hash = self.hashes.of(key);
                if !self.written.contains(&hash) {
                    self.compared.insert(hash);
                }
            }
            Compare::Empty(range) | Compare::NoneBefore(range, _) | Compare::NoneWrittenAfter(range, _) => {
                self.ranges.push(range.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use planlease_core::Revision;

    use super::{super::txn::Transaction, *};

    type Reader = oneshot::Receiver<Result<Reply, Fault>>;

    /// Writes `key` if it is at revision 1 and what else is compared holds.
    fn put(queue: &mut Queue, plan: &str, key: &str, more: Vec<Compare>) -> Reader {
        let when = [Compare::Modified(key.into(), None)].into_iter().chain(more);
        push(queue, plan, Transaction::when(when).then([Op::Put(key.into(), b"v".to_vec())]), 60)
    }

    fn push(queue: &mut Queue, plan: &str, txn: Transaction, seconds: u64) -> Reader {
        let (answer, reader) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let guard = AuthorityGuard::Key(plan.into(), Revision::from_wire(5).unwrap());
        let write = Guarded { guard: guard.into(), txn };
        queue.push(&plan.parse().unwrap(), Waiting { write, answer, deadline, place: None });
        reader
    }

    fn take(queue: &mut Queue) -> Batch {
        queue.take(Instant::now()).0.unwrap()
    }

    fn keys(batch: &Batch) -> Vec<String> {
        let keys = batch.members.iter().flat_map(|one| one.write.txn.written());
        keys.map(|key| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn plans_take_turns_and_go_on_where_they_stopped() {
        let mut queue = Queue::new();
        let many: Vec<_> = (0..600).map(|n| put(&mut queue, "many", &format!("m{n}"), Vec::new())).collect();
        let few = [put(&mut queue, "few", "f0", Vec::new()), put(&mut queue, "few", "f1", Vec::new())];
        let batch = take(&mut queue);
        assert_eq!(keys(&batch)[..5], ["f0", "m0", "f1", "m1", "m2"]);
        assert_eq!(
            batch.members.len(),
            MAX_OPS - 1,
            "as many as etcd takes: two guards, 125 of one of them, and the widest of those"
        );
        let batch = take(&mut queue);
        assert_eq!(keys(&batch)[0], "m125");
        assert_eq!(queue.waiting, 602 - 127 - 126);
        let again = (put(&mut queue, "few", "f2", Vec::new()), put(&mut queue, "zoo", "z0", Vec::new()));
        let batch = take(&mut queue);
        assert_eq!(keys(&batch)[..3], ["m251", "z0", "f2"], "it is the turn of the one that found no room");
        drop((many, few, again));
    }

    #[tokio::test]
    async fn dependent_updates_do_not_share_a_request() {
        let range = || KeyRange { start: b"a".to_vec(), end: b"b".to_vec() };
        let none_after = || Compare::NoneWrittenAfter(range(), Revision::from_wire(7).unwrap());
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
            let batch = take(&mut queue);
            assert_eq!(keys(&batch), [first.0, "c"], "{}", second.0);
            let next = queue.take(Instant::now()).0.map_or(0, |next| next.members.len());
            // Another request comes after it, in etcd's own order; only who writes the same key waits for the
            // answer.
            assert_eq!(next, usize::from(first.0 != second.0));
            queue.done(batch.ticket);
            let next = queue.take(Instant::now()).0.map_or(0, |next| next.members.len());
            assert_eq!(next, usize::from(first.0 == second.0));
            drop((readers, other));
        }
    }

    #[tokio::test]
    async fn the_order_of_a_key_is_kept_past_those_that_are_passed_over() {
        let mut queue = Queue::new();
        let on_a = vec![Compare::Exists(b"a".to_vec())];
        let readers = [("a", vec![]), ("b", on_a), ("b", vec![]), ("c", vec![])]
            .map(|(key, more)| put(&mut queue, "p", key, more));
        let batch = take(&mut queue);
        assert_eq!(keys(&batch), ["a", "c"], "the second `b` does not overtake the first one");
        let batch = take(&mut queue);
        assert_eq!((keys(&batch), batch.members[0].write.txn.when.len()), (vec!["b".to_owned()], 2));
        drop(readers);
    }

    #[tokio::test]
    async fn bytes_and_what_a_server_allows_bound_a_batch() {
        let mut queue = Queue::new();
        let large = |n: usize| {
            Transaction::default().then([Op::Put(format!("{n}").into_bytes(), vec![0; MAX_BYTES / 3])])
        };
        let readers: Vec<_> = (0..5).map(|n| push(&mut queue, "p", large(n), 60)).collect();
        let batch = take(&mut queue);
        assert_eq!(batch.members.len(), 2);
        queue.shrink(2);
        let batch = take(&mut queue);
        assert_eq!(batch.members.len(), 1);
        // The widest one leaves room for fewer beside it, wherever it stands.
        for (at, fit) in [(0, MAX_OPS - 102), (31, 31)] {
            let mut queue = Queue::new();
            let wide = (0..100).map(|n| Compare::Exists(format!("x{n}").into_bytes())).collect::<Vec<_>>();
            let more = |n: usize| if n == at { wide.clone() } else { Vec::new() };
            let readers: Vec<_> = (0..60).map(|n| put(&mut queue, "p", &format!("{n}"), more(n))).collect();
            let batch = take(&mut queue);
            assert_eq!(batch.members.len(), fit);
            drop(readers);
        }
        drop(readers);
    }

    #[tokio::test]
    async fn late_and_cancelled_updates_are_not_sent() {
        let mut queue = Queue::new();
        drop(put(&mut queue, "p", "gone", Vec::new()));
        let late =
            push(&mut queue, "p", Transaction::default().then([Op::Put(b"late".to_vec(), Vec::new())]), 0);
        let good = put(&mut queue, "p", "good", Vec::new());
        let (batch, late_ones) = queue.take(Instant::now());
        assert_eq!((keys(&batch.unwrap()), late_ones.len(), queue.waiting), (vec!["good".to_owned()], 1, 0));
        drop((late, good));
    }

    #[tokio::test]
    async fn after_a_refusal_batches_are_kept_split_for_a_while() {
        let mut queue = Queue::new();
        let coalesced = |queue: &mut Queue, key: &str| {
            let reader = put(queue, "p", key, Vec::new());
            let batch = take(queue);
            queue.done(batch.ticket);
            drop(reader);
            batch.coalesced
        };
        assert_eq!(coalesced(&mut queue, "a"), MAX_OPS);
        queue.keep_split();
        let next: Vec<_> = (0..=SPLIT_BATCHES).map(|_| coalesced(&mut queue, "a")).collect();
        assert_eq!(next, [vec![0; SPLIT_BATCHES], vec![MAX_OPS]].concat());
        queue.shrink_coalesced(13);
        assert_eq!(coalesced(&mut queue, "a"), 6);
    }
}
