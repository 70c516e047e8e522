//! The watchers and what each is to be told next. Pure.
//!
//! Nothing is queued per watcher. A watcher is a cursor into the event log of the store, and its stream pulls
//! one message at a time, when the client has room for it. So a client that does not read costs one cursor,
//! and holds up nobody; when it reads again, it catches up from history, as etcd's unsynced watchers do.
//!
//! A compaction would take events away from a watcher that is only a moment late. Therefore the log keeps
//! what the cursors still need, up to [`Limits::watch_backlog_max`] revisions; a watcher further behind is
//! told, as in etcd, that its revision was compacted.

use std::collections::BTreeMap;

use etcd_client::EventType;
use etcd_client::proto::{PbEvent, PbKeyValue, PbWatchResponse};
use prost::Message;

use crate::key_range::KeyRange;
use crate::limits::Limits;
use crate::mvcc::{Event, Store};
use crate::range::{header, to_wire};
use crate::status::Refusal;

/// Bytes of events after which a message is full; one revision is never divided.
const MESSAGE_BYTES: usize = 1024 * 1024;
/// The watch id of an answer that concerns a whole stream, or no watcher at all.
const NO_WATCH: i64 = -1;

/// What a client asks to be told.
#[derive(Clone, Debug)]
pub(crate) struct WatchSpec {
    pub(crate) range: KeyRange,
    /// 0 is "from now on".
    pub(crate) start_revision: i64,
    /// 0 lets the server choose.
    pub(crate) watch_id: i64,
    pub(crate) progress_notify: bool,
    pub(crate) prev_kv: bool,
    pub(crate) fragment: bool,
    pub(crate) no_put: bool,
    pub(crate) no_delete: bool,
}

/// All streams of watchers.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    streams: BTreeMap<u64, Stream>,
    next_stream: u64,
}

#[derive(Debug, Default)]
struct Stream {
    watchers: BTreeMap<i64, Watcher>,
    next_watch: i64,
    progress_requested: bool,
}

#[derive(Debug)]
struct Watcher {
    spec: WatchSpec,
    /// The first revision it was not told about yet.
    cursor: i64,
    /// Its next event was compacted away.
    lost: bool,
    /// A periodic progress notification is due.
    progress_due: bool,
    /// Something was said since the last tick of the progress timer.
    told: bool,
}

impl Hub {
    /// Registers a stream.
    pub(crate) fn open(&mut self) -> u64 {
        self.next_stream += 1;
        self.streams.insert(self.next_stream, Stream::default());
        self.next_stream
    }

    /// Forgets a stream and all its watchers.
    pub(crate) fn close(&mut self, stream: u64) {
        self.streams.remove(&stream);
    }

    /// Number of watchers.
    pub(crate) fn len(&self) -> usize {
        self.streams.values().map(|stream| stream.watchers.len()).sum()
    }

    /// Adds a watcher, or says in the answer why not.
    pub(crate) fn create(
        &mut self,
        stream: u64,
        spec: WatchSpec,
        store: &Store,
        limits: &Limits,
    ) -> PbWatchResponse {
        let created = |watch_id, cancel_reason: &str| PbWatchResponse {
            header: Some(header(store.visible())),
            watch_id,
            created: true,
            canceled: !cancel_reason.is_empty(),
            cancel_reason: cancel_reason.to_owned(),
            ..Default::default()
        };
        let Some(stream) = self.streams.get_mut(&stream) else {
            return created(NO_WATCH, "the stream is closed");
        };
        if spec.start_revision < 0 {
            return created(NO_WATCH, Refusal::Compacted.parts().1);
        }
        if spec.range.is_empty() {
            return created(NO_WATCH, "mvcc: watcher range is empty");
        }
        if stream.watchers.len() >= limits.watches_per_stream_max {
            return created(NO_WATCH, "too many watches on one stream");
        }
        let id = match spec.watch_id {
            0 => stream.free_id(),
            id if stream.watchers.contains_key(&id) => {
                return created(NO_WATCH, "mvcc: duplicate watch ID provided on the WatchStream");
            }
            id => id,
        };
        let start = spec.start_revision;
        let cursor = if start == 0 { store.visible() + 1 } else { start };
        let lost = start != 0 && start < store.visible_compaction();
        stream.watchers.insert(id, Watcher { spec, cursor, lost, progress_due: false, told: false });
        created(id, "")
    }

    /// Removes a watcher; there is nothing to say about one that is not there.
    pub(crate) fn cancel(&mut self, stream: u64, watch_id: i64, store: &Store) -> Option<PbWatchResponse> {
        self.streams.get_mut(&stream)?.watchers.remove(&watch_id)?;
        Some(PbWatchResponse {
            header: Some(header(store.visible())),
            watch_id,
            canceled: true,
            ..Default::default()
        })
    }

    /// Asks for one answer as soon as every watcher of the stream has been told everything. As in etcd there is
    /// none without a watcher, nor with one that begins in the future.
    pub(crate) fn request_progress(&mut self, stream: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.progress_requested = true;
        }
    }

    /// The progress timer of the stream went off.
    pub(crate) fn tick(&mut self, stream: u64) {
        for watcher in
            self.streams.get_mut(&stream).into_iter().flat_map(|stream| stream.watchers.values_mut())
        {
            watcher.progress_due = watcher.spec.progress_notify && !watcher.told;
            watcher.told = false;
        }
    }

    /// What the stream is to be told next: one message, or its fragments; none when there is nothing to say.
    pub(crate) fn next(&mut self, stream: u64, store: &Store, limits: &Limits) -> Vec<PbWatchResponse> {
        let Some(stream) = self.streams.get_mut(&stream) else { return Vec::new() };
        if let Some(canceled) = stream.cancel_lost(store) {
            return vec![canceled];
        }
        // The one that is furthest behind comes first, so that a busy watcher cannot starve another.
        while let Some((id, watcher)) = stream.furthest_behind(store.visible()) {
            if let Some(message) = watcher.catch_up(id, store) {
                watcher.told = true;
                watcher.progress_due = false;
                return if watcher.spec.fragment { fragments(message, limits) } else { vec![message] };
            }
        }
        stream.progress(store).into_iter().collect()
    }

    /// Lets the log go as far as a compaction demands and the watchers allow.
    pub(crate) fn release_events(&mut self, store: &mut Store, limits: &Limits) {
        let compaction = store.visible_compaction();
        if store.log_start().is_none_or(|start| start >= compaction) {
            return;
        }
        let mut needed = compaction;
        for watcher in self.streams.values_mut().flat_map(|stream| stream.watchers.values_mut()) {
            if watcher.lost || watcher.cursor >= needed {
                continue;
            }
            let behind = u64::try_from(store.visible() - watcher.cursor).unwrap_or(0);
            if behind > limits.watch_backlog_max {
                watcher.lost = true;
            } else {
                needed = watcher.cursor;
            }
        }
        store.drop_events_before(needed);
    }
}

impl Stream {
    fn free_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_watch) {
            self.next_watch += 1;
        }
        let id = self.next_watch;
        self.next_watch += 1;
        id
    }

    fn cancel_lost(&mut self, store: &Store) -> Option<PbWatchResponse> {
        let id = *self.watchers.iter().find(|(_, watcher)| watcher.lost)?.0;
        self.watchers.remove(&id);
        Some(PbWatchResponse {
            header: Some(header(store.visible())),
            watch_id: id,
            canceled: true,
            compact_revision: store.visible_compaction(),
            ..Default::default()
        })
    }

    fn furthest_behind(&mut self, visible: i64) -> Option<(i64, &mut Watcher)> {
        let behind = self.watchers.iter_mut().filter(|(_, watcher)| watcher.cursor <= visible);
        behind.min_by_key(|(_, watcher)| watcher.cursor).map(|(id, watcher)| (*id, watcher))
    }

    fn progress(&mut self, store: &Store) -> Option<PbWatchResponse> {
        let next = store.visible() + 1;
        let told = |watch_id| PbWatchResponse {
            header: Some(header(store.visible())),
            watch_id,
            ..Default::default()
        };
        // Nobody is behind here.
        let all_told = self.watchers.values().all(|watcher| watcher.cursor == next);
        if std::mem::take(&mut self.progress_requested) && all_told && !self.watchers.is_empty() {
            return Some(told(NO_WATCH));
        }
        let due = |(_, watcher): &(&i64, &mut Watcher)| watcher.progress_due && watcher.cursor == next;
        let (id, watcher) = self.watchers.iter_mut().find(due)?;
        watcher.progress_due = false;
        Some(told(*id))
    }
}

impl Watcher {
    /// Moves the cursor on and returns what it came across, if anything.
    fn catch_up(&mut self, id: i64, store: &Store) -> Option<PbWatchResponse> {
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut next = store.visible() + 1;
        for (revision, of_revision) in store.events_from(self.cursor) {
            if bytes >= MESSAGE_BYTES {
                next = revision;
                break;
            }
            for event in of_revision.iter().filter(|event| self.spec.wants(event)) {
                let event = self.spec.to_wire(event, revision, store.visible_compaction());
                bytes += event.encoded_len();
                events.push(event);
            }
        }
        self.cursor = next;
        // Not the visible revision: a client may take the header's for "told up to here".
        let header = header(next - 1);
        (!events.is_empty()).then(|| PbWatchResponse {
            header: Some(header),
            watch_id: id,
            events,
            ..Default::default()
        })
    }
}

impl WatchSpec {
    fn wants(&self, event: &Event) -> bool {
        let filtered = if event.put.is_some() { self.no_put } else { self.no_delete };
        !filtered && self.range.contains(&event.key)
    }

    fn to_wire(&self, event: &Event, revision: i64, compaction: i64) -> PbEvent {
        let kv = event.put.as_deref().map_or_else(|| tombstone(event, revision), |kv| to_wire(kv, false));
        // What was before the oldest revision is gone, even if we happen to have it still.
        let prev = event.prev.as_deref().filter(|_| self.prev_kv && revision > compaction);
        let created = event.put.as_ref().is_some_and(|kv| kv.create_revision == revision);
        PbEvent {
            r#type: if event.put.is_some() { EventType::Put } else { EventType::Delete }.into(),
            kv: Some(kv),
            prev_kv: prev.filter(|_| !created).map(|kv| to_wire(kv, false)),
        }
    }
}

fn tombstone(event: &Event, revision: i64) -> PbKeyValue {
    PbKeyValue { key: event.key.to_vec(), mod_revision: revision, ..Default::default() }
}

/// Divides a message that is larger than a request may be; all parts but the last are marked.
fn fragments(message: PbWatchResponse, limits: &Limits) -> Vec<PbWatchResponse> {
    if message.encoded_len() < limits.request_bytes_max || message.events.len() < 2 {
        return vec![message];
    }
    let empty = PbWatchResponse { events: Vec::new(), fragment: true, ..message.clone() };
    let mut parts = vec![empty.clone()];
    let mut bytes = 0;
    for event in message.events {
        let event_bytes = event.encoded_len();
        if bytes > 0 && bytes + event_bytes >= limits.request_bytes_max {
            parts.push(empty.clone());
            bytes = 0;
        }
        bytes += event_bytes;
        parts.last_mut().expect("begins with one").events.push(event);
    }
    parts.last_mut().expect("begins with one").fragment = false;
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(watch_id: i64, start_revision: i64) -> WatchSpec {
        WatchSpec {
            range: KeyRange::from_wire(b"a", b"\0"),
            start_revision,
            watch_id,
            progress_notify: false,
            prev_kv: false,
            fragment: true,
            no_put: false,
            no_delete: false,
        }
    }

    /// Writes and publishes one revision of `events` events with values of `bytes` bytes.
    fn write(store: &mut Store, events: u8, bytes: usize) {
        let mut write = store.write();
        for key in 0..events {
            write.put(vec![b'a', key].into(), vec![0; bytes].into(), 0);
        }
        let (revision, _) = write.commit().unwrap();
        store.publish(revision, store.applied_compaction());
    }

    /// Watch id, events and header revision of each message until there is nothing more to say.
    fn drain(hub: &mut Hub, stream: u64, store: &Store, limits: &Limits) -> Vec<(i64, usize, i64)> {
        let messages =
            std::iter::from_fn(|| Some(hub.next(stream, store, limits)).filter(|next| !next.is_empty()));
        let summary = |m: PbWatchResponse| (m.watch_id, m.events.len(), m.header.unwrap().revision);
        messages.flatten().map(summary).collect()
    }

    #[test]
    fn whoever_is_furthest_behind_is_told_first_and_the_header_says_how_far() {
        let (mut hub, mut store, limits) = (Hub::default(), Store::default(), Limits::default());
        write(&mut store, 1, 700_000);
        write(&mut store, 2, 700_000);
        write(&mut store, 1, 1);
        let stream = hub.open();
        hub.create(stream, spec(7, 3), &store, &limits);
        hub.create(stream, spec(8, 2), &store, &limits);
        let told = drain(&mut hub, stream, &store, &limits);
        // The message of three events is above the fragment size, so it comes in two parts.
        assert_eq!(told, [(8, 2, 3), (8, 1, 3), (7, 2, 3), (7, 1, 4), (8, 1, 4)]);
    }

    #[test]
    fn progress_is_answered_only_when_all_were_told_everything() {
        let (mut hub, mut store, limits) = (Hub::default(), Store::default(), Limits::default());
        let stream = hub.open();
        hub.create(stream, spec(7, 0), &store, &limits);
        write(&mut store, 1, 1);
        hub.request_progress(stream);
        assert_eq!(drain(&mut hub, stream, &store, &limits), [(7, 1, 2), (NO_WATCH, 0, 2)]);
        hub.create(stream, spec(8, 4), &store, &limits);
        hub.request_progress(stream);
        assert_eq!(drain(&mut hub, stream, &store, &limits), [], "one of them begins in the future");
        write(&mut store, 1, 1);
        assert_eq!(drain(&mut hub, stream, &store, &limits), [(7, 1, 3)], "and that was that");
    }

    #[test]
    fn fragments_are_marked_but_for_the_last() {
        let event = PbEvent {
            kv: Some(PbKeyValue { value: vec![0; 40], ..Default::default() }),
            ..Default::default()
        };
        let message = PbWatchResponse { events: vec![event; 5], ..Default::default() };
        let limits = Limits { request_bytes_max: 100, ..Limits::default() };
        let parts = fragments(message, &limits);
        let shape: Vec<_> = parts.iter().map(|part| (part.events.len(), part.fragment)).collect();
        assert_eq!(shape, [(2, true), (2, true), (1, false)]);
    }

    #[test]
    fn the_log_is_kept_for_those_within_the_backlog_only() {
        let (mut hub, mut store) = (Hub::default(), Store::default());
        let limits = Limits { watch_backlog_max: 5, ..Limits::default() };
        let (near, far) = (hub.open(), hub.open());
        hub.create(far, spec(1, 0), &store, &limits);
        for _ in 0..3 {
            write(&mut store, 1, 1);
        }
        hub.create(near, spec(1, 0), &store, &limits);
        for _ in 0..4 {
            write(&mut store, 1, 1);
        }
        store.compact(8).unwrap();
        store.publish(8, 8);
        hub.release_events(&mut store, &limits);
        assert_eq!(store.log_start(), Some(5));
        let lost = hub.next(far, &store, &limits).remove(0);
        assert!(lost.canceled && lost.compact_revision == 8, "{lost:?}");
        assert_eq!(drain(&mut hub, near, &store, &limits), [(1, 4, 8)]);
        hub.release_events(&mut store, &limits);
        assert_eq!(store.log_start(), Some(8));
    }
}
