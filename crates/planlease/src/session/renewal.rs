//! The renewal of a session: the task that keeps its lease alive and publishes whether it can be relied on.
//!
//! It owns the stream and the timer; the decisions are [`planlease_core::session::Machine`]'s. It never
//! starts over: a lost session is reported, not repaired, since everything that hung on it is lost with it.

use std::{sync::Arc, time::Duration};

use planlease_core::{
    BootTime, LeaseId,
    session::{Command, Event, LossReason, Machine, Status},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, sleep_until},
    etcd::{Etcd, Fault, FaultKind, KeepAlive},
    retry::Backoff,
};

/// Reports progress of the work under a session. After it is dropped, no progress can be reported.
#[derive(Debug)]
pub struct Progress {
    clock: Arc<dyn Clock>,
    last: watch::Sender<BootTime>,
}

impl Progress {
    /// Progress that is required within this time, and what the renewal looks at.
    pub(super) fn within(
        within: Duration,
        clock: Arc<dyn Clock>,
    ) -> (Self, (Duration, watch::Receiver<BootTime>)) {
        let last = watch::Sender::new(clock.boot());
        let seen = last.subscribe();
        (Self { clock, last }, (within, seen))
    }

    /// Progress was made just now.
    pub fn note(&self) {
        self.last.send_replace(self.clock.boot());
    }
}

/// How long without progress renewals go on, and when there was some; `None` if no progress is required.
pub(super) type Gate = Option<(Duration, watch::Receiver<BootTime>)>;

/// The task that renews.
pub(super) struct Renewer {
    etcd: Etcd,
    clock: Arc<dyn Clock>,
    lease: LeaseId,
    machine: Machine,
    publish: watch::Sender<Status>,
    stream: Option<KeepAlive>,
    gate: watch::Receiver<Gate>,
    backoff: Backoff,
    wake_at: BootTime,
}

impl Renewer {
    /// A renewer, and where it publishes whether the session can be relied on.
    pub(super) fn new(
        etcd: &Etcd,
        lease: LeaseId,
        machine: Machine,
        gate: watch::Receiver<Gate>,
    ) -> (Self, watch::Receiver<Status>) {
        let (publish, status) = watch::channel(machine.status());
        let renewer = Self {
            etcd: etcd.clone(),
            clock: Arc::clone(&etcd.config().clock),
            lease,
            backoff: Backoff::new(Duration::from_millis(50), machine.timing().patience(), None),
            machine,
            publish,
            stream: None,
            gate,
            wake_at: BootTime::since_boot(Duration::ZERO),
        };
        (renewer, status)
    }

    /// Renews until the session is lost, or closed.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.handle(Event::Woke).await;
        while matches!(self.machine.status(), Status::Live { .. }) {
            let clock = Arc::clone(&self.clock);
            let event = tokio::select! {
                biased; // The end first; an answer before the timer, since it may move the deadline.
                () = cancel.cancelled() => Event::CloseRequested,
                answer = answer(&mut self.stream) => self.read(answer),
                () = sleep_until(clock.as_ref(), self.wake_at) => Event::Woke,
            };
            self.handle(event).await;
        }
    }

    async fn handle(&mut self, event: Event) {
        let renewed = matches!(event, Event::Renewed { .. });
        let mut pending = Some(event);
        while let Some(event) = pending.take() {
            for command in self.machine.handle(self.clock.boot(), event) {
                match command {
                    Command::WakeAt(moment) => self.wake_at = moment,
                    Command::Publish(status) => {
                        tracing::debug!(lease = %self.lease, ?status, "session");
                        self.publish.send_replace(status);
                    }
                    Command::Renew { reconnect } => pending = self.renew(reconnect).await,
                }
            }
        }
        if let (true, Status::Live { deadline }) = (renewed, self.machine.status()) {
            let timing = self.machine.timing();
            let sent = deadline.plus(timing.margin).minus(timing.ttl);
            self.etcd.counts().renewal(sent.until(self.clock.boot()));
        }
    }

    /// Sends a renewal; what follows at once, if anything. Never waits longer than until the machine has to
    /// decide.
    async fn renew(&mut self, reconnect: bool) -> Option<Event> {
        if self.stands_still() {
            tracing::warn!(lease = %self.lease, "the work under the session makes no progress: not renewed");
            return Some(Event::HeldBack { retry_after: self.machine.timing().patience() / 4 });
        }
        if reconnect && let Some(stream) = self.stream.take() {
            stream.give_up(&self.etcd);
        }
        let clock = Arc::clone(&self.clock);
        let wake_at = self.machine.wake_at();
        let renewal = async {
            match &mut self.stream {
                Some(stream) => stream.renew().await.map(|()| None),
                None => self.etcd.keep_alive(self.lease).await.map(Some),
            }
        };
        let sent = tokio::select! {
            biased; // An answer that is there counts, however late it is.
            sent = renewal => sent,
            () = sleep_until(clock.as_ref(), wake_at) => return Some(Event::Woke),
        };
        match sent {
            Ok(None) => None,
            Ok(Some(stream)) => {
                // Opening the stream was a renewal, and it was answered.
                self.stream = Some(stream);
                self.backoff.reset();
                Some(Event::Renewed { ttl: self.machine.timing().ttl })
            }
            Err(fault) => Some(self.read(Err(fault))),
        }
    }

    /// Whether progress is required, and there was none for too long.
    fn stands_still(&self) -> bool {
        let gate = self.gate.borrow();
        gate.as_ref().is_some_and(|(within, last)| last.borrow().plus(*within) < self.clock.boot())
    }

    fn read(&mut self, answer: Result<Duration, Fault>) -> Event {
        match answer {
            Ok(ttl) => Event::Renewed { ttl },
            Err(fault) if fault.kind == FaultKind::LeaseNotFound => Event::LeaseGone,
            Err(fault) => {
                tracing::debug!(lease = %self.lease, %fault, "a renewal failed");
                if let Some(stream) = self.stream.take() {
                    stream.give_up(&self.etcd);
                }
                Event::StreamFailed { retry_after: self.backoff.next(self.etcd.random()).unwrap_or_default() }
            }
        }
    }
}

impl Drop for Renewer {
    /// However the task ends, also aborted or with its runtime: a session that is not renewed any more is not
    /// shown as alive.
    fn drop(&mut self) {
        if let Status::Live { .. } = self.machine.status() {
            self.publish.send_replace(Status::Lost(LossReason::Closed));
        }
    }
}

async fn answer(stream: &mut Option<KeepAlive>) -> Result<Duration, Fault> {
    match stream {
        Some(stream) => stream.answer().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_renewer_that_is_aborted_publishes_the_end() {
        let config = Config::with_endpoints(vec!["127.0.0.1:1".parse().unwrap()]);
        let machine = Machine::open(config.timing(), config.clock.boot());
        let (_gate, gate) = watch::channel(None);
        let lease = LeaseId::from_wire(7).unwrap();
        let (renewer, status) = Renewer::new(&Etcd::new(config), lease, machine, gate);
        assert!(matches!(*status.borrow(), Status::Live { .. }));
        drop(renewer);
        assert_eq!(*status.borrow(), Status::Lost(LossReason::Closed));
    }
}
