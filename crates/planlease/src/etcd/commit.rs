//! Group commit: what is to be written at the same moment travels in one request, and each transaction
//! succeeds or fails by itself (see [`super::coalesce`]). They share one round trip, one revision and one
//! sync of etcd's disk.
//!
//! There is no timer. A transaction that finds nothing under way leaves at once, as itself; those that come
//! while it is under way wait for its answer, and leave together. A further request goes out beside it as
//! soon as enough of them wait.

use std::{sync::Arc, time::Duration};

use futures_util::future;
use planlease_core::PlanName;
use tokio::{sync::oneshot, time::Instant};

use super::{
    authority_guard::Guarded,
    batch::{Batch, Ticket, Waiting},
    client::Etcd,
    coalesce,
    fault::{Fault, FaultKind},
    send::Admission,
    txn::{Branch, Reply},
};

impl Etcd {
    /// Executes a write in one request with the others of the moment: see [`Request::Coalesced`]. It waits at
    /// most `patience` for its turn.
    ///
    /// [`Request::Coalesced`]: super::execute::Request::Coalesced
    pub(super) async fn coalesce(
        &self,
        plan: &PlanName,
        write: Guarded,
        patience: Duration,
    ) -> Result<Reply, Fault> {
        write.check_limits()?;
        let deadline = Instant::now() + patience;
        let places = self.inner.backlog.places(plan);
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => match tokio::time::timeout(patience, places.acquire_owned()).await {
                Ok(place) => place.ok(),
                Err(_) => return Err(Fault::no_turn(patience)),
            },
        };
        let (answer, outcome) = oneshot::channel();
        {
            let mut state = self.inner.backlog.state();
            state.queue.push(plan, Waiting { write, answer, deadline, place });
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
        tokio::spawn(Flight { etcd: self.clone(), batch: None, ended: false }.run());
    }
}

/// One of the requests that may be under way at a time: sends batch after batch until nothing waits.
struct Flight {
    etcd: Etcd,
    /// The present batch.
    batch: Option<Ticket>,
    ended: bool,
}

impl Flight {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            self.send(batch).await;
            // Yield so that callers just woken can join the next batch.
            tokio::task::yield_now().await;
        }
    }

    /// The next batch; `None` if the flight ends.
    fn next(&mut self) -> Option<Batch> {
        let (batch, late) = {
            let mut state = self.etcd.inner.backlog.state();
            if let Some(ticket) = self.batch.take() {
                state.queue.done(ticket);
            }
            let (batch, late) = state.queue.take(Instant::now());
            self.batch = batch.as_ref().map(|batch| batch.ticket);
            self.ended = batch.is_none();
            if self.ended {
                state.flights -= 1;
                state.places.retain(|_, places| Arc::strong_count(places) > 1);
            }
            (batch, late)
        };
        for late in late {
            // The caller may have dropped its receiver.
            let _ = late.answer.send(Err(Fault::no_turn(self.etcd.config().operation_timeout)));
        }
        batch
    }

    async fn send(&self, batch: Batch) {
        self.etcd.inner.counts.batch(batch.members.len());
        match batch.members.as_slice() {
            [_] => self.send_each(batch.members, false).await,
            _ => self.send_coalesced(batch.members, batch.coalesced).await,
        }
    }

    /// `most`: see [`Batch::coalesced`].
    async fn send_coalesced(&self, mut members: Vec<Waiting>, most: usize) {
        let Some((txn, borrowed)) = coalesce::coalesced(&mut members, most) else {
            return self.send_split(members, false).await;
        };
        match self.etcd.transact(&txn, Admission::AT_ONCE).await {
            Ok(reply) if reply.branch == Branch::Then => borrowed.answer(members, reply),
            Ok(reply) => {
                borrowed.return_to(&mut members, txn);
                self.etcd.inner.backlog.state().queue.keep_split();
                self.send_split(members, reply.uncertain).await;
            }
            Err(fault) => {
                let width = txn.widest();
                borrowed.return_to(&mut members, txn);
                if fault.kind == FaultKind::TooLarge && fault.not_executed {
                    self.etcd.inner.backlog.state().queue.shrink_coalesced(width);
                    self.send_split(members, false).await;
                } else {
                    self.failed(members, fault, false).await;
                }
            }
        }
    }

    /// `uncertain`: whether an earlier request that had them all may have been carried out; so too for the
    /// others.
    async fn send_split(&self, mut members: Vec<Waiting>, uncertain: bool) {
        let txn = coalesce::split(&mut members);
        let result = self.etcd.transact(&txn, Admission::AT_ONCE).await;
        coalesce::return_to(&mut members, txn);
        match result {
            Ok(mut reply) => {
                reply.uncertain |= uncertain;
                let uncertain = reply.uncertain;
                let without_guard = coalesce::answer(members, reply);
                self.send_each(without_guard, uncertain).await;
            }
            Err(fault) => self.failed(members, fault, uncertain).await,
        }
    }

    /// A request that had them all has failed.
    async fn failed(&self, members: Vec<Waiting>, mut fault: Fault, uncertain: bool) {
        if fault.not_executed && !fault.is_worth_repeating(true) {
            // Nothing was done, because of one of them (a plan that etcd's permissions deny to this user) or
            // because of their number.
            tracing::debug!(%fault, requests = members.len(), "refused as one request: sent one by one");
            if fault.kind == FaultKind::TooLarge {
                self.etcd.inner.backlog.state().queue.shrink(members.len());
            }
            return self.send_each(members, uncertain).await;
        }
        fault.not_executed &= !uncertain;
        for one in members {
            let _ = one.answer.send(Err(fault.clone()));
        }
    }

    /// Each in a request of its own.
    async fn send_each(&self, batch: Vec<Waiting>, uncertain: bool) {
        let each = batch.into_iter().map(async |one| {
            let mut result = self.etcd.transact_guarded(&one.write, Admission::AT_ONCE).await;
            match &mut result {
                Ok(reply) => reply.uncertain |= uncertain,
                Err(fault) => fault.not_executed &= !uncertain,
            }
            let _ = one.answer.send(result);
        });
        future::join_all(each).await;
    }
}

impl Drop for Flight {
    /// The runtime ended in the middle, or something panicked: the next one can go; this one has no caller
    /// left.
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.etcd.inner.backlog.state();
            if let Some(ticket) = self.batch {
                state.queue.done(ticket);
            }
            state.flights -= 1;
            if state.flights == 0 {
                state.queue.abandon();
            }
        }
    }
}
