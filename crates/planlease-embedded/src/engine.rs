//! The server without its surroundings: store, lessor and watchers behind one set of operations. Pure: time
//! comes in with each call, and what is to be made durable goes out as a queue of [`Entry`].
//!
//! Every operation that depends on the applied state says in [`Done::seq`] how much of the queue must be
//! durable before its answer may be given. Without a journal everything counts as durable at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse,
    PbTxnRequest, PbTxnResponse, PbWatchResponse,
};

use crate::ids::Ids;
use crate::lessor::{LeaseInfo, Lessor};
use crate::limits::Limits;
use crate::mvcc::{Event, KeyValue, RowId, Store};
use crate::range::{self, header};
use crate::snapshot::Contents;
use crate::status::Refusal;
use crate::txn;
use crate::watch_hub::Hub;
use crate::watch_spec::WatchSpec;

/// Events whose keys one step of the sweep looks at: the lock is held for about a millisecond.
const SWEPT_EVENTS_PER_STEP: usize = 1_024;

/// Bytes that the removal of a row counts as: redb rewrites about a page for it.
const REMOVED_ROW_BYTES: usize = 4_096;

/// Bytes after which a batch is full, so that no commit takes long or much memory.
const COMMIT_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Something to be made durable.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// What one revision did.
    Events(i64, Vec<Event>),
    /// A lease and its TTL in seconds.
    Grant(i64, i64),
    /// A lease that is no more.
    Revoke(i64),
    /// History up to this revision is gone.
    Compact(i64),
    /// Rows that a compaction made useless.
    Drop(Vec<RowId>),
}

impl Record {
    /// Bytes of what it writes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Events(_, events) => events
                .iter()
                .map(|event| event.key.len() + event.put.as_ref().map_or(0, |kv| kv.value.len()))
                .sum(),
            Self::Drop(rows) => rows.len() * REMOVED_ROW_BYTES,
            Self::Grant(..) | Self::Revoke(_) | Self::Compact(_) => 0,
        }
    }
}

/// A record, and the state of the engine once it is durable.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) mark: Mark,
}

/// A point in the history of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of the last entry.
    pub(crate) seq: u64,
    pub(crate) revision: i64,
    pub(crate) compaction: i64,
    /// Number of records since the data folder was made; etcd's raft index.
    pub(crate) index: u64,
}

/// A result that may be returned once `seq` is durable.
#[derive(Debug)]
pub(crate) struct Done<T> {
    pub(crate) result: Result<T, Refusal>,
    pub(crate) seq: u64,
}

/// Store, lessor and watchers behind one set of operations.
#[derive(Debug)]
pub(crate) struct Engine {
    store: Store,
    lessor: Lessor,
    hub: Hub,
    ids: Ids,
    limits: Limits,
    ttl_min_secs: i64,
    journal: Option<VecDeque<Entry>>,
    applied: Mark,
    published: Mark,
    /// Leases whose grant is not durable yet, and the entry it waits for.
    fresh_leases: BTreeMap<i64, u64>,
}

impl Engine {
    /// An engine with the given contents, all of them durable. `index` is that of the last record.
    pub(crate) fn new(
        store: Store,
        lessor: Lessor,
        ids: Ids,
        limits: Limits,
        ttl_min_secs: i64,
        journal: bool,
        index: u64,
    ) -> Self {
        let mark = Mark { seq: 0, revision: store.applied(), compaction: store.applied_compaction(), index };
        Self {
            store,
            lessor,
            hub: Hub::default(),
            ids,
            limits,
            ttl_min_secs,
            journal: journal.then(VecDeque::new),
            applied: mark,
            published: mark,
            fresh_leases: BTreeMap::new(),
        }
    }

    /// How far everything is visible.
    pub(crate) fn published(&self) -> Mark {
        self.published
    }

    /// Number of leases.
    pub(crate) fn leases(&self) -> usize {
        self.lessor.len()
    }

    /// Number of watches.
    pub(crate) fn watches(&self) -> usize {
        self.hub.len()
    }

    /// Bytes of keys and values in memory, history included.
    pub(crate) fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    /// The store, for looking at the visible revision.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Entries that wait for the journal.
    pub(crate) fn queued(&self) -> usize {
        self.journal.as_ref().map_or(0, VecDeque::len)
    }

    /// The oldest entries that wait for the journal.
    pub(crate) fn take_batch(&mut self) -> Vec<Entry> {
        let Some(journal) = &mut self.journal else { return Vec::new() };
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let room = bytes < COMMIT_BATCH_BYTES;
            bytes += entry.record.bytes();
            room
        };
        let count = journal.iter().take(self.limits.commit_batch_max).take_while(fits).count();
        journal.drain(..count).collect()
    }

    /// Makes everything up to a mark visible, since it is durable.
    pub(crate) fn publish(&mut self, mark: Mark) {
        self.published = mark;
        self.fresh_leases.retain(|_, seq| *seq > mark.seq);
        self.store.publish(mark.revision, mark.compaction);
        self.hub.look(&self.store);
        self.hub.release_events(&mut self.store, &self.limits);
    }

    /// Whether a compaction left something to [sweep](Self::sweep).
    pub(crate) fn has_garbage(&self) -> bool {
        self.store.has_garbage()
    }

    /// Removes some of what compactions made useless, from memory and from the journal's storage.
    pub(crate) fn sweep(&mut self) -> Done<()> {
        let rows = self.store.sweep(SWEPT_EVENTS_PER_STEP);
        if !rows.is_empty() && self.journal.is_some() {
            self.record(Record::Drop(rows));
        }
        self.settle();
        self.done(Ok(()))
    }

    /// When [`Self::expire`] has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.lessor.next_deadline()
    }

    /// Revokes every lease whose time is up.
    pub(crate) fn expire(&mut self, now: Duration) {
        while let Some(id) = self.lessor.due(now) {
            tracing::debug!(lease = id, "lease expired");
            self.end_lease(id);
        }
        self.settle();
    }

    /// Waits for nothing but what was done so far.
    pub(crate) fn barrier(&self) -> Done<()> {
        self.done(Ok(()))
    }

    /// Answers a range request as of the visible revision.
    ///
    /// # Errors
    /// As [`range::check`] and [`range::answer`].
    pub(crate) fn range(&self, request: &PbRangeRequest) -> Result<PbRangeResponse, Refusal> {
        range::check(request)?;
        range::answer(self.store.read(), request)
    }

    /// Puts one key.
    pub(crate) fn put(&mut self, now: Duration, request: PbPutRequest) -> Done<PbPutResponse> {
        self.expire(now);
        let result = self.try_put(request);
        self.settle();
        self.done(result)
    }

    fn try_put(&mut self, request: PbPutRequest) -> Result<PbPutResponse, Refusal> {
        txn::check_put(&request)?;
        if request.lease != 0 && !self.lessor.exists(request.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        let mut write = self.store.write();
        let response = txn::put(&mut write, &mut self.lessor, request)?;
        let committed = write.commit();
        self.record_events(committed);
        Ok(response)
    }

    /// Deletes the keys of a range.
    pub(crate) fn delete(&mut self, now: Duration, request: &PbDeleteRequest) -> Done<PbDeleteResponse> {
        self.expire(now);
        let result = txn::check_delete(request).map(|()| {
            let mut write = self.store.write();
            let response = txn::delete(&mut write, &mut self.lessor, request);
            let committed = write.commit();
            self.record_events(committed);
            response
        });
        self.settle();
        self.done(result)
    }

    /// Answers a transaction that cannot write, as of the visible revision.
    ///
    /// # Errors
    /// As [`txn::check`] and [`txn::plan`].
    pub(crate) fn txn_read(&self, request: &PbTxnRequest) -> Result<PbTxnResponse, Refusal> {
        txn::check(request, self.limits.ops_per_txn_max)?;
        let view = self.store.read();
        let path = txn::plan(view, &self.lessor, request)?;
        let response = txn::read(view, request, &path)?;
        Ok(PbTxnResponse { header: Some(header(view.revision())), ..response })
    }

    /// Carries out a transaction.
    pub(crate) fn txn(&mut self, now: Duration, request: PbTxnRequest) -> Done<PbTxnResponse> {
        self.expire(now);
        let result = self.try_txn(request);
        self.settle();
        self.done(result)
    }

    fn try_txn(&mut self, request: PbTxnRequest) -> Result<PbTxnResponse, Refusal> {
        txn::check(&request, self.limits.ops_per_txn_max)?;
        let path = txn::plan(self.store.read_applied(), &self.lessor, &request)?;
        let mut write = self.store.write();
        let response = txn::apply(&mut write, &mut self.lessor, request, &path);
        let committed = write.commit();
        self.record_events(committed);
        Ok(PbTxnResponse { header: Some(header(self.store.applied())), ..response? })
    }

    /// Drops history up to a revision.
    pub(crate) fn compact(&mut self, now: Duration, revision: i64) -> Done<i64> {
        self.expire(now);
        let result = self.store.compact(revision).map(|()| {
            self.record(Record::Compact(revision));
            self.store.applied()
        });
        self.settle();
        self.done(result)
    }

    /// Grants a lease; id 0 lets the server choose. Returns id and TTL in seconds.
    pub(crate) fn grant(&mut self, now: Duration, id: i64, ttl_secs: i64) -> Done<(i64, i64)> {
        self.expire(now);
        let id = if id == 0 { self.ids.next(|id| self.lessor.exists(id)) } else { id };
        let result = self.lessor.grant(id, ttl_secs, self.ttl_min_secs, now).map(|ttl_secs| {
            self.record(Record::Grant(id, ttl_secs));
            self.fresh_leases.insert(id, self.applied.seq);
            (id, ttl_secs)
        });
        self.settle();
        self.done(result)
    }

    /// Ends a lease; its keys vanish in one revision.
    pub(crate) fn revoke(&mut self, now: Duration, id: i64) -> Done<()> {
        self.expire(now);
        let result = if self.lessor.exists(id) {
            self.end_lease(id);
            Ok(())
        } else {
            Err(Refusal::LeaseNotFound)
        };
        self.settle();
        self.done(result)
    }

    /// Renews a lease and returns its TTL in seconds; 0 if there is none. Does not wait for other people's
    /// writes, as deadlines are not stored.
    pub(crate) fn keep_alive(&mut self, now: Duration, id: i64) -> Done<i64> {
        self.expire(now);
        match self.lessor.renew(id, now) {
            Some(ttl_secs) => {
                Done { result: Ok(ttl_secs), seq: self.fresh_leases.get(&id).copied().unwrap_or(0) }
            }
            None => self.done(Ok(0)),
        }
    }

    /// What is known of a lease, if there is one.
    pub(crate) fn lease_info(&mut self, now: Duration, id: i64) -> Done<Option<LeaseInfo>> {
        self.expire(now);
        self.done(Ok(self.lessor.info(id, now)))
    }

    /// All leases, the one that ends first in front.
    pub(crate) fn lease_ids(&mut self, now: Duration) -> Done<Vec<i64>> {
        self.expire(now);
        self.done(Ok(self.lessor.ids().collect()))
    }

    /// Everything that was done so far.
    pub(crate) fn snapshot(&mut self, now: Duration) -> Done<Contents> {
        self.expire(now);
        let store = &self.store;
        let row = |(key, at, kv): (&Bytes, RowId, Option<&Arc<KeyValue>>)| (at, key.clone(), kv.cloned());
        let mut rows: Vec<_> = store.versions(store.applied()).map(row).collect();
        rows.sort_unstable_by_key(|(at, ..)| *at);
        let contents = Contents {
            rows,
            leases: self.lessor.ttls().collect(),
            compaction: store.visible_compaction(),
            index: self.published().index,
        };
        self.done(Ok(contents))
    }

    /// Registers a stream of watchers.
    pub(crate) fn watch_open(&mut self) -> u64 {
        self.hub.open()
    }

    /// Forgets a stream of watchers.
    pub(crate) fn watch_close(&mut self, stream: u64) {
        self.hub.close(stream);
        self.hub.release_events(&mut self.store, &self.limits);
    }

    /// Adds a watcher to a stream.
    pub(crate) fn watch_create(&mut self, stream: u64, spec: WatchSpec) -> PbWatchResponse {
        self.hub.create(stream, spec, &self.store, &self.limits)
    }

    /// Removes a watcher from a stream.
    pub(crate) fn watch_cancel(&mut self, stream: u64, watch_id: i64) -> Option<PbWatchResponse> {
        self.hub.cancel(stream, watch_id, &self.store)
    }

    /// Requests a notification once all events so far were sent.
    pub(crate) fn watch_request_progress(&mut self, stream: u64) {
        self.hub.request_progress(stream);
    }

    /// The stream's progress timer went off.
    pub(crate) fn watch_tick(&mut self, stream: u64) {
        self.hub.tick(stream);
    }

    /// The streams that have something to send since they were last asked.
    pub(crate) fn watch_stirred(&mut self) -> BTreeSet<u64> {
        self.hub.stirred()
    }

    /// The next messages of a stream.
    pub(crate) fn watch_next(&mut self, stream: u64) -> Vec<PbWatchResponse> {
        self.hub.next(stream, &self.store, &self.limits)
    }

    fn end_lease(&mut self, id: i64) {
        let keys = self.lessor.remove(id).unwrap_or_default();
        let mut write = self.store.write();
        for key in keys {
            write.delete(&crate::key_range::KeyRange::from_wire(&key, &[]));
        }
        let committed = write.commit();
        self.record_events(committed);
        self.record(Record::Revoke(id));
    }

    fn record_events(&mut self, committed: Option<(i64, Vec<Event>)>) {
        if let Some((revision, events)) = committed {
            self.record(Record::Events(revision, events));
        }
    }

    fn record(&mut self, record: Record) {
        self.applied = Mark {
            seq: self.applied.seq + 1,
            revision: self.store.applied(),
            compaction: self.store.applied_compaction(),
            index: self.applied.index + 1,
        };
        if let Some(journal) = &mut self.journal {
            journal.push_back(Entry { record, mark: self.applied });
        }
    }

    /// Without a journal, what was applied is as durable as it gets.
    fn settle(&mut self) {
        if self.journal.is_none() && self.published != self.applied {
            self.publish(self.applied);
        }
    }

    fn done<T>(&self, result: Result<T, Refusal>) -> Done<T> {
        Done { result, seq: self.applied.seq }
    }
}
