//! The watchers of one stream: which are up to date, which are behind, and what comes next. Pure.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::proto::PbWatchResponse;

use crate::mvcc::{Event, Store};
use crate::range::header;
use crate::watch_spec::WatchSpec;

/// The watch id of an answer that concerns a whole stream, or no watcher at all.
pub(crate) const NO_WATCH: i64 = -1;

/// The watches of one stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    watchers: BTreeMap<i64, Watcher>,
    /// The watchers that are behind, the furthest first: the first revision that was not sent, and the
    /// watcher.
    behind: BTreeSet<(i64, i64)>,
    /// Who begins in the future, at which revision.
    future: BTreeSet<(i64, i64)>,
    /// Whose next event was compacted away.
    lost: BTreeSet<i64>,
    /// Ids of watches that a compaction ended. As in etcd, each stays taken until the client cancels it.
    ended: BTreeSet<i64>,
    /// To whom a periodic progress notification is due.
    due: BTreeSet<i64>,
    next_watch: i64,
    progress_requested: bool,
}

#[derive(Debug)]
struct Watcher {
    spec: WatchSpec,
    place: Place,
    /// Something was said since the last tick of the progress timer.
    sent: bool,
}

/// How far the events of a watcher were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// All of its events were sent.
    Level,
    /// Nothing before the one revision or after the other one concerns it, of what has happened.
    Behind(i64, i64),
    /// It has to be notified that it is gone.
    Lost,
}

impl Stream {
    /// Number of ids that are taken.
    pub(crate) fn len(&self) -> usize {
        self.watchers.len() + self.ended.len()
    }

    fn is_taken(&self, id: i64) -> bool {
        self.watchers.contains_key(&id) || self.ended.contains(&id)
    }

    /// Keeps the id of a watch that a compaction ended.
    pub(crate) fn retire(&mut self, id: i64) {
        self.ended.insert(id);
    }

    /// Frees the id of a watch that a compaction ended. Returns whether there was one.
    pub(crate) fn free(&mut self, id: i64) -> bool {
        self.ended.remove(&id)
    }

    /// Adds a watcher and returns its id; `None` if there is one of the id that it asks for.
    pub(crate) fn add(&mut self, spec: WatchSpec, store: &Store) -> Option<i64> {
        let id = match spec.watch_id {
            0 => self.free_id(),
            id if self.is_taken(id) => return None,
            id => id,
        };
        let (start, visible, is_level) = (spec.start_revision, store.visible(), spec.is_level(store));
        self.watchers.insert(id, Watcher { spec, place: Place::Level, sent: false });
        if start > visible {
            self.future.insert((start, id));
        } else if start != 0 && start < store.visible_compaction() {
            self.put(id, Place::Lost);
        } else if start != 0 && !is_level {
            self.put(id, Place::Behind(start, visible));
        }
        Some(id)
    }

    /// Removes a watcher and returns what it had asked for; `None` if it is not there.
    pub(crate) fn remove(&mut self, id: i64) -> Option<WatchSpec> {
        self.put(id, Place::Level);
        self.due.remove(&id);
        let spec = self.watchers.remove(&id)?.spec;
        self.future.remove(&(spec.start_revision, id));
        Some(spec)
    }

    /// The watchers, with what they asked for.
    pub(crate) fn specs(&self) -> impl Iterator<Item = (i64, &WatchSpec)> {
        self.watchers.iter().map(|(id, watcher)| (*id, &watcher.spec))
    }

    pub(crate) fn request_progress(&mut self) {
        self.progress_requested = true;
    }

    /// The progress timer went off.
    pub(crate) fn tick(&mut self) {
        let silent = |watcher: &Watcher| watcher.spec.progress_notify && !watcher.sent;
        self.due = self.watchers.iter().filter(|(_, watcher)| silent(watcher)).map(|(id, _)| *id).collect();
        self.watchers.values_mut().for_each(|watcher| watcher.sent = false);
    }

    /// Something happened, at the newest revision so far: if it concerns the watcher, that one is behind now.
    /// Whether it does.
    pub(crate) fn happened(&mut self, id: i64, revision: i64, event: &Event) -> bool {
        let Some(watcher) = self.watchers.get(&id) else { return false };
        if revision < watcher.spec.start_revision || !watcher.spec.wants(event) {
            return false;
        }
        match watcher.place {
            Place::Level => self.put(id, Place::Behind(revision, revision)),
            Place::Behind(from, _) => self.put(id, Place::Behind(from, revision)),
            Place::Lost => {}
        }
        true
    }

    /// One whose events are gone.
    pub(crate) fn lost(&self) -> Option<i64> {
        self.lost.first().copied()
    }

    /// The next message about what has happened, and whether it may be sent in fragments. Who is furthest
    /// behind comes first, so that a busy watcher cannot starve another.
    pub(crate) fn catch_up(&mut self, store: &Store) -> Option<(PbWatchResponse, bool)> {
        loop {
            let (_, id) = *self.behind.first()?;
            let watcher = self.watchers.get_mut(&id)?;
            let Place::Behind(from, until) = watcher.place else { return None };
            let (events, next) = watcher.spec.events(from, until, store);
            let fragmented = watcher.spec.fragment;
            watcher.sent |= !events.is_empty();
            self.put(id, next.map_or(Place::Level, |next| Place::Behind(next, until)));
            if !events.is_empty() {
                self.due.remove(&id);
                // A client may take it for "sent up to here".
                let header = Some(header(next.map_or(store.visible(), |next| next - 1)));
                return Some((
                    PbWatchResponse { header, watch_id: id, events, ..Default::default() },
                    fragmented,
                ));
            }
        }
    }

    /// A progress notification, requested or due. No watcher is behind here.
    pub(crate) fn progress(&mut self, store: &Store) -> Option<PbWatchResponse> {
        let notification = |watch_id| PbWatchResponse {
            header: Some(header(store.visible())),
            watch_id,
            ..Default::default()
        };
        let next = store.visible() + 1;
        self.future.retain(|(start, _)| *start > next);
        if std::mem::take(&mut self.progress_requested) && self.future.is_empty() && !self.watchers.is_empty()
        {
            return Some(notification(NO_WATCH));
        }
        let id = *self.due.iter().find(|id| self.watchers[id].spec.start_revision <= next)?;
        self.due.remove(&id);
        Some(notification(id))
    }

    /// Who needs an older revision than this one is lost. Whether anybody is.
    pub(crate) fn lose_before(&mut self, oldest: i64) -> bool {
        while let Some((_, id)) = self.behind.first().copied().filter(|(from, _)| *from < oldest) {
            self.put(id, Place::Lost);
        }
        !self.lost.is_empty()
    }

    /// The oldest revision whose events are still to be sent.
    pub(crate) fn needs(&self) -> Option<i64> {
        self.behind.first().map(|(from, _)| *from)
    }

    #[cfg(test)]
    pub(crate) fn behind(&self) -> impl Iterator<Item = i64> {
        self.behind.iter().map(|(_, id)| *id)
    }

    /// Notes where a watcher is now.
    fn put(&mut self, id: i64, place: Place) {
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        match std::mem::replace(&mut watcher.place, place) {
            Place::Behind(from, _) => drop(self.behind.remove(&(from, id))),
            Place::Lost => drop(self.lost.remove(&id)),
            Place::Level => {}
        }
        match place {
            Place::Behind(from, _) => drop(self.behind.insert((from, id))),
            Place::Lost => drop(self.lost.insert(id)),
            Place::Level => {}
        }
    }

    fn free_id(&mut self) -> i64 {
        while self.is_taken(self.next_watch) {
            self.next_watch += 1;
        }
        let id = self.next_watch;
        self.next_watch += 1;
        id
    }
}
