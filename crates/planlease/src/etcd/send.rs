//! Sending of requests with one answer: what a request waits for before it is sent, where and for how long it
//! is tried, and what is known about its outcome. Everything that is decided about that is decided here.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use etcd_client::Client;
use planlease_core::Revision;
use tokio::time::Instant;

use super::{
    authority_guard::Guarded,
    client::Etcd,
    fault::Fault,
    rows::MAX_DECODED,
    turns::Turn,
    txn::{Branch, Reply, Transaction},
};
use crate::retry::Backoff;

/// The first and the longest wait before a request is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What a request waits for before it is sent, and how long it is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    /// Whether it waits until it is one of the few that may be under way.
    turn: bool,
    /// How long it waits for its turn, and how long it is tried from then on. `None`: the operation timeout.
    budget: Option<Duration>,
}

impl Admission {
    /// Waits for its turn, for as long as an operation may take; then it is tried for as long again.
    pub(crate) const TURN: Self = Self { turn: true, budget: None };

    /// Is sent at once: for callers that bound themselves how many requests they have under way.
    pub(super) const AT_ONCE: Self = Self { turn: false, budget: None };

    /// The same with another budget.
    pub(super) const fn within(self, budget: Duration) -> Self {
        Self { budget: Some(budget), ..self }
    }
}

/// A request under way.
///
/// In a box, of a type that does not name it: so the callers' futures stay small, and a crate that awaits one
/// does not compile everything below it once more.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

impl Etcd {
    /// Sends a transaction as it is.
    pub(super) async fn transact(&self, txn: &Transaction, admission: Admission) -> Result<Reply, Fault> {
        txn.check_limits()?;
        let sent = self.send(admission, |client| async move {
            let mut kv = client.kv_client().max_decoding_message_size(MAX_DECODED);
            let before = self.newest();
            let answer = kv.txn(txn.to_wire()).await.map_err(Fault::of)?;
            let reply = Reply::from_wire(answer.0)?;
            self.check_newest(before, reply.revision)?;
            Ok(reply)
        });
        let (mut reply, uncertain) = sent.await?;
        reply.uncertain = uncertain;
        Ok(reply)
    }

    /// Sends a transaction under a guard. The reply says whether the guard held.
    pub(super) async fn transact_guarded(
        &self,
        write: &Guarded,
        admission: Admission,
    ) -> Result<Reply, Fault> {
        let mut reply = self.transact(&write.whole(), admission).await?;
        if reply.branch == Branch::Otherwise {
            reply.guard_held = write.guard.holds(reply.last_row().as_ref());
        }
        Ok(reply)
    }

    /// The newest revision that any answer was of.
    pub(super) fn newest(&self) -> u64 {
        self.inner.newest.load(Ordering::Relaxed)
    }

    /// Refuses an answer that is older than what was known when it was asked for: some versions of etcd give
    /// stale ones after a member was paused. Another endpoint is asked then. `before`: from
    /// [`Etcd::newest`].
    pub(super) fn check_newest(&self, before: u64, answered: Revision) -> Result<(), Fault> {
        if answered.get() < before {
            return Err(Fault::stale(answered.get(), before));
        }
        self.inner.newest.fetch_max(answered.get(), Ordering::Relaxed);
        Ok(())
    }

    /// Makes a call that is no transaction, as [`Etcd::transact`] does. To repeat it must do no harm.
    pub(super) async fn call<T, F>(
        &self,
        admission: Admission,
        call: impl Fn(Arc<Client>) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.send(admission, call).await.map(|(answer, _)| answer)
    }

    /// Sends until there is an answer, or the time is up, on one endpoint after the other, with growing
    /// delays. Returns beside the answer whether a try before it may have been carried out too.
    async fn send<T, F>(
        &self,
        admission: Admission,
        call: impl Fn(Arc<Client>) -> F,
    ) -> Result<(T, bool), Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let _turn = self.turn(admission).await?;
        let budget = self.budget(admission);
        let deadline = Instant::now() + budget;
        let mut backoff = Backoff::new(RETRY.0, RETRY.1, Some(budget));
        let mut uncertain = false;
        let mut last: Option<Fault> = None;
        loop {
            let mut fault = match self.inner.unary.call(deadline, &call).await {
                Ok(answer) => return Ok((answer, uncertain)),
                // The last try was cut off: the one before it says more about why.
                Err(fault) if Instant::now() >= deadline => fault.or_before(last.take()),
                Err(fault) => fault,
            };
            uncertain |= !fault.not_executed;
            fault.not_executed = !uncertain; // One try that may have happened makes the whole uncertain.
            if !fault.is_worth_repeating(self.inner.endpoints.is_pinned()) {
                return Err(fault);
            }
            let Some(delay) = backoff.next(&self.inner.random) else { return Err(fault) };
            tracing::debug!(%fault, ?delay, "trying again");
            last = Some(fault);
            tokio::time::sleep(delay).await;
        }
    }

    /// How long a request is tried.
    pub(super) fn budget(&self, admission: Admission) -> Duration {
        admission.budget.unwrap_or(self.config().operation_timeout)
    }

    async fn turn(&self, admission: Admission) -> Result<Option<Turn<'_>>, Fault> {
        if !admission.turn {
            return Ok(None);
        }
        let request = self.config().request_timeout;
        self.inner.turns.next(request, self.budget(admission)).await.map(Some)
    }
}
