//! All streams of watchers, and what each must send next. Pure.
//!
//! Nothing is queued per watcher. A watcher is a cursor into the event log of the store, and its stream pulls
//! one message at a time, when the client has room for it. So a client that does not read costs one cursor,
//! and delays no other; when it reads again, it catches up from history, as etcd's unsynced watchers do.
//!
//! Most watchers wait, and most events do not concern them. So each event is matched once for all of them,
//! and only the watchers that it concerns fall behind until it is sent: ten thousand waiting watchers cost no
//! more than one.
//!
//! A compaction would take events away from a watcher that is only a moment late. Therefore the log keeps
//! what the cursors still need, up to [`Limits::watch_backlog_max`] revisions; a watcher further behind is
//! cancelled, as in etcd, since its revision was compacted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use etcd_client::proto::PbWatchResponse;

use crate::limits::Limits;
use crate::mvcc::Store;
use crate::range::header;
use crate::status::Refusal;
use crate::watch_spec::{WatchSpec, fragments};
use crate::watch_stream::{NO_WATCH, Stream};

/// All watches of the server.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    streams: BTreeMap<u64, Stream>,
    next_stream: u64,
    keys: Keys,
    /// The first revision that was not looked at.
    level: i64,
    /// Streams that have something to send since they were last asked.
    stirred: BTreeSet<u64>,
    /// Number of watchers.
    watchers: usize,
}

/// A watcher: its stream, and its id there.
type Who = (u64, i64);

/// The watchers that a key may concern.
#[derive(Debug, Default)]
struct Keys {
    single: HashMap<Bytes, BTreeSet<Who>>,
    /// Those of more than one key.
    wide: BTreeSet<Who>,
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
        for (id, spec) in self.streams.remove(&stream).iter().flat_map(Stream::specs) {
            self.keys.remove((stream, id), spec);
            self.watchers -= 1;
        }
        self.stirred.remove(&stream);
    }

    /// Number of watchers.
    pub(crate) fn len(&self) -> usize {
        self.watchers
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
        self.look(store);
        let Some(watchers) = self.streams.get_mut(&stream) else {
            return created(NO_WATCH, "the stream is closed");
        };
        if spec.start_revision < 0 {
            return created(NO_WATCH, Refusal::Compacted.parts().1);
        }
        if spec.range.is_empty() {
            return created(NO_WATCH, "mvcc: watcher range is empty");
        }
        if watchers.len() >= limits.watches_per_stream_max {
            return created(NO_WATCH, "too many watches on one stream");
        }
        let Some(id) = watchers.add(spec.clone(), store) else {
            return created(NO_WATCH, "mvcc: duplicate watch ID provided on the WatchStream");
        };
        self.keys.add((stream, id), &spec);
        self.watchers += 1;
        created(id, "")
    }

    /// Removes a watcher; there is nothing to say about one that is not there. One that a compaction ended
    /// before is confirmed again, and its id is free from then on.
    pub(crate) fn cancel(&mut self, stream: u64, watch_id: i64, store: &Store) -> Option<PbWatchResponse> {
        let watchers = self.streams.get_mut(&stream)?;
        match watchers.remove(watch_id) {
            Some(spec) => {
                self.keys.remove((stream, watch_id), &spec);
                self.watchers -= 1;
            }
            None if watchers.free(watch_id) => {}
            None => return None,
        }
        Some(PbWatchResponse {
            header: Some(header(store.visible())),
            watch_id,
            canceled: true,
            ..Default::default()
        })
    }

    /// Asks for one answer as soon as all events were sent to every watcher of the stream. As in etcd there
    /// is none without a watcher, nor with one that begins in the future.
    pub(crate) fn request_progress(&mut self, stream: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.request_progress();
        }
    }

    /// The progress timer of the stream went off.
    pub(crate) fn tick(&mut self, stream: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.tick();
        }
    }

    /// The next message of the stream, or its fragments; none when there is nothing to send.
    pub(crate) fn next(&mut self, stream: u64, store: &Store, limits: &Limits) -> Vec<PbWatchResponse> {
        self.look(store);
        let Some(watchers) = self.streams.get_mut(&stream) else { return Vec::new() };
        if let Some(id) = watchers.lost() {
            let canceled = self.cancel(stream, id, store);
            if let Some(watchers) = self.streams.get_mut(&stream) {
                watchers.retire(id);
            }
            let compact_revision = store.visible_compaction();
            return canceled
                .map(|canceled| PbWatchResponse { compact_revision, ..canceled })
                .into_iter()
                .collect();
        }
        match watchers.catch_up(store) {
            Some((message, true)) => fragments(message, limits),
            Some((message, false)) => vec![message],
            None => watchers.progress(store).into_iter().collect(),
        }
    }

    /// Lets the log go as far as a compaction demands and the watchers allow.
    pub(crate) fn release_events(&mut self, store: &mut Store, limits: &Limits) {
        let compaction = store.visible_compaction();
        if store.log_start().is_none_or(|start| start >= compaction) {
            return;
        }
        self.look(store);
        let backlog = i64::try_from(limits.watch_backlog_max).unwrap_or(i64::MAX);
        let oldest = compaction.min(store.visible().saturating_sub(backlog));
        for (id, stream) in &mut self.streams {
            if stream.lose_before(oldest) {
                self.stirred.insert(*id);
            }
        }
        let needed = self.streams.values().filter_map(Stream::needs).min();
        store.drop_events_before(needed.map_or(compaction, |needed| needed.min(compaction)));
    }

    /// The streams that are to be woken, since they have something to send that they had not when they were
    /// last asked for what is [next](Self::next).
    pub(crate) fn stirred(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.stirred)
    }

    /// Looks through what has happened since it was done last, for all; whom it concerns falls behind.
    pub(crate) fn look(&mut self, store: &Store) {
        let from = std::mem::replace(&mut self.level, store.visible() + 1);
        if self.watchers == 0 {
            return;
        }
        for (revision, events) in store.events(from, store.visible()) {
            for event in events {
                for (stream, id) in self.keys.told_of(&event.key) {
                    let watchers = self.streams.get_mut(&stream);
                    if watchers.is_some_and(|watchers| watchers.happened(id, revision, event)) {
                        self.stirred.insert(stream);
                    }
                }
            }
        }
    }
}

impl Keys {
    fn add(&mut self, who: Who, spec: &WatchSpec) {
        match spec.range.single() {
            Some(key) => self.single.entry(key.clone()).or_default().insert(who),
            None => self.wide.insert(who),
        };
    }

    fn remove(&mut self, who: Who, spec: &WatchSpec) {
        let Some(key) = spec.range.single() else {
            self.wide.remove(&who);
            return;
        };
        if let Some(all) = self.single.get_mut(key) {
            all.remove(&who);
            if all.is_empty() {
                self.single.remove(key);
            }
        }
    }

    fn told_of(&self, key: &[u8]) -> impl Iterator<Item = Who> {
        self.single.get(key).into_iter().flatten().chain(&self.wide).copied()
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbEvent, PbKeyValue};
    use proptest::prelude::*;

    use super::*;
    use crate::key_range::KeyRange;

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
    fn the_watcher_furthest_behind_is_served_first() {
        let (mut hub, mut store, limits) = (Hub::default(), Store::default(), Limits::default());
        write(&mut store, 1, 700_000);
        write(&mut store, 2, 700_000);
        write(&mut store, 1, 1);
        let stream = hub.open();
        hub.create(stream, spec(7, 3), &store, &limits);
        hub.create(stream, spec(8, 2), &store, &limits);
        let sent = drain(&mut hub, stream, &store, &limits);
        // The message of three events is above the fragment size, so it comes in two parts.
        assert_eq!(sent, [(8, 2, 3), (8, 1, 3), (7, 2, 3), (7, 1, 4), (8, 1, 4)]);
    }

    #[test]
    fn progress_is_answered_once_all_watchers_are_current() {
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
        hub.request_progress(stream);
        assert_eq!(
            drain(&mut hub, stream, &store, &limits),
            [(NO_WATCH, 0, 3)],
            "it begins with what is next"
        );
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
        drop((hub.look(&store), hub.stirred()));
        hub.release_events(&mut store, &limits);
        assert_eq!((store.log_start(), hub.stirred()), (Some(5), BTreeSet::from([far])));
        let lost = hub.next(far, &store, &limits).remove(0);
        assert!(lost.canceled && lost.compact_revision == 8, "{lost:?}");
        assert_eq!(drain(&mut hub, near, &store, &limits), [(1, 4, 8)]);
        hub.release_events(&mut store, &limits);
        assert_eq!(store.log_start(), Some(8));
        write(&mut store, 1, 1);
        write(&mut store, 1, 1);
        drain(&mut hub, near, &store, &limits);
        write(&mut store, 1, 1);
        store.compact(9).unwrap();
        store.publish(11, 9);
        hub.release_events(&mut store, &limits);
        assert_eq!(store.log_start(), Some(9), "no more than is compacted, whatever is still to be sent");
    }

    /// A watch of one key, or of those up to another one.
    fn of(range: (u8, Option<u8>), start_revision: i64) -> WatchSpec {
        let end = range.1.map_or_else(Vec::new, |end| vec![end]);
        WatchSpec { range: KeyRange::from_wire(&[range.0], &end), fragment: false, ..spec(0, start_revision) }
    }

    /// Writes and publishes one revision with a value for each of the keys.
    fn write_keys(store: &mut Store, keys: &BTreeSet<u8>) -> i64 {
        let mut write = store.write();
        keys.iter().for_each(|key| write.put(vec![*key].into(), Bytes::new(), 0));
        let (revision, _) = write.commit().unwrap();
        store.publish(revision, store.applied_compaction());
        revision
    }

    #[test]
    fn only_whom_it_concerns_falls_behind() {
        let (mut hub, mut store, limits) = (Hub::default(), Store::default(), Limits::default());
        let (stream, other) = (hub.open(), hub.open());
        hub.create(other, of((8, None), 0), &store, &limits);
        for key in 0..200 {
            hub.create(stream, of((key, None), 0), &store, &limits);
        }
        hub.create(stream, of((210, Some(220)), 0), &store, &limits);
        write_keys(&mut store, &BTreeSet::from([250]));
        assert_eq!(hub.next(stream, &store, &limits), []);
        assert!(hub.stirred().is_empty());
        write_keys(&mut store, &BTreeSet::from([7, 9, 251]));
        hub.look(&store);
        assert_eq!(hub.streams[&stream].behind().collect::<Vec<_>>(), [7, 9]);
        assert_eq!((hub.stirred(), hub.stirred()), (BTreeSet::from([stream]), BTreeSet::new()));
        assert_eq!(drain(&mut hub, stream, &store, &limits), [(7, 1, 3), (9, 1, 3)]);
        assert_eq!(hub.keys.told_of(&[9]).count(), 2, "and the one of the range is asked");
        for key in [7, 250] {
            hub.create(other, of((key, None), 3), &store, &limits);
        }
        let of_7 = hub.streams[&other].behind().count();
        assert_eq!(of_7, 1, "the other key is as it was before");
        assert_eq!(hub.len(), 204);
        hub.close(stream);
        (0..3).for_each(|id| drop(hub.cancel(other, id, &store).unwrap()));
        assert_eq!(hub.len(), 0);
        assert!(hub.keys.single.is_empty() && hub.keys.wide.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(BTreeSet<u8>),
        /// On one of two streams: from now on, or from some revisions ago, or to come.
        Add(usize, (u8, Option<u8>), Option<i64>),
        Remove(usize),
        Read(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 1_u8..6;
        let range = (key.clone(), proptest::option::of(key.clone()));
        prop_oneof![
            4 => proptest::collection::btree_set(key, 1..4).prop_map(Step::Write),
            2 => (0_usize..2, range, proptest::option::of(-4_i64..4))
                .prop_map(|(stream, range, start)| Step::Add(stream, range, start)),
            1 => (0_usize..8).prop_map(Step::Remove),
            2 => (0_usize..2, 0_usize..6).prop_map(|(stream, most)| Step::Read(stream, most)),
        ]
    }

    type Sent = BTreeMap<Who, Vec<(i64, Vec<u8>)>>;

    fn read(hub: &mut Hub, stream: u64, store: &Store, most: usize, sent: &mut Sent) {
        for _ in 0..most {
            let messages = hub.next(stream, store, &Limits::default());
            if messages.is_empty() {
                return;
            }
            for message in messages {
                let kvs = message.events.into_iter().map(|event| event.kv.unwrap());
                let sent = sent.entry((stream, message.watch_id)).or_default();
                sent.extend(kvs.map(|kv| (kv.mod_revision, kv.key)));
            }
        }
    }

    proptest! {
        /// However reading, writing, adding and removing alternate.
        #[test]
        fn each_watcher_gets_its_events_once_and_in_order(
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let (mut hub, mut store, limits) = (Hub::default(), Store::default(), Limits::default());
            let streams = [hub.open(), hub.open()];
            let (mut written, mut sent, mut watchers) = (Vec::new(), Sent::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Write(keys) => written.push((write_keys(&mut store, &keys), keys)),
                    Step::Add(on, range, start) => {
                        let spec = of(range, start.map_or(0, |by| (store.visible() + by).max(1)));
                        let now = store.visible() + 1;
                        let from = if spec.start_revision == 0 { now } else { spec.start_revision };
                        let created = hub.create(streams[on], spec.clone(), &store, &limits);
                        prop_assert_eq!(created.canceled, spec.range.is_empty());
                        if !created.canceled {
                            watchers.insert((streams[on], created.watch_id), (spec.range, from));
                        }
                    }
                    Step::Remove(nth) => {
                        if let Some(who) = watchers.keys().nth(nth).copied() {
                            prop_assert!(hub.cancel(who.0, who.1, &store).is_some());
                            watchers.remove(&who);
                            sent.remove(&who);
                        }
                    }
                    Step::Read(on, most) => read(&mut hub, streams[on], &store, most, &mut sent),
                }
            }
            streams.into_iter().for_each(|stream| read(&mut hub, stream, &store, usize::MAX, &mut sent));
            for (who, (range, from)) in watchers {
                let each = |(revision, keys): &(i64, BTreeSet<u8>)| {
                    let (revision, keys) = (*revision, keys.clone());
                    keys.into_iter().map(move |key| (revision, vec![key]))
                };
                let concerns = |(revision, key): &(i64, Vec<u8>)| *revision >= from && range.contains(key);
                let all: Vec<_> = written.iter().flat_map(each).filter(concerns).collect();
                prop_assert_eq!(sent.remove(&who).unwrap_or_default(), all);
            }
            prop_assert!(sent.is_empty());
        }
    }
}
