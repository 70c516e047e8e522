//! The multi-version store: keys, their history, revisions, compaction. Pure: no clock, no I/O.
//!
//! There are two revisions. *Applied* is what the writer has done; *visible* is what has been made
//! durable as well. A reader is given a [`View`] at the visible revision, so that it can never see what a
//! crash could take back; the writer, who answers only after its batch is durable, looks at the applied one.
//! A compaction is treated alike: it is noted when applied, and history is gone for readers when it becomes
//! visible. The versions themselves are removed in [steps](Store::sweep), so that no write waits for millions
//! of them.
//!
//! The whole history since the last compaction is in memory, once per version: keys and values are shared
//! between the index, the event log and the answers under way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::key_range::KeyRange;
use crate::status::Refusal;

/// One version of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    /// Revision of the put that brought the key into being.
    pub(crate) create_revision: i64,
    pub(crate) mod_revision: i64,
    /// Puts since the key came into being, beginning with 1.
    pub(crate) version: i64,
    /// 0 is no lease.
    pub(crate) lease: i64,
}

/// What one operation did to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: Bytes,
    /// The new version, or `None` for a deletion.
    pub(crate) put: Option<Arc<KeyValue>>,
    /// The key as of the revision before, whatever else the same transaction did to it.
    pub(crate) prev: Option<Arc<KeyValue>>,
}

/// A place in history: a revision, and the position within its transaction.
pub(crate) type RowId = (i64, u32);

#[derive(Clone, Debug)]
struct Version {
    at: RowId,
    /// `None` is a tombstone.
    kv: Option<Arc<KeyValue>>,
}

/// All keys with their history.
#[derive(Debug)]
pub(crate) struct Store {
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// The events of each revision that is still needed by a watcher, present or future; before them those
    /// that are not needed, whose keys are still to be swept.
    log: BTreeMap<i64, Vec<Event>>,
    /// The first revision in the log that is needed.
    log_from: i64,
    applied: i64,
    applied_compaction: i64,
    visible: i64,
    visible_compaction: i64,
    /// Bytes of keys and values of all versions.
    bytes: u64,
}

/// An empty store is at revision 1, as etcd's.
const FIRST_REVISION: i64 = 1;
/// Nothing was compacted yet, as etcd says it: so revision 0 is not compacted.
const NEVER_COMPACTED: i64 = -1;

impl Default for Store {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            log: BTreeMap::new(),
            log_from: 0,
            applied: FIRST_REVISION,
            applied_compaction: NEVER_COMPACTED,
            visible: FIRST_REVISION,
            visible_compaction: NEVER_COMPACTED,
            bytes: 0,
        }
    }
}

impl Store {
    /// The revision readers may see.
    pub(crate) fn visible(&self) -> i64 {
        self.visible
    }

    /// The revision up to which history is gone for readers; -1 if it never was.
    pub(crate) fn visible_compaction(&self) -> i64 {
        self.visible_compaction
    }

    /// The revision of the last applied write.
    pub(crate) fn applied(&self) -> i64 {
        self.applied
    }

    /// The revision of the last applied compaction.
    pub(crate) fn applied_compaction(&self) -> i64 {
        self.applied_compaction
    }

    /// Bytes of all keys and values in memory, history included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What readers see.
    pub(crate) fn read(&self) -> View<'_> {
        View { store: self, revision: self.visible, oldest: self.visible_compaction }
    }

    /// What the writer sees between two writes.
    pub(crate) fn read_applied(&self) -> View<'_> {
        View { store: self, revision: self.applied, oldest: self.applied_compaction }
    }

    /// Begins a transaction. It takes effect as it goes, so the caller checks everything first.
    pub(crate) fn write(&mut self) -> Write<'_> {
        Write { store: self, events: Vec::new() }
    }

    /// Notes that history up to `revision` is to go.
    ///
    /// # Errors
    /// `Compacted` if it has gone already, `FutureRevision` if it has not happened yet.
    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), Refusal> {
        if revision <= self.applied_compaction {
            return Err(Refusal::Compacted);
        }
        if revision > self.applied {
            return Err(Refusal::FutureRevision);
        }
        self.applied_compaction = revision;
        Ok(())
    }

    /// Shows readers everything up to these two revisions.
    pub(crate) fn publish(&mut self, revision: i64, compaction: i64) {
        debug_assert!(self.visible <= revision && revision <= self.applied, "published out of order");
        self.visible = revision;
        self.visible_compaction = self.visible_compaction.max(compaction);
    }

    /// Whether there are versions that no reader can ask for any more.
    pub(crate) fn has_garbage(&self) -> bool {
        self.log.first_key_value().is_some_and(|(revision, _)| *revision < self.log_from)
    }

    /// Removes versions that no reader can ask for any more, of the keys of at least `events` events if there
    /// are so many. Returns the rows that were removed.
    pub(crate) fn sweep(&mut self, events: usize) -> Vec<RowId> {
        let (mut swept, mut removed) = (0, Vec::new());
        while swept < events
            && let Some(entry) = self.log.first_entry()
            && *entry.key() < self.log_from
        {
            let changed = entry.remove();
            swept += changed.len();
            for event in changed {
                self.sweep_key(&event.key, &mut removed);
            }
        }
        removed.sort_unstable();
        removed
    }

    fn sweep_key(&mut self, key: &[u8], removed: &mut Vec<RowId>) {
        let compaction = self.visible_compaction;
        let Some(versions) = self.keys.get_mut(key) else { return };
        let mut bytes = 0;
        for version in versions.drain(..first_kept(versions, compaction)) {
            removed.push(version.at);
            bytes += version_bytes(key, version.kv.as_deref());
        }
        if versions.is_empty() {
            self.keys.remove(key);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The events of the visible revisions from the one to the other one, oldest first.
    pub(crate) fn events(&self, from: i64, until: i64) -> impl Iterator<Item = (i64, &[Event])> {
        let until = until.min(self.visible);
        let range = (from <= until).then(|| self.log.range(from..=until));
        range.into_iter().flatten().map(|(revision, events)| (*revision, &events[..]))
    }

    /// The oldest revision in the event log that is needed.
    pub(crate) fn log_start(&self) -> Option<i64> {
        self.log.range(self.log_from..).next().map(|(revision, _)| *revision)
    }

    /// Says that the events before `revision` are not needed any more.
    pub(crate) fn drop_events_before(&mut self, revision: i64) {
        self.log_from = self.log_from.max(revision);
    }

    /// Puts back one row that was read from disk. Rows come in their order.
    pub(crate) fn restore(&mut self, at: RowId, key: Bytes, put: Option<Arc<KeyValue>>) {
        let prev = self.at(&key, at.0 - 1).cloned();
        self.bytes += version_bytes(&key, put.as_deref());
        self.keys.entry(key.clone()).or_default().push(Version { at, kv: put.clone() });
        self.log.entry(at.0).or_default().push(Event { key, put, prev });
    }

    /// Ends a restore: everything that was read is visible. Rows that a crash left over from a compaction are
    /// garbage.
    pub(crate) fn restored(&mut self, revision: i64, compaction: i64) {
        self.applied = revision;
        self.applied_compaction = compaction;
        self.publish(revision, compaction);
        self.drop_events_before(compaction);
    }

    /// The live keys and their leases as of the applied revision.
    pub(crate) fn leased_keys(&self) -> impl Iterator<Item = (&Bytes, i64)> {
        let live = self.keys.iter().filter_map(|(key, versions)| Some((key, versions.last()?.kv.as_ref()?)));
        live.filter(|(_, kv)| kv.lease != 0).map(|(key, kv)| (key, kv.lease))
    }

    /// Every version from after the visible compaction's to `revision`, tombstones as `None`, by key.
    pub(crate) fn versions(
        &self,
        revision: i64,
    ) -> impl Iterator<Item = (&Bytes, RowId, Option<&Arc<KeyValue>>)> {
        self.keys.iter().flat_map(move |(key, versions)| {
            let until = versions.partition_point(|version| version.at.0 <= revision);
            let from = first_kept(versions, self.visible_compaction).min(until);
            versions[from..until].iter().map(move |version| (key, version.at, version.kv.as_ref()))
        })
    }

    fn at(&self, key: &[u8], revision: i64) -> Option<&Arc<KeyValue>> {
        version_at(self.keys.get(key)?, revision)
    }
}

/// How many versions of a key a compaction makes useless. What was current at the compacted revision stays. A
/// tombstone goes, except one of exactly that revision: a watch may still begin there.
fn first_kept(versions: &[Version], compaction: i64) -> usize {
    let newer = versions.partition_point(|version| version.at.0 <= compaction);
    let kept = newer.checked_sub(1).filter(|&current| {
        let version = &versions[current];
        version.kv.is_some() || version.at.0 == compaction
    });
    kept.unwrap_or(newer)
}

fn version_at(versions: &[Version], revision: i64) -> Option<&Arc<KeyValue>> {
    let newer = versions.partition_point(|version| version.at.0 <= revision);
    versions[..newer].last()?.kv.as_ref()
}

fn version_bytes(key: &[u8], kv: Option<&KeyValue>) -> u64 {
    let bytes = key.len() + kv.map_or(0, |kv| kv.value.len());
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The store at one revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    store: &'a Store,
    revision: i64,
    oldest: i64,
}

impl<'a> View<'a> {
    /// The revision looked at.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// The oldest revision that can be read; -1 if nothing was compacted.
    pub(crate) fn oldest(&self) -> i64 {
        self.oldest
    }

    /// The same store at another revision; zero and below mean this one.
    ///
    /// # Errors
    /// `FutureRevision`, `Compacted`.
    pub(crate) fn at(self, revision: i64) -> Result<Self, Refusal> {
        if revision > self.revision {
            return Err(Refusal::FutureRevision);
        }
        let revision = if revision <= 0 { self.revision } else { revision };
        if revision < self.oldest {
            return Err(Refusal::Compacted);
        }
        Ok(Self { revision, ..self })
    }

    /// One key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&'a Arc<KeyValue>> {
        self.store.at(key, self.revision)
    }

    /// The live keys of a range, in order.
    pub(crate) fn range(&self, range: &KeyRange) -> impl Iterator<Item = &'a Arc<KeyValue>> + use<'a> {
        let (store, revision) = (self.store, self.revision);
        let walk = range.bounds().map(|bounds| store.keys.range::<[u8], _>(bounds));
        walk.into_iter().flatten().filter_map(move |(_, versions)| version_at(versions, revision))
    }
}

/// A transaction under way. However much it writes, it is one revision.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    store: &'a mut Store,
    events: Vec<Event>,
}

impl Write<'_> {
    /// The revision a read inside the transaction reports: the next one as soon as something was written.
    pub(crate) fn revision(&self) -> i64 {
        self.store.applied + i64::from(!self.events.is_empty())
    }

    /// What a read inside the transaction sees: earlier writes of it included.
    pub(crate) fn read(&self) -> View<'_> {
        View { store: self.store, revision: self.revision(), oldest: self.store.applied_compaction }
    }

    /// Puts a key.
    pub(crate) fn put(&mut self, key: Bytes, value: Bytes, lease: i64) {
        let at = self.next();
        let before = self.store.at(&key, at.0);
        let (create_revision, version) = before.map_or((at.0, 1), |kv| (kv.create_revision, kv.version + 1));
        let kv = KeyValue { key: key.clone(), value, create_revision, mod_revision: at.0, version, lease };
        self.push(at, key, Some(Arc::new(kv)));
    }

    /// Deletes the keys of a range and returns them.
    pub(crate) fn delete(&mut self, range: &KeyRange) -> Vec<Arc<KeyValue>> {
        let found: Vec<_> = self.read().range(range).cloned().collect();
        for kv in &found {
            let at = self.next();
            self.push(at, kv.key.clone(), None);
        }
        found
    }

    /// Ends the transaction. Returns its revision and what it did; without writes there is none.
    pub(crate) fn commit(self) -> Option<(i64, Vec<Event>)> {
        if self.events.is_empty() {
            return None;
        }
        self.store.applied += 1;
        self.store.log.insert(self.store.applied, self.events.clone());
        Some((self.store.applied, self.events))
    }

    fn next(&self) -> RowId {
        let position =
            u32::try_from(self.events.len()).expect("a transaction has far fewer than 2^32 writes");
        (self.store.applied + 1, position)
    }

    fn push(&mut self, at: RowId, key: Bytes, put: Option<Arc<KeyValue>>) {
        let prev = self.store.at(&key, self.store.applied).cloned();
        self.store.bytes += version_bytes(&key, put.as_deref());
        self.store.keys.entry(key.clone()).or_default().push(Version { at, kv: put.clone() });
        self.events.push(Event { key, put, prev });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A few keys that are prefixes and neighbours of each other.
    const KEYS: [&str; 6] = ["a", "aa", "ab", "b", "c", "d"];

    #[derive(Clone, Debug)]
    enum Op {
        Put(usize, u8, i64),
        /// From one key up to another; the same twice is the one key.
        Delete(usize, usize),
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(Vec<Op>),
        /// So many revisions back from the latest.
        Compact(i64),
        Publish,
        /// Removes what is garbage, of so many events.
        Sweep(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let op = prop_oneof![
            3 => (0..KEYS.len(), any::<u8>(), 0..3_i64).prop_map(|(key, value, lease)| Op::Put(key, value, lease)),
            1 => (0..KEYS.len(), 0..KEYS.len()).prop_map(|(from, to)| Op::Delete(from, to)),
        ];
        let step = prop_oneof![
            8 => proptest::collection::vec(op, 0..4).prop_map(Step::Write),
            1 => (0..5_i64).prop_map(Step::Compact),
            2 => Just(Step::Publish),
            2 => (0..5_usize).prop_map(Step::Sweep),
        ];
        proptest::collection::vec(step, 1..40)
    }

    /// The store as simple as it can be: a whole map for each revision.
    struct Model {
        snapshots: Vec<BTreeMap<&'static str, KeyValue>>,
        compacted: i64,
    }

    impl Model {
        fn latest(&self) -> i64 {
            i64::try_from(self.snapshots.len()).unwrap()
        }

        fn at(&self, revision: i64) -> &BTreeMap<&'static str, KeyValue> {
            &self.snapshots[usize::try_from(revision - 1).unwrap()]
        }

        fn write(&mut self, ops: &[Op]) {
            let revision = self.latest() + 1;
            let mut now = self.at(revision - 1).clone();
            let mut wrote = false;
            for op in ops {
                match *op {
                    Op::Put(key, value, lease) => {
                        let before = now.get(KEYS[key]);
                        let kv = KeyValue {
                            key: Bytes::from_static(KEYS[key].as_bytes()),
                            value: Bytes::copy_from_slice(&[value]),
                            create_revision: before.map_or(revision, |kv| kv.create_revision),
                            mod_revision: revision,
                            version: before.map_or(1, |kv| kv.version + 1),
                            lease,
                        };
                        now.insert(KEYS[key], kv);
                        wrote = true;
                    }
                    Op::Delete(from, to) => {
                        let before = now.len();
                        now.retain(|key, _| !range(from, to).contains(key.as_bytes()));
                        wrote |= now.len() < before;
                    }
                }
            }
            if wrote {
                self.snapshots.push(now);
            }
        }
    }

    fn range(from: usize, to: usize) -> KeyRange {
        let end = if from == to { "" } else { KEYS[to] };
        KeyRange::from_wire(KEYS[from].as_bytes(), end.as_bytes())
    }

    fn apply(store: &mut Store, ops: &[Op]) {
        let mut write = store.write();
        for op in ops {
            match *op {
                Op::Put(key, value, lease) => write.put(
                    Bytes::from_static(KEYS[key].as_bytes()),
                    Bytes::copy_from_slice(&[value]),
                    lease,
                ),
                Op::Delete(from, to) => drop(write.delete(&range(from, to))),
            }
        }
        write.commit();
    }

    /// Everything a reader can ask for, against the model.
    fn compare(store: &Store, model: &Model, visible: i64, compacted: i64) {
        assert_eq!((store.visible(), store.visible_compaction()), (visible, compacted));
        assert_eq!(store.read().at(visible + 1).unwrap_err(), Refusal::FutureRevision);
        if compacted > 1 {
            assert_eq!(store.read().at(compacted - 1).unwrap_err(), Refusal::Compacted);
        }
        let all = KeyRange::from_wire(&[0], &[0]);
        for revision in compacted.max(1)..=visible {
            let view = store.read().at(revision).unwrap();
            let found: Vec<_> = view.range(&all).map(|kv| (**kv).clone()).collect();
            assert_eq!(found, model.at(revision).values().cloned().collect::<Vec<_>>(), "at {revision}");
        }
        // A revision's events lead from the map before it to its own.
        let mut sent = compacted.max(1);
        for (revision, events) in store.events(compacted.max(1) + 1, i64::MAX) {
            assert_eq!(revision, sent + 1);
            let mut map = model.at(revision - 1).clone();
            for event in events {
                let key = KEYS.into_iter().find(|key| event.key == key.as_bytes()).unwrap();
                assert_eq!(event.prev.as_deref(), model.at(revision - 1).get(key));
                match &event.put {
                    Some(kv) => drop(map.insert(key, (**kv).clone())),
                    None => drop(map.remove(key)),
                }
            }
            assert_eq!(&map, model.at(revision));
            sent = revision;
        }
        assert_eq!(sent, visible.max(compacted));
    }

    proptest! {
            #[test]
            fn behaves_as_a_map_per_revision(steps in steps()) {
                let mut store = Store::default();
                let mut model = Model { snapshots: vec![BTreeMap::new()], compacted: NEVER_COMPACTED };
                let (mut visible, mut compacted) = (1, NEVER_COMPACTED);
                for step in steps {
                    match step {
                        Step::Write(ops) => {
                            apply(&mut store, &ops);
                            model.write(&ops);
                        }
                        Step::Compact(back) => {
                            let at = model.latest() - back;
                            prop_assert_eq!(store.compact(at).is_ok(), at > model.compacted);
                            model.compacted = model.compacted.max(at);
                        }
                        Step::Publish => {
                            (visible, compacted) = (model.latest(), model.compacted);
                            store.publish(visible, compacted);
                        }
                        Step::Sweep(events) => {
                            store.drop_events_before(compacted);
                            store.sweep(events);
                        }
                    }
                    compare(&store, &model, visible, compacted);
                }
            }

            #[test]
            fn is_the_same_after_a_restore_from_its_rows(steps in steps()) {
                let mut store = Store::default();
                for step in steps {
                    match step {
                        Step::Write(ops) => apply(&mut store, &ops),
                        Step::Compact(back) => drop(store.compact(store.applied() - back)),
                        Step::Publish => store.publish(store.applied(), store.applied_compaction()),
                        Step::Sweep(events) => drop(store.sweep(events)),
                    }
                }
                store.publish(store.applied(), store.applied_compaction());
                store.drop_events_before(store.visible_compaction());
                let mut rows: Vec<_> = store
                    .versions(store.applied())
                    .map(|(key, at, kv)| (at, key.clone(), kv.cloned()))
                    .collect();
                rows.sort_by_key(|(at, ..)| *at);
                let mut restored = Store::default();
                for (at, key, put) in rows {
                    restored.restore(at, key, put);
                }
                restored.restored(store.applied(), store.applied_compaction());
                prop_assert_eq!(restored.sweep(usize::MAX), vec![], "what is read is what is kept");
                let unswept = store.versions(i64::MAX).count();
                store.sweep(usize::MAX);
                prop_assert_eq!(store.versions(i64::MAX).count(), unswept, "a sweep changes nothing that is seen");
    let compaction = store.visible_compaction();
                let garbage = |versions: &Vec<Version>| versions[..first_kept(versions, compaction)].to_vec();
                let left: Vec<_> = store.keys.values().flat_map(garbage).collect();
                // What the compacted revision itself made useless goes with the next compaction.
                prop_assert!(left.iter().all(|version| version.at.0 == compaction), "{:?}", left);
                let all = |store: &Store| {
                    let rows = store.versions(i64::MAX).map(|(key, at, kv)| (key.clone(), at, kv.cloned()));
                    rows.collect::<Vec<_>>()
                };
                prop_assert_eq!(all(&restored), all(&store));
                if left.is_empty() {
                    prop_assert_eq!(restored.bytes(), store.bytes());
                }
            }
        }

    #[test]
    fn a_deletion_at_the_compacted_revision_is_still_watched() {
        let mut store = Store::default();
        apply(&mut store, &[Op::Put(0, 1, 0)]);
        apply(&mut store, &[Op::Delete(0, 0)]);
        store.compact(3).unwrap();
        store.publish(3, 3);
        store.drop_events_before(3);
        assert_eq!(store.sweep(usize::MAX), [(2, 0)]);
        assert_eq!(store.events(3, i64::MAX).count(), 1);
        apply(&mut store, &[Op::Put(1, 1, 0)]);
        store.compact(4).unwrap();
        store.publish(4, 4);
        store.drop_events_before(4);
        assert_eq!(store.sweep(usize::MAX), [(3, 0)]);
        assert_eq!(store.bytes(), 3, "one key of two bytes and its value");
    }
}
