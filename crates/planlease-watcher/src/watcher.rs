//! The handle of a watcher: owns its one task, can stop it and wait for it.

use std::{sync::Arc, time::Duration};

use planlease::Coordinator;
use planlease_core::Revision;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    error::Error,
    filter::Filter,
    follow::follow,
    hub::{Health, Hub, Resumed},
    recall::Recall,
    scope::Scope,
    snapshot::Snapshot,
    source::{Scoped, Source},
    subscription::{Subscription, Why},
};

/// Watcher configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How many changes are kept for subscribers that are behind or come back. Bounds the memory: a change
    /// holds a task's record and the one before it, usually some 300 bytes each, or a plan that appeared, as
    /// far as it is not the same any more. A subscriber that is further behind is given a snapshot. Default:
    /// 4,096.
    pub changes_kept: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { changes_kept: 4_096 }
    }
}

impl Options {
    /// Sets how many changes are kept for subscribers that are behind or come back.
    #[must_use]
    pub fn changes_kept(self, changes: usize) -> Self {
        Self { changes_kept: changes }
    }
}

/// Watches one namespace, or some plans of it, for any number of subscribers: one list, then one watch, and
/// no further request while nothing breaks.
///
/// Share it in an [`Arc`]. Dropping it stops it.
#[derive(Debug)]
#[must_use = "dropping the watcher stops it"]
pub struct Watcher {
    hub: Arc<Hub>,
    revision: watch::Receiver<Option<Revision>>,
    news: watch::Receiver<u64>,
    cancel: CancellationToken,
    task: TaskTracker,
    recall: Recall,
    _stop_on_drop: DropGuard,
}

impl Watcher {
    /// Starts to watch the coordinator's namespace.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(coordinator: Coordinator) -> Self {
        Self::start_with(coordinator, Options::default())
    }

    /// As [`Watcher::start`], with options.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_with(coordinator: Coordinator, options: Options) -> Self {
        Self::start_scoped(coordinator, Scope::namespace(), options)
    }

    /// As [`Watcher::start_with`], for a part of the namespace: its snapshots have nothing else, and its
    /// subscribers receive nothing else, whatever their filters say.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_scoped(coordinator: Coordinator, scope: Scope, options: Options) -> Self {
        Self::follow(Scoped::new(coordinator, scope), options)
    }

    pub(crate) fn follow(source: impl Source, options: Options) -> Self {
        let (hub, publisher) = Hub::new(options.changes_kept);
        let source = Arc::new(source);
        let recall = Recall::of(Arc::clone(&source));
        let (revision, news) = (publisher.revisions(), publisher.news());
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let task = TaskTracker::new();
        task.spawn(async move {
            let result = stop.run_until_cancelled(follow(&*source, &publisher)).await.unwrap_or(Ok(()));
            if let Err(error) = &result {
                tracing::error!(%error, "the watcher ended");
            }
            publisher.end(result);
        });
        task.close();
        Self { hub, revision, news, cancel: cancel.clone(), task, recall, _stop_on_drop: cancel.drop_guard() }
    }

    /// Waits for the first snapshot. While etcd cannot be reached, that is for as long as it takes.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Failed`].
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn ready(&self) -> Result<Snapshot, Error> {
        let mut revision = self.revision.clone();
        let there = revision.wait_for(Option::is_some).await.is_ok();
        self.snapshot().filter(|_| there).ok_or_else(|| self.end())
    }

    /// Everything as it is now; `None` before the first list. After the end: as it was last.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.hub.snapshot()
    }

    /// Waits until everything up to a revision is known: to read one's own write, wait for its revision.
    /// Costs no request.
    ///
    /// A revision that changed nothing in what it covers is reached when etcd says that it has sent
    /// everything, some seconds after it fell silent; the snapshot's own revision is lower then. (etcd before
    /// 3.4.25 and 3.5.8 may say so too early, right after a reconnection. A snapshot of the revision that was
    /// waited for, or above, is proof.)
    ///
    /// # Errors
    /// [`Error::Behind`], [`Error::Closed`], [`Error::Failed`], [`Error::WentBack`].
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn wait_for(&self, wanted: Revision, within: Duration) -> Result<Snapshot, Error> {
        let reached = |revision: &Option<Revision>| revision.is_some_and(|revision| revision >= wanted);
        let mut revision = self.revision.clone();
        match tokio::time::timeout(within, revision.wait_for(reached)).await {
            Ok(Ok(_)) => self.snapshot().ok_or_else(|| self.end()),
            Ok(Err(_)) => Err(self.end()),
            Err(_) => Err(Error::Behind { wanted, within }),
        }
    }

    /// Subscribes, once the first snapshot is there. Without `from`, the first delivery is a snapshot. With
    /// it, the changes after that revision are delivered, if they are all kept or in etcd's history (up to
    /// [`Options::changes_kept`] of them), and else a snapshot ([`Why::NotKept`]): so a subscriber can leave
    /// and come back, also to another process's watcher.
    ///
    /// # Errors
    /// [`Error::Future`]; [`Error::Closed`], [`Error::Failed`], [`Error::WentBack`] if the watcher has ended.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn subscribe(&self, filter: Filter, from: Option<Revision>) -> Result<Subscription, Error> {
        self.ready().await?;
        if self.news.has_changed().is_err() {
            return Err(self.end());
        }
        let news = WatchStream::from_changes(self.news.clone());
        let (position, why) = match from {
            None => (None, Why::Beginning),
            Some(from) => match self.recall.resume(&self.hub, from).await? {
                Resumed::At(position) => (Some(position), Why::Lagged),
                Resumed::Before { .. } | Resumed::NotKept => (None, Why::NotKept),
            },
        };
        Ok(Subscription::new(self.hub.enter(), filter, position, why, news))
    }

    /// How it does.
    #[must_use]
    pub fn health(&self) -> Health {
        self.hub.health()
    }

    /// Why etcd is not heard of; `None` while it is. The watcher goes on trying.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.hub.trouble()
    }

    /// Why it ended; `None` while it runs, and if it was closed.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.hub.failure()
    }

    /// Waits until it has ended, for whatever reason.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn ended(&self) -> Error {
        self.task.wait().await;
        self.end()
    }

    /// Stops it and waits until it has stopped. Subscribers read what is there already, and then the end.
    ///
    /// # Errors
    /// Why it had ended before.
    ///
    /// # Cancel safety
    /// Dropped early, it still stops.
    pub async fn close(&self) -> Result<(), Error> {
        self.cancel.cancel();
        self.task.wait().await;
        self.error().map_or(Ok(()), Err)
    }

    fn end(&self) -> Error {
        self.error().unwrap_or(Error::Closed)
    }
}
