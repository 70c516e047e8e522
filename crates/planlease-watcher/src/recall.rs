//! What subscribers have missed from before the beginning of what is kept, as after a restart: read again
//! from etcd's history, once for all of them.

use std::{pin::Pin, sync::Arc, time::Duration};

use planlease::History;
use planlease_core::Revision;
use tokio::sync::Mutex;

use crate::{
    change::ChangeSet,
    error::Error,
    hub::{Hub, Resumed},
    loading::Loading,
    source::Source,
};

/// How long the history may take to read; then its subscriber begins with a snapshot.
const WITHIN: Duration = Duration::from_secs(5);

/// The largest number of tasks: the state at the beginning of the history is read as well.
const MOST_TASKS: usize = 20_000;

type Reading = Pin<Box<dyn Future<Output = Result<Option<History>, planlease::Error>> + Send>>;

/// Reads history, one stretch at a time.
pub(crate) struct Recall {
    read: Box<dyn Fn(Revision, Revision, usize) -> Reading + Send + Sync>,
    /// The latest revision from which the history was not to be had.
    hopeless: Mutex<Option<Revision>>,
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recall").field("hopeless", &self.hopeless).finish_non_exhaustive()
    }
}

impl Recall {
    /// From this source.
    pub(crate) fn of<S: Source>(source: Arc<S>) -> Self {
        let read = move |from, until, most| -> Reading {
            let source = Arc::clone(&source);
            Box::pin(async move { source.history(from, until, most).await })
        };
        Self { read: Box::new(read), hopeless: Mutex::default() }
    }

    /// Sees to it that a subscriber can go on from this revision, if the history is there. Several wait for
    /// one another.
    ///
    /// # Errors
    /// As for [`Hub::resume`].
    pub(crate) async fn resume(&self, hub: &Hub, from: Revision) -> Result<Resumed, Error> {
        let resumed = hub.resume(from)?;
        if !matches!(resumed, Resumed::Before { .. }) {
            return Ok(resumed);
        }
        let mut hopeless = self.hopeless.lock().await;
        // Another subscriber may have had it read meanwhile.
        let Resumed::Before { floor, room } = hub.resume(from)? else { return hub.resume(from) };
        if *hopeless >= Some(from) || tasks(hub) > MOST_TASKS {
            return Ok(Resumed::NotKept);
        }
        match tokio::time::timeout(WITHIN, (self.read)(from, floor, room)).await {
            Ok(Ok(Some(history))) if hub.recall(from, floor, sets(&history)) => return hub.resume(from),
            Ok(Ok(_)) => *hopeless = Some(from),
            Ok(Err(error)) => tracing::info!(%error, %from, "the history was not read"),
            Err(_) => tracing::info!(%from, "the history was not read in time"),
        }
        Ok(Resumed::NotKept)
    }
}

fn tasks(hub: &Hub) -> usize {
    hub.snapshot().map_or(0, |snapshot| snapshot.plans().map(|plan| plan.summary().total).sum())
}

/// What the history means to subscribers.
fn sets(history: &History) -> Vec<Arc<ChangeSet>> {
    let mut store = Loading::all_of(&history.base).finish().store;
    history.sets.iter().filter_map(|set| store.apply(set)).map(Arc::new).collect()
}
