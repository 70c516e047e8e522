//! One of the two servers: sends operations as etcd's own messages and makes answers comparable.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbPutResponse,
    PbRangeRequest, PbTxnResponse,
};
use etcd_client::{
    Client, LeaseGrantOptions, LeaseTimeToLiveOptions, WatchFilterType, WatchOptions, WatchResponse,
    WatchStream,
};
use planlease_tests::backend::Server;
use planlease_tests::wait::SOON;
use prost::Message;
use tokio::time::{Instant, timeout};

use crate::raw::Raw;

use super::operations::{Operation, WatchFrom};
use super::relative::Origin;

/// An answer or a refusal as text: what two servers that behave alike must have in common.
pub(super) type Answer = String;

/// How long a watch is listened to before it is asked again whether it has delivered everything: etcd does
/// not answer such a question while it catches up, and never answers it later.
const ASK_AGAIN: Duration = Duration::from_millis(60);

/// Everything from the first key on.
const ALL: (&[u8], &[u8]) = (&[0], &[0]);

/// One server in one sequence.
pub(super) struct Side {
    raw: Raw,
    client: Client,
    origin: Origin,
    leases: Vec<i64>,
    watches: Vec<OpenWatch>,
}

struct OpenWatch {
    what: String,
    stream: WatchStream,
    start: i64,
    /// Events and how it ended, if it did.
    reported: Vec<String>,
    received_up_to: i64,
    ended: bool,
}

impl Side {
    /// Begins a sequence on a server without keys.
    pub(super) async fn begin(server: &Server, case: i64) -> Self {
        let raw = Raw::connect(server).await;
        let origin = Origin { revision: 0, lease: case * 1_000 };
        let client = server.client().await;
        let mut side = Self { raw, client, origin, leases: Vec::new(), watches: Vec::new() };
        side.clear().await;
        // The first revision is the same on both sides, independent of earlier sequences.
        let first = side.client.put("origin", "", None).await.expect("a put of one key");
        side.origin.revision = first.header().expect("every answer has a header").revision();
        side
    }

    /// Runs one operation.
    pub(super) async fn run(&mut self, operation: &Operation) -> Answer {
        let origin = self.origin;
        match operation.clone() {
            Operation::Range(range) => {
                let result = self.call("/etcdserverpb.KV/Range", origin.range(range)).await;
                answer(result, |range| origin.range_answer(range))
            }
            Operation::Put(put) => {
                let result: Result<PbPutResponse, _> =
                    self.call("/etcdserverpb.KV/Put", origin.put(put)).await;
                answer(result, |put| origin.put_answer(put))
            }
            Operation::Delete(delete) => {
                let result = self.call("/etcdserverpb.KV/DeleteRange", delete).await;
                answer(result, |delete| origin.delete_answer(delete))
            }
            Operation::Txn(txn) => {
                let result: Result<PbTxnResponse, _> =
                    self.call("/etcdserverpb.KV/Txn", origin.txn(txn)).await;
                answer(result, |txn| origin.txn_answer(txn))
            }
            Operation::Compact { revision } => {
                // A value from before an event may be asked for after the event; give all watches time for
                // it.
                self.settle().await;
                let revision = origin.absolute_revision(revision);
                let request = PbCompactionRequest { revision, physical: false };
                let result: Result<PbCompactionResponse, _> =
                    self.call("/etcdserverpb.KV/Compact", request).await;
                answer(result, |compaction| origin.header(compaction.header))
            }
            Operation::Watch(watch) => self.watch(&watch).await,
            lease => self.lease(lease).await,
        }
    }

    /// Ends the sequence: all histories by their names. Leaves no key and no lease behind.
    pub(super) async fn end(mut self) -> BTreeMap<String, Answer> {
        self.settle().await;
        let mut histories = BTreeMap::new();
        for watch in std::mem::take(&mut self.watches) {
            histories.insert(watch.what, watch.reported.join("\n         "));
        }
        let now = self.revision().await;
        for revision in self.origin.revision..=now {
            let request = PbRangeRequest {
                key: ALL.0.to_vec(),
                range_end: ALL.1.to_vec(),
                revision,
                ..PbRangeRequest::default()
            };
            let result = self.call("/etcdserverpb.KV/Range", request).await;
            let name = format!("all keys at revision {}", self.origin.relative_revision(revision));
            histories.insert(name, answer(result, |range| self.origin.range_answer(range)));
        }
        for lease in std::mem::take(&mut self.leases) {
            // It may be gone: the sequence has revokes of its own.
            let _ = self.client.lease_revoke(lease).await;
        }
        self.clear().await;
        histories
    }

    async fn lease(&mut self, operation: Operation) -> Answer {
        let origin = self.origin;
        match operation {
            Operation::Grant { lease, ttl } => {
                let id = origin.absolute_lease(lease);
                let result = self.client.lease_grant(ttl, Some(LeaseGrantOptions::new().with_id(id))).await;
                self.leases.push(id);
                answer(result.map_err(status), |grant| {
                    (origin.relative_lease(grant.id()), grant.ttl(), origin.header(grant.0.header))
                })
            }
            Operation::Revoke { lease } => {
                let result = self.client.lease_revoke(origin.absolute_lease(lease)).await;
                answer(result.map_err(status), |revoke| origin.header(revoke.0.header))
            }
            Operation::TimeToLive { lease } => {
                let options = LeaseTimeToLiveOptions::new().with_keys();
                let result =
                    self.client.lease_time_to_live(origin.absolute_lease(lease), Some(options)).await;
                answer(result.map_err(status), |mut lease| {
                    lease.0.keys.sort();
                    // What is left of it depends on the time of asking.
                    (lease.ttl() > 0, lease.granted_ttl(), lease.0.keys, origin.header(lease.0.header))
                })
            }
            _ => {
                let result = self.client.leases().await;
                answer(result.map_err(status), |leases| {
                    let all = leases.leases().iter().map(|lease| origin.relative_lease(lease.id()));
                    let mut ours: Vec<i64> = all.filter(|lease| *lease > 0).collect();
                    ours.sort_unstable();
                    ours
                })
            }
        }
    }

    async fn watch(&mut self, watch: &WatchFrom) -> Answer {
        let mut options =
            WatchOptions::new().with_start_revision(self.origin.absolute_revision(watch.revision));
        if !watch.range_end.is_empty() {
            options = options.with_range(watch.range_end.clone());
        }
        if watch.prev_kv {
            options = options.with_prev_key();
        }
        let filters = [(watch.no_put, WatchFilterType::NoPut), (watch.no_delete, WatchFilterType::NoDelete)];
        let filters: Vec<WatchFilterType> =
            filters.into_iter().filter_map(|(on, filter)| on.then_some(filter)).collect();
        let stream = match self.client.watch(watch.key.clone(), Some(options.with_filters(filters))).await {
            Ok(stream) => stream,
            Err(error) => return refusal(&status(error)),
        };
        let what = format!("the events of watch {}, {watch:?}", self.watches.len());
        let start = self.origin.absolute_revision(watch.revision);
        let mut open =
            OpenWatch { what, stream, start, reported: Vec::new(), received_up_to: 0, ended: false };
        let created = open.next(SOON).await.expect("a watch is confirmed at once");
        let now =
            self.origin.relative_revision(created.header().map_or(0, etcd_client::ResponseHeader::revision));
        open.ended = created.canceled();
        let reported =
            format!("created: {}, canceled: {}, now: {now}", created.created(), created.canceled());
        self.watches.push(open);
        // Once it has caught up it receives everything in time, also what is compacted later.
        self.settle().await;
        reported
    }

    /// Waits until every watch has delivered everything up to now.
    async fn settle(&mut self) {
        let now = self.revision().await;
        let origin = self.origin;
        for watch in &mut self.watches {
            watch.settle(origin, now).await;
        }
    }

    /// The revision of the server.
    async fn revision(&mut self) -> i64 {
        let answer = self.client.get("nothing", None).await.expect("a read of the present");
        answer.header().expect("every answer has a header").revision()
    }

    /// Deletes all keys.
    async fn clear(&self) {
        let request = PbDeleteRequest { key: ALL.0.to_vec(), range_end: ALL.1.to_vec(), prev_kv: false };
        let answer: Result<PbDeleteResponse, _> = self.call("/etcdserverpb.KV/DeleteRange", request).await;
        answer.expect("a delete of everything");
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, tonic::Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.raw.call(method, request).await
    }
}

impl OpenWatch {
    /// Listens until the server says that it has sent everything up to the revision.
    async fn settle(&mut self, origin: Origin, now: i64) {
        // A watch that begins in the future has nothing to deliver, and etcd waits for it without an answer.
        if self.start > now {
            return;
        }
        let deadline = Instant::now() + SOON;
        while !self.ended {
            assert!(
                Instant::now() < deadline,
                "no progress up to {now} on {}: {:?}",
                self.what,
                self.reported
            );
            self.stream.request_progress().await.expect("a stream that is open");
            while let Some(message) = self.next(ASK_AGAIN).await {
                let revision = message.header().map_or(0, etcd_client::ResponseHeader::revision);
                if message.events().is_empty() && !message.canceled() && !message.created() {
                    if revision >= now {
                        return;
                    }
                    continue;
                }
                self.take(origin, &message);
                if self.ended {
                    return;
                }
            }
        }
    }

    fn take(&mut self, origin: Origin, message: &WatchResponse) {
        for event in message.events() {
            let event = origin.event(event.0.clone());
            self.reported.push(format!("{event:?}"));
        }
        let revisions: Vec<i64> =
            message.events().iter().filter_map(|event| Some(event.kv()?.mod_revision())).collect();
        if let (Some(first), Some(last)) = (revisions.first(), revisions.last()) {
            if *first <= self.received_up_to || !revisions.is_sorted() {
                self.reported
                    .push(format!("torn or out of order: {revisions:?} after {}", self.received_up_to));
            }
            // A header's revision says that everything up to it has been delivered.
            let header = message.header().map_or(0, etcd_client::ResponseHeader::revision);
            if header < *last {
                self.reported.push(format!("the header is behind its events: {header} < {last}"));
            }
            self.received_up_to = header;
        }
        if message.canceled() {
            let compacted = origin.relative_revision(message.compact_revision());
            self.reported.push(format!("canceled, compacted at {compacted}: {}", message.cancel_reason()));
            self.ended = true;
        }
    }

    async fn next(&mut self, limit: Duration) -> Option<WatchResponse> {
        let message = timeout(limit, self.stream.message()).await.ok()?;
        message
            .expect("the stream of a watch goes on")
            .map_or_else(|| panic!("the stream of {} has ended", self.what), Some)
    }
}

fn status(error: etcd_client::Error) -> tonic::Status {
    match error {
        etcd_client::Error::GRpcStatus(status) => status,
        other => panic!("not a status of the server: {other}"),
    }
}

fn refusal(status: &tonic::Status) -> Answer {
    format!("{:?}: {}", status.code(), status.message())
}

fn answer<A, B: Debug>(result: Result<A, tonic::Status>, comparable: impl FnOnce(A) -> B) -> Answer {
    match result {
        Ok(answer) => format!("{:?}", comparable(answer)),
        Err(status) => refusal(&status),
    }
}
