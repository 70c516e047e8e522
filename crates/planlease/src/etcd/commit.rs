//! Group commit: what is to be written at the same moment travels in one request, of which each transaction succeeds or fails by
//! itself. They share one round trip, one revision and one sync of etcd's disk.
//!
//! There is no timer. A transaction that finds nothing under way leaves at once, as itself; those that come while it is under way
//! wait for its answer, and leave together. A further request goes out beside it as soon as enough of them wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use planlease_core::PlanName;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use super::{
    Etcd,
    batch::{Queue, Waiting},
    fault::{Fault, FaultKind},
    txn::{Op, Reply, Transaction},
};

/// How many transactions of one plan wait at most; whoever comes then waits for a place first.
const MAX_WAITING: usize = 1024;

/// How many requests are under way at most.
const MAX_FLIGHTS: usize = 4;

/// How many have to wait for a request to go out beside those that are under way.
const ENOUGH: usize = 32;

/// What waits, and how much is under way.
#[derive(Debug)]
pub(super) struct Commits(Mutex<State>);

#[derive(Debug)]
struct State {
    queue: Queue,
    flights: usize,
    /// The places of each plan that has somebody waiting.
    places: BTreeMap<PlanName, Arc<Semaphore>>,
}

impl Commits {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { queue: Queue::new(), flights: 0, places: BTreeMap::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self, plan: &PlanName) -> Arc<Semaphore> {
        let mut state = self.state();
        let places = state.places.entry(plan.clone());
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(MAX_WAITING))))
    }
}

impl State {
    /// Whether one more request is to go out now.
    fn wants_flight(&self) -> bool {
        let waiting = self.queue.waiting();
        waiting > 0 && (self.flights == 0 || (self.flights < MAX_FLIGHTS && waiting >= ENOUGH))
    }
}

impl Etcd {
    /// As [`Etcd::settle`], together with what is written at the same moment. It waits at most the operation's time for its turn,
    /// and has as much again from then on. `plan`: no plan's transactions hold up those of another one by their number.
    ///
    /// Nothing but puts and reads of single keys may be in it.
    ///
    /// # Cancel safety
    /// A dropped future leaves it unknown whether it is carried out.
    pub(crate) async fn commit(&self, plan: &PlanName, txn: Transaction) -> Result<Reply, Fault> {
        txn.check_limits()?;
        let patience = self.inner.config.operation_timeout;
        let deadline = Instant::now() + patience;
        let places = self.inner.commits.places(plan);
        let place = match tokio::time::timeout(patience, places.acquire_owned()).await {
            Ok(place) => place.ok(),
            Err(_) => return Err(Fault::no_turn(patience)),
        };
        let (answer, outcome) = oneshot::channel();
        {
            let mut state = self.inner.commits.state();
            state.queue.push(plan, Waiting { txn, answer, deadline, place });
            if state.wants_flight() {
                state.flights += 1;
                drop(state);
                self.launch();
            }
        }
        outcome.await.unwrap_or_else(|_| Err(Fault::stream("the runtime ended")))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it ends by itself when nothing waits; see ARCHITECTURE.md"
    )]
    fn launch(&self) {
        tokio::spawn(Flight { etcd: self.clone(), written: BTreeSet::new(), ended: false }.run());
    }
}

/// One of the requests that may be under way at a time: sends batch after batch until nothing waits.
struct Flight {
    etcd: Etcd,
    /// What the present batch writes.
    written: BTreeSet<Vec<u8>>,
    ended: bool,
}

impl Flight {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            self.send(batch).await;
            // Who was answered just now and goes on at once comes along.
            tokio::task::yield_now().await;
        }
    }

    /// The next batch; `None` if the flight ends.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let (batch, late) = {
            let mut state = self.etcd.inner.commits.state();
            state.queue.done(&self.written);
            let (batch, late) = state.queue.take(Instant::now());
            self.ended = batch.members.is_empty();
            if self.ended {
                state.flights -= 1;
                state.places.retain(|_, places| Arc::strong_count(places) > 1);
            }
            (batch, late)
        };
        self.written = batch.written;
        for late in late {
            // Who does not wait any more need not be told.
            let _ = late.answer.send(Err(Fault::no_turn(self.etcd.inner.config.operation_timeout)));
        }
        (!self.ended).then_some(batch.members)
    }

    async fn send(&self, mut batch: Vec<Waiting>) {
        if let [_] = batch.as_slice() {
            return self.send_each(batch).await;
        }
        let nested = batch.iter_mut().map(|one| Op::Nested(std::mem::take(&mut one.txn)));
        let txn = Transaction::default().then(nested);
        let result = self.etcd.settle(&txn).await;
        // What was lent to the request comes back, for whoever has to go by itself.
        for (one, op) in batch.iter_mut().zip(txn.then) {
            if let Op::Nested(txn) = op {
                one.txn = txn;
            }
        }
        match result {
            Ok(mut reply) => {
                for one in batch {
                    let inner = reply.nested_reply().ok_or_else(|| Fault::nonsense("an incomplete answer"));
                    let _ = one.answer.send(inner);
                }
            }
            // Nothing was done, because of one of them (somebody else's plan, by etcd's permissions) or because of their number.
            Err(fault) if fault.not_executed && !fault.is_worth_repeating() => {
                tracing::debug!(%fault, together = batch.len(), "refused together: sent one by one");
                if fault.kind == FaultKind::TooLarge {
                    self.etcd.inner.commits.state().queue.shrink(batch.len());
                }
                self.send_each(batch).await;
            }
            Err(fault) => {
                for one in batch {
                    let _ = one.answer.send(Err(fault.clone()));
                }
            }
        }
    }

    async fn send_each(&self, batch: Vec<Waiting>) {
        for one in batch {
            let result = self.etcd.settle(&one.txn).await;
            let _ = one.answer.send(result);
        }
    }
}

impl Drop for Flight {
    /// The runtime ended in the middle, or something panicked: the next one can go, and nobody waits for this one.
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.etcd.inner.commits.state();
            state.queue.done(&self.written);
            state.flights -= 1;
            if state.flights == 0 {
                state.queue.abandon();
            }
        }
    }
}
