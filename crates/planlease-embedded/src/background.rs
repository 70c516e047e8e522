//! The background tasks of a server: one revokes leases whose time is up, one makes batches durable, one
//! removes what compactions made useless, and one compacts if the server is to do that by itself.
//!
//! All are owned by [`Tasks`]. Stopping ends them at once, except the committer, which finishes what is
//! queued: a write that is on its way to the disk is answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::compaction::Compactor;
use crate::engine::Engine;
use crate::options::KeptHistory;
use crate::shared::{End, Shared};
use crate::storage::Storage;

/// How long to sleep when there is no lease; anything that is never reached in practice does.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// How often a server that compacts itself looks whether it is time.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(5);

/// The running tasks of one server; dropping it stops them without waiting.
#[derive(Debug)]
#[must_use = "dropping it stops the tasks"]
pub(crate) struct Tasks {
    stop: CancellationToken,
    /// Those that end at once.
    prompt: Vec<JoinHandle<()>>,
    committer: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Starts the tasks; without storage there is nothing to commit.
    #[expect(clippy::disallowed_methods, reason = "the handle owns the tasks, stops them and waits for them")]
    pub(crate) fn start(
        shared: &Arc<Shared>,
        storage: Option<Storage>,
        compaction: Option<KeptHistory>,
        stop: CancellationToken,
    ) -> Self {
        let mut prompt = vec![
            tokio::spawn(expire(Arc::clone(shared), stop.clone())),
            tokio::spawn(sweep(Arc::clone(shared), stop.clone())),
        ];
        prompt.extend(compaction.map(|kept| tokio::spawn(compact(Arc::clone(shared), kept, stop.clone()))));
        let committer =
            storage.map(|storage| tokio::spawn(commit(Arc::clone(shared), storage, stop.clone())));
        Self { stop, prompt, committer }
    }

    /// Stops the tasks and waits until the queue is durable and the data folder closed.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // A task that panicked has said so; there is nothing left of it to wait for.
        for task in &mut self.prompt {
            drop(task.await);
        }
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

/// Sweeps step by step. Each step waits until the one before is durable, so that writes get their turn in
/// between.
async fn sweep(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let step = async {
            shared.garbage(true).await;
            let swept = shared.call_at_once(|engine, _| engine.sweep()).await;
            tokio::task::yield_now().await;
            swept
        };
        tokio::select! {
            biased; // Stopping comes first: what is left is swept after the next start.
            () = stop.cancelled() => return,
            swept = step => if swept.is_err() {
                return; // The server has ended.
            }
        }
    }
}

/// Compacts by itself.
async fn compact(shared: Arc<Shared>, kept: KeptHistory, stop: CancellationToken) {
    let mut compactor = Compactor::new(kept);
    loop {
        let mark = shared.read(Engine::published);
        if let Some(revision) = compactor.look(shared.now(), mark.revision, mark.compaction) {
            match shared.call_at_once(|engine, now| engine.compact(now, revision)).await {
                Ok(_) => tracing::info!(revision, "history was compacted"),
                Err(status) => tracing::debug!(revision, %status, "history was not compacted"),
            }
        }
        tokio::select! {
            biased; // Stopping comes first.
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COMPACTION_INTERVAL) => {}
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
