//! The two background tasks of a server: one revokes leases whose time is up, one makes batches durable.
//!
//! Both are owned by [`Tasks`]. Stopping ends the expiry at once and lets the committer finish what is queued:
//! nobody is told "stopped" about a write that is on its way to the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::shared::{End, Shared};
use crate::storage::Storage;

/// How long to sleep when there is no lease; anything that is never reached in practice does.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// The running tasks of one server; dropping it stops them without waiting.
#[derive(Debug)]
#[must_use = "dropping it stops the tasks"]
pub(crate) struct Tasks {
    stop: CancellationToken,
    expiry: JoinHandle<()>,
    committer: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Starts the tasks; without storage there is nothing to commit.
    #[expect(clippy::disallowed_methods, reason = "the handle owns the tasks, stops them and waits for them")]
    pub(crate) fn start(shared: &Arc<Shared>, storage: Option<Storage>, stop: CancellationToken) -> Self {
        let expiry = tokio::spawn(expire(Arc::clone(shared), stop.clone()));
        let committer =
            storage.map(|storage| tokio::spawn(commit(Arc::clone(shared), storage, stop.clone())));
        Self { stop, expiry, committer }
    }

    /// Stops the tasks and waits until the queue is durable and the data folder closed.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // A task that panicked has said so; there is nothing left of it to wait for.
        drop((&mut self.expiry).await);
        if let Some(committer) = &mut self.committer {
            drop(committer.await);
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn expire(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let next = shared.read(Engine::next_deadline).unwrap_or_else(|| shared.now() + NO_DEADLINE);
        let wake = shared.instant(next.min(shared.now() + NO_DEADLINE));
        let wake = wake.expect("a day from now can be represented");
        tokio::select! {
            biased; // Stopping comes first; a moved deadline before one that may not be the next any more.
            () = stop.cancelled() => return,
            () = shared.deadline.notified() => {}
            () = sleep_until(wake) => shared.with(Engine::expire),
        }
    }
}

async fn commit(shared: Arc<Shared>, mut storage: Storage, stop: CancellationToken) {
    loop {
        let batch = shared.with(|engine, _| engine.take_batch());
        let Some(mark) = batch.last().map(|entry| entry.mark) else {
            tokio::select! {
                biased; // What was acknowledged to the queue is written even when stopping.
                () = shared.work.notified() => continue,
                () = stop.cancelled() => break,
            }
        };
        let result = if storage.blocks() {
            // On a thread of its own: an fsync may take as long as the disk likes.
            let written = tokio::task::spawn_blocking(move || {
                let result = storage.commit(&batch);
                (storage, result)
            });
            match written.await {
                Ok((returned, result)) => {
                    storage = returned;
                    result
                }
                Err(panic) => {
                    tracing::error!(%panic, "writing to the data folder panicked");
                    return shared.end(End::Failed("the storage engine panicked".into()));
                }
            }
        } else {
            storage.commit(&batch)
        };
        if let Err(error) = result {
            tracing::error!(%error, "cannot write to the data folder");
            return shared.end(End::Failed(error.to_string().into()));
        }
        shared.with(|engine, _| engine.publish(mark));
    }
    if storage.blocks() {
        drop(tokio::task::spawn_blocking(move || drop(storage)).await);
    } else {
        drop(storage);
    }
    shared.end(End::Stopped);
}
