//! Whether requests to etcd succeed: the watch may stand on an old connection while no new one can be made.

use std::time::Duration;

use planlease::{Coordinator, Error, core::BootTime};
use tokio::sync::Mutex;

/// How long etcd may be silent before the sidecar counts as not ready. It is asked after some seconds.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// How long an answer counts: probes cost etcd one small read in this time, however many there are.
const FRESH: Duration = Duration::from_secs(1);

/// How long etcd is asked. Kubernetes gives a probe one second.
const PATIENCE: Duration = Duration::from_millis(700);

/// Whether requests to etcd succeed.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Felt>>);

/// What was found out last.
#[derive(Debug)]
struct Felt {
    at: BootTime,
    /// When a request last succeeded.
    heard: Option<BootTime>,
    /// Since when requests fail.
    failing: Option<BootTime>,
    trouble: Option<String>,
}

impl Pulse {
    /// Why requests fail; `None` if they succeed. An etcd that does not answer may be electing a leader, and
    /// has the time that a silent watch has; one that refuses has not.
    pub(crate) async fn trouble(&self, coordinator: &Coordinator) -> Option<String> {
        self.feel(coordinator, |felt| felt.trouble.clone()).await
    }

    /// When a request last succeeded; `None` if none has yet.
    pub(crate) async fn heard(&self, coordinator: &Coordinator) -> Option<BootTime> {
        self.feel(coordinator, |felt| felt.heard).await
    }

    async fn feel<T>(&self, coordinator: &Coordinator, read: impl FnOnce(&Felt) -> T) -> T {
        let mut last = self.0.lock().await; // One asks, the others wait for its answer.
        let clock = coordinator.clock();
        if let Some(felt) = last.as_ref().filter(|felt| felt.at.until(clock.boot()) < FRESH) {
            return read(felt);
        }
        let error = coordinator.ping(PATIENCE).await.err();
        let at = clock.boot();
        let failing = error.as_ref().map(|_| last.as_ref().and_then(|felt| felt.failing).unwrap_or(at));
        let trouble = error.zip(failing).and_then(|(error, since)| {
            let silent = matches!(error, Error::Unreachable(_) | Error::OutcomeUnknown(_));
            let failed = !silent || since.until(at) > SILENCE;
            failed.then(|| format!("requests to etcd fail: {}", planlease::error_chain(&error)))
        });
        let before = last.as_ref().and_then(|felt| felt.trouble.as_ref());
        match (&trouble, before) {
            (Some(trouble), None) => tracing::warn!(trouble, "not ready"),
            (None, Some(_)) => tracing::info!("requests to etcd succeed again"),
            _ => {}
        }
        let heard = if failing.is_none() { Some(at) } else { last.as_ref().and_then(|felt| felt.heard) };
        read(last.insert(Felt { at, heard, failing, trouble }))
    }
}
