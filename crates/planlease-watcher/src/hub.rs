//! Where the one task that reads and the many that subscribe meet. It is locked for moments only, never
//! across an await.
//!
//! The task owns the [`Publisher`]; when it ends, however it ends, the publisher is dropped, and everybody
//! learns of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use planlease_core::{BootTime, Revision};
use tokio::sync::watch;

use crate::{
    change::ChangeSet,
    error::Error,
    ring::{Overrun, Ring},
    snapshot::Snapshot,
};

/// What is shared.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// The present snapshot and the changes that led to it; `None` before the first list.
    present: Option<(Snapshot, Ring)>,
    failure: Option<Error>,
    /// Why nothing is heard of etcd, since it was heard last.
    trouble: Option<String>,
    health: Health,
}

/// How a watcher does: for health checks and metrics. Counts begin with its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The revision up to which everything is known, as far as etcd says; `None` before the first list. May
    /// be above the snapshot's, since other namespaces raise it too.
    pub revision: Option<Revision>,
    /// When etcd was last heard of. It is asked after some seconds of silence: if this is older than ten,
    /// etcd is not to be reached, and what is known grows stale.
    pub heard_at: Option<BootTime>,
    /// Whether the watch stands, as far as is known.
    pub connected: bool,
    /// Present subscribers.
    pub subscribers: usize,
    /// Change sets published.
    pub change_sets: u64,
    /// Changes published.
    pub changes: u64,
    /// How often the history was not to be had and the list was read again.
    pub resyncs: u64,
    /// How often the connection broke.
    pub breaks: u64,
    /// How often a subscriber fell behind and was given a snapshot instead.
    pub lagged: u64,
}

/// What there is at a subscriber's position.
pub(crate) enum Read {
    /// The next set, and the position after it.
    Set(Arc<ChangeSet>, u64),
    /// The position is gone, or there was none; the present, and the position after it.
    Present(Snapshot, u64),
    /// Nothing yet.
    Nothing,
}

/// Where a subscriber goes on.
pub(crate) enum Resumed {
    /// At this position.
    At(u64),
    /// Before everything that is kept, which goes back to `floor`; there is room for so many more changes.
    Before { floor: Revision, room: usize },
    /// Nowhere: it needs a snapshot.
    NotKept,
}

impl Hub {
    /// A hub that keeps `limit` changes for subscribers, and its publishing side.
    pub(crate) fn new(limit: usize) -> (Arc<Self>, Publisher) {
        let state = State { limit, present: None, failure: None, trouble: None, health: Health::default() };
        let hub = Arc::new(Self { state: Mutex::new(state) });
        let publisher =
            Publisher { hub: hub.clone(), revision: watch::Sender::new(None), news: watch::Sender::new(0) };
        (hub, publisher)
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.state().present.as_ref().map(|(snapshot, _)| snapshot.clone())
    }

    pub(crate) fn health(&self) -> Health {
        self.state().health
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.state().failure.clone()
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// What there is at a position; `None` stands for the beginning, which is a snapshot.
    pub(crate) fn read(&self, position: Option<u64>) -> Read {
        let mut state = self.state();
        let Some((snapshot, ring)) = &state.present else { return Read::Nothing };
        let end = ring.end();
        match position.map(|position| (position, ring.at(position))) {
            Some((position, Ok(Some(set)))) => Read::Set(set.clone(), position + 1),
            Some((_, Ok(None))) => Read::Nothing,
            None => Read::Present(snapshot.clone(), end),
            Some((_, Err(_))) => {
                let snapshot = snapshot.clone();
                state.health.lagged += 1;
                Read::Present(snapshot, end)
            }
        }
    }

    /// Where a subscriber goes on that has seen everything up to `from`.
    pub(crate) fn resume(&self, from: Revision) -> Result<Resumed, Error> {
        let state = self.state();
        let (Some((snapshot, ring)), Some(at)) = (&state.present, state.health.revision) else {
            return Ok(Resumed::NotKept);
        };
        if from > at {
            return Err(Error::Future { from, at });
        }
        let (floor, room) = (ring.floor(), ring.room());
        Ok(match ring.position_after(from) {
            // Above the snapshot's revision etcd says that there is nothing of ours. It may err; a snapshot
            // does not.
            Ok(position) if from <= snapshot.revision => Resumed::At(position),
            Err(Overrun) if from < floor && room > 0 => Resumed::Before { floor, room },
            Ok(_) | Err(Overrun) => Resumed::NotKept,
        })
    }

    /// Keeps change sets from before those that are kept. Whether they fit.
    pub(crate) fn recall(&self, from: Revision, floor: Revision, sets: Vec<Arc<ChangeSet>>) -> bool {
        let mut state = self.state();
        state.present.as_mut().is_some_and(|(_, ring)| ring.recall(from, floor, sets))
    }

    /// Counts a subscriber for as long as the returned value lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Subscribed {
        self.state().health.subscribers += 1;
        Subscribed(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscriber that counts.
#[derive(Debug)]
pub(crate) struct Subscribed(Arc<Hub>);

impl Subscribed {
    pub(crate) fn hub(&self) -> &Hub {
        &self.0
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.state().health.subscribers -= 1;
    }
}

/// The publishing side. Its end is the end of the stream for all subscribers.
#[derive(Debug)]
pub(crate) struct Publisher {
    hub: Arc<Hub>,
    /// The revision that is reached.
    revision: watch::Sender<Option<Revision>>,
    /// Wakes the subscribers.
    news: watch::Sender<u64>,
}

impl Publisher {
    pub(crate) fn revisions(&self) -> watch::Receiver<Option<Revision>> {
        self.revision.subscribe()
    }

    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Publishes the present snapshot, and the change set that led to it, if any.
    pub(crate) fn publish(&self, snapshot: Snapshot, set: Option<ChangeSet>) {
        let revision = snapshot.revision;
        let mut published = None;
        {
            let mut state = self.hub.state();
            let limit = state.limit;
            let first = state.present.is_none();
            let (present, ring) =
                state.present.get_or_insert_with(|| (snapshot.clone(), Ring::new(limit, revision)));
            let after = present.revision;
            *present = snapshot;
            if let Some(set) = set {
                let (resynced, changes) = (set.resynced, set.changes.len());
                ring.push(after, Arc::new(set));
                published = Some(ring.end());
                state.health.change_sets += 1;
                state.health.changes += u64::try_from(changes).unwrap_or(u64::MAX);
                state.health.resyncs += u64::from(resynced);
            } else if first {
                published = Some(ring.end());
            }
        }
        self.reached(revision);
        if let Some(end) = published {
            self.news.send_replace(end);
        }
    }

    /// etcd says that it has sent everything up to this revision.
    pub(crate) fn reached(&self, revision: Revision) {
        {
            let mut state = self.hub.state();
            state.health.revision = state.health.revision.max(Some(revision));
        }
        self.revision.send_if_modified(|reached| {
            let further = *reached < Some(revision);
            *reached = (*reached).max(Some(revision));
            further
        });
    }

    /// etcd was heard of.
    pub(crate) fn heard(&self, at: BootTime) {
        let mut state = self.hub.state();
        state.health.heard_at = Some(at);
        state.trouble = None;
    }

    /// etcd was asked, and this came of it.
    pub(crate) fn trouble(&self, reason: String) {
        self.hub.state().trouble = Some(reason);
    }

    /// The watch stands, or does not.
    pub(crate) fn connected(&self, connected: bool) {
        self.hub.state().health.connected = connected;
    }

    /// The connection broke, for this reason.
    pub(crate) fn broken(&self, reason: String) {
        let mut state = self.hub.state();
        state.trouble = Some(reason);
        state.health.connected = false;
        state.health.breaks += 1;
    }

    /// The end, with its reason if it was not wanted.
    pub(crate) fn end(self, result: Result<(), Error>) {
        let mut state = self.hub.state();
        state.health.connected = false;
        state.failure = result.err();
    }
}
