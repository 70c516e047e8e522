//! The embedded server under requests that no client of etcd would make: each is answered, by an answer or by
//! a gRPC status, and afterwards the history still makes sense.

use std::collections::BTreeMap;

use bolero::{TypeGenerator, check};
use etcd_client::{
    Channel,
    proto::{
        PbCompactionRequest, PbCompare, PbDeleteRequest, PbEvent, PbLeaseGrantRequest, PbLeaseRevokeRequest,
        PbPutRequest, PbRangeRequest, PbRangeResponse, PbTargetUnion, PbTxnOpRequest, PbTxnRequest,
        PbTxnRequestOp, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse,
    },
};
use planlease_embedded::{Options, Server};
use planlease_fuzz::{
    INPUT_BYTES,
    deadline::{Deadline, EACH},
    grpc::{self, Answer, Frames, framed},
    panics,
};
use prost::Message;
use tonic::Code;

/// Every method, with whether it is a stream of requests.
const METHODS: &[(&str, bool)] = &[
    ("KV/Range", false),
    ("KV/RangeStream", false),
    ("KV/Put", false),
    ("KV/DeleteRange", false),
    ("KV/Txn", false),
    ("KV/Compact", false),
    ("Watch/Watch", true),
    ("Lease/LeaseGrant", false),
    ("Lease/LeaseRevoke", false),
    ("Lease/LeaseKeepAlive", true),
    ("Lease/LeaseTimeToLive", false),
    ("Lease/LeaseLeases", false),
    ("Cluster/MemberList", false),
    ("Cluster/MemberAdd", false),
    ("Maintenance/Alarm", false),
    ("Maintenance/Status", false),
    ("Maintenance/Hash", false),
    ("Maintenance/HashKV", false),
    ("Maintenance/Snapshot", false),
    ("Maintenance/MoveLeader", false),
    ("Maintenance/Downgrade", false),
    ("Auth/AuthEnable", false),
];

/// How many answers of a stream are read.
const MOST: usize = 64;

async fn call(channel: &Channel, method: &str, message: &[u8]) -> Answer {
    let frames = Frames { data: [framed(message)].into(), ..Frames::default() };
    grpc::call(channel.clone(), &format!("/etcdserverpb.{method}"), frames, MOST).await
}

/// Runs on a runtime whose time is tokio's own and stands still; nothing may take longer than an hour of it.
fn run(test: impl AsyncFnOnce(&Channel)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    panics::none_in(|| {
        runtime.expect("a runtime").block_on(async {
            let server = Server::open(Options::in_memory(1)).await.expect("it is in memory");
            let channel = server.channel();
            let hour = std::time::Duration::from_secs(3600);
            tokio::time::timeout(hour, test(&channel)).await.expect("each request is answered");
            tokio::time::timeout(hour, makes_sense(&channel)).await.expect("the history can be read");
            server.close().await;
        });
    });
}

type Keys = BTreeMap<Vec<u8>, (Vec<u8>, i64, i64, i64, i64)>;

async fn range(channel: &Channel, revision: i64) -> Result<PbRangeResponse, Code> {
    let all = PbRangeRequest { key: vec![0], range_end: vec![0], revision, ..Default::default() };
    let answer = call(channel, "KV/Range", &all.encode_to_vec()).await;
    match answer.status.code() {
        Code::Ok => Ok(PbRangeResponse::decode(answer.messages[0].clone()).expect("an answer")),
        code => Err(code),
    }
}

fn keys(range: &PbRangeResponse) -> Keys {
    let row = |kv: &etcd_client::proto::PbKeyValue| {
        (kv.key.clone(), (kv.value.clone(), kv.create_revision, kv.mod_revision, kv.version, kv.lease))
    };
    range.kvs.iter().map(row).collect()
}

/// Every revision can be read or is compacted; and what a watch delivers from the oldest one on leads from
/// there to the present, over each revision in between.
async fn makes_sense(channel: &Channel) {
    let now = range(channel, 0).await.expect("the present can be read");
    let latest = now.header.as_ref().expect("every answer has a header").revision;
    let mut oldest = latest;
    while oldest > 1 && range(channel, oldest - 1).await.is_ok() {
        oldest -= 1;
    }
    for compacted in 1..oldest {
        assert_eq!(range(channel, compacted).await.err(), Some(Code::OutOfRange));
    }
    assert_eq!(range(channel, latest + 1).await.err(), Some(Code::OutOfRange));
    let mut held = keys(&range(channel, oldest).await.expect("it was read before"));
    for (revision, events) in watched(channel, oldest + 1, latest).await {
        for event in events {
            let kv = event.kv.expect("every event has a key");
            if event.r#type == 0 {
                let row = (kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease);
                held.insert(kv.key, row);
            } else {
                held.remove(&kv.key);
            }
        }
        assert_eq!(held, keys(&range(channel, revision).await.expect("it was reported")), "at {revision}");
    }
    assert_eq!(held, keys(&now));
}

/// What a watch delivers of these revisions, by revision.
async fn watched(channel: &Channel, from: i64, until: i64) -> Vec<(i64, Vec<PbEvent>)> {
    if from > until {
        return Vec::new();
    }
    let mut create = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(create) = &mut create {
        (create.key, create.range_end, create.start_revision) = (vec![0], vec![0], from);
    }
    let messages = [create, PbWatchRequestUnion::ProgressRequest(Default::default())];
    let frames = messages.map(|union| framed(&PbWatchRequest { request_union: Some(union) }.encode_to_vec()));
    let frames = Frames { data: frames.into(), stays_open: true, ..Frames::default() };
    // Created, the events, and the sign that they are all: with few events they are one message.
    let answer = grpc::call(channel.clone(), "/etcdserverpb.Watch/Watch", frames, 3).await;
    let mut revisions: Vec<(i64, Vec<PbEvent>)> = Vec::new();
    for message in answer.messages {
        let message = PbWatchResponse::decode(message).expect("a message of a watch");
        assert!(!message.canceled, "{message:?}");
        for event in message.events {
            let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            match revisions.last_mut() {
                Some((last, events)) if *last == revision => events.push(event),
                _ => revisions.push((revision, vec![event])),
            }
        }
    }
    assert!(revisions.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(revisions.last().map(|(revision, _)| *revision), Some(until));
    revisions
}

#[test]
fn arbitrary_bytes_as_requests_are_answered() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<Vec<(u8, Vec<u8>)>>().for_each(|requests| {
        deadline.within(requests.clone(), || {
            run(async |channel| {
                for (method, message) in requests.iter().take(24) {
                    let (method, _) = METHODS[usize::from(*method) % METHODS.len()];
                    drop(call(channel, method, message).await);
                }
            });
        });
    });
}

#[test]
fn arbitrary_frames_as_requests_are_answered() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<Vec<(u8, Vec<u8>)>>().for_each(|requests| {
        deadline.within(requests.clone(), || {
            run(async |channel| {
                for (method, bytes) in requests.iter().take(24) {
                    let (method, _) = METHODS[usize::from(*method) % METHODS.len()];
                    let frames = Frames { data: [bytes.clone().into()].into(), ..Frames::default() };
                    drop(grpc::call(channel.clone(), &format!("/etcdserverpb.{method}"), frames, MOST).await);
                }
            });
        });
    });
}

/// A number that means something to the server, or to arithmetic.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Number {
    Small(u8),
    Any(i64),
    Edge(u8),
}

impl Number {
    fn get(self) -> i64 {
        match self {
            Self::Small(n) => i64::from(n % 12),
            Self::Any(n) => n,
            Self::Edge(n) => {
                [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX, 9_000_000_000][usize::from(n % 6)]
            }
        }
    }

    /// Of a lease: mostly none or one that is there, since nothing else can be put.
    fn lease(self) -> i64 {
        match self {
            Self::Small(n) => i64::from(n % 3),
            Self::Any(_) => 0,
            Self::Edge(_) => self.get(),
        }
    }

    fn code(self) -> i32 {
        i32::try_from(self.get()).unwrap_or(i32::MIN)
    }
}

/// One of few keys, so that they meet; now and then any.
#[derive(Clone, Debug, TypeGenerator)]
enum Name {
    Few(u8),
    Odd(u8),
    Usual(u8),
    Any(Vec<u8>),
}

impl Name {
    fn get(&self) -> Vec<u8> {
        match self {
            Self::Few(n) | Self::Usual(n) => [&b"a"[..], b"b", b"ba", b"c"][usize::from(n % 4)].to_vec(),
            Self::Odd(n) => [&b"\0"[..], b"", b"\xff", b"d"][usize::from(n % 4)].to_vec(),
            Self::Any(bytes) => bytes.clone(),
        }
    }
}

type Ends = (Name, Name);

#[derive(Clone, Debug, TypeGenerator)]
enum Ask {
    Range {
        ends: Ends,
        limit: Number,
        revision: Number,
        order: (Number, Number),
        flags: [bool; 3],
        bounds: [Number; 4],
    },
    Put {
        key: Name,
        value: Vec<u8>,
        lease: Number,
        flags: [bool; 3],
    },
    Delete {
        ends: Ends,
        prev_kv: bool,
    },
    Txn(Txn),
    Compact(Number, bool),
    Grant(Number, Number),
    Revoke(Number),
    KeepAlive(Number),
    TimeToLive(Number),
    HashKv(Number),
    Watch(Vec<WatchAsk>),
    /// What clients usually do: it nearly always does something.
    Usual(Simple),
    /// The same, several in one transaction.
    Together(Vec<Simple>),
}

/// A key that is put, or some that are deleted.
#[derive(Clone, Debug, TypeGenerator)]
struct Simple {
    key: u8,
    /// Up to which key it deletes; a put if that is none.
    until: u8,
    value: u8,
    lease: u8,
}

impl Simple {
    fn op(&self) -> PbTxnOpRequest {
        let key = Name::Usual(self.key).get();
        match self.until % 12 {
            n @ 0..4 => {
                let (range_end, prev_kv) = (Name::Usual(n).get(), true);
                PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest { key, range_end, prev_kv })
            }
            _ => {
                let (value, lease) = (vec![self.value], i64::from(self.lease % 3));
                PbTxnOpRequest::RequestPut(PbPutRequest { key, value, lease, ..Default::default() })
            }
        }
    }
}

fn together(all: &[Simple]) -> PbTxnRequest {
    let ops = all.iter().take(4).map(|one| PbTxnRequestOp { request: Some(one.op()) });
    PbTxnRequest { success: ops.collect(), ..Default::default() }
}

#[derive(Clone, Debug, TypeGenerator)]
struct Txn {
    compare: Vec<(Ends, Number, Number, u8, Number)>,
    then: Vec<Op>,
    otherwise: Vec<Op>,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Op {
    Nothing,
    Ask(Box<Ask>),
    Nested(Box<Txn>),
}

#[derive(Clone, Debug, TypeGenerator)]
enum WatchAsk {
    Create { ends: Ends, from: Number, id: Number, flags: [bool; 3], filters: Vec<Number> },
    Cancel(Number),
    Progress,
    Nothing,
}

fn range_request(ask: &Ask) -> Option<PbRangeRequest> {
    let Ask::Range { ends, limit, revision, order, flags, bounds } = ask else { return None };
    Some(PbRangeRequest {
        key: ends.0.get(),
        range_end: ends.1.get(),
        limit: limit.get(),
        revision: revision.get(),
        sort_order: order.0.code(),
        sort_target: order.1.code(),
        serializable: flags[0],
        keys_only: flags[1],
        count_only: flags[2],
        min_mod_revision: bounds[0].get(),
        max_mod_revision: bounds[1].get(),
        min_create_revision: bounds[2].get(),
        max_create_revision: bounds[3].get(),
    })
}

fn put_request(ask: &Ask) -> Option<PbPutRequest> {
    let Ask::Put { key, value, lease, flags: [prev_kv, ignore_value, ignore_lease] } = ask else {
        return None;
    };
    let (ignore_value, ignore_lease) = (*ignore_value && *prev_kv, *ignore_lease && *prev_kv);
    let value = if ignore_value { Vec::new() } else { value.clone() };
    Some(PbPutRequest {
        key: key.get(),
        value,
        lease: lease.lease(),
        prev_kv: *prev_kv,
        ignore_value,
        ignore_lease,
    })
}

fn delete_request(ask: &Ask) -> Option<PbDeleteRequest> {
    let Ask::Delete { ends, prev_kv } = ask else { return None };
    Some(PbDeleteRequest { key: ends.0.get(), range_end: ends.1.get(), prev_kv: *prev_kv })
}

fn txn_request(txn: &Txn) -> PbTxnRequest {
    let compare = txn.compare.iter().take(3).map(|(ends, result, target, kind, operand)| PbCompare {
        result: result.code(),
        target: target.code(),
        key: ends.0.get(),
        range_end: ends.1.get(),
        target_union: match kind % 6 {
            0 => Some(PbTargetUnion::Version(operand.get())),
            1 => Some(PbTargetUnion::CreateRevision(operand.get())),
            2 => Some(PbTargetUnion::ModRevision(operand.get())),
            3 => Some(PbTargetUnion::Value(ends.1.get())),
            4 => Some(PbTargetUnion::Lease(operand.get())),
            _ => None,
        },
    });
    let ops = |ops: &[Op]| ops.iter().take(6).map(op_request).collect();
    PbTxnRequest { compare: compare.collect(), success: ops(&txn.then), failure: ops(&txn.otherwise) }
}

fn op_request(op: &Op) -> PbTxnRequestOp {
    let request = match op {
        Op::Nothing => None,
        Op::Nested(txn) => Some(PbTxnOpRequest::RequestTxn(txn_request(txn))),
        Op::Ask(ask) => (range_request(ask).map(PbTxnOpRequest::RequestRange))
            .or_else(|| put_request(ask).map(PbTxnOpRequest::RequestPut))
            .or_else(|| delete_request(ask).map(PbTxnOpRequest::RequestDeleteRange)),
    };
    // An empty operation has the whole transaction refused; most are left out, to get further.
    let empty = PbTxnOpRequest::RequestRange(PbRangeRequest { key: b"a".to_vec(), ..Default::default() });
    PbTxnRequestOp { request: request.or_else(|| (!matches!(op, Op::Nothing)).then_some(empty)) }
}

fn watch_request(ask: &WatchAsk) -> PbWatchRequest {
    let mut union = match ask {
        WatchAsk::Create { .. } => Some(PbWatchRequestUnion::CreateRequest(Default::default())),
        WatchAsk::Cancel(_) => Some(PbWatchRequestUnion::CancelRequest(Default::default())),
        WatchAsk::Progress => Some(PbWatchRequestUnion::ProgressRequest(Default::default())),
        WatchAsk::Nothing => None,
    };
    match (&mut union, ask) {
        (
            Some(PbWatchRequestUnion::CreateRequest(create)),
            WatchAsk::Create { ends, from, id, flags, filters },
        ) => {
            (create.key, create.range_end) = (ends.0.get(), ends.1.get());
            (create.start_revision, create.watch_id) = (from.get(), id.get());
            [create.progress_notify, create.prev_kv, create.fragment] = *flags;
            create.filters = filters.iter().map(|filter| filter.code()).collect();
        }
        (Some(PbWatchRequestUnion::CancelRequest(cancel)), WatchAsk::Cancel(id)) => {
            cancel.watch_id = id.get()
        }
        _ => {}
    }
    PbWatchRequest { request_union: union }
}

/// Asks, and expects an answer of the right type or a status of etcd's.
async fn ask(channel: &Channel, ask: &Ask) {
    use etcd_client::proto::{PbHashKvRequest, PbLeaseKeepAliveRequest, PbLeaseTimeToLiveRequest};
    let (method, message) = match ask {
        Ask::Range { .. } => ("KV/Range", range_request(ask).expect("it is one").encode_to_vec()),
        Ask::Put { .. } => ("KV/Put", put_request(ask).expect("it is one").encode_to_vec()),
        Ask::Delete { .. } => ("KV/DeleteRange", delete_request(ask).expect("it is one").encode_to_vec()),
        Ask::Txn(txn) => ("KV/Txn", txn_request(txn).encode_to_vec()),
        Ask::Usual(one) => ("KV/Txn", together(std::slice::from_ref(one)).encode_to_vec()),
        Ask::Together(all) => ("KV/Txn", together(all).encode_to_vec()),
        Ask::Compact(revision, physical) => (
            "KV/Compact",
            PbCompactionRequest { revision: revision.get(), physical: *physical }.encode_to_vec(),
        ),
        Ask::Grant(id, ttl) => {
            ("Lease/LeaseGrant", PbLeaseGrantRequest { id: id.get(), ttl: ttl.get() }.encode_to_vec())
        }
        Ask::Revoke(id) => ("Lease/LeaseRevoke", PbLeaseRevokeRequest { id: id.get() }.encode_to_vec()),
        Ask::KeepAlive(id) => {
            ("Lease/LeaseKeepAlive", PbLeaseKeepAliveRequest { id: id.get() }.encode_to_vec())
        }
        Ask::TimeToLive(id) => {
            ("Lease/LeaseTimeToLive", PbLeaseTimeToLiveRequest { id: id.get(), keys: true }.encode_to_vec())
        }
        Ask::HashKv(revision) => {
            ("Maintenance/HashKV", PbHashKvRequest { revision: revision.get() }.encode_to_vec())
        }
        Ask::Watch(asks) => {
            let frames = asks.iter().take(16).map(|ask| framed(&watch_request(ask).encode_to_vec()));
            let frames = Frames { data: frames.collect(), ..Frames::default() };
            let answer = grpc::call(channel.clone(), "/etcdserverpb.Watch/Watch", frames, MOST).await;
            for message in answer.messages {
                PbWatchResponse::decode(message).expect("a message of a watch");
            }
            return;
        }
    };
    let status = call(channel, method, &message).await.status;
    let known = [Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::OutOfRange];
    assert!(known.contains(&status.code()), "{ask:?}: {status:?}");
    assert!(status.code() == Code::Ok || status.message().starts_with("etcdserver: "), "{ask:?}: {status:?}");
}

#[test]
fn arbitrary_requests_are_answered_as_etcd_would() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<Vec<Ask>>().for_each(|asks| {
        deadline.within(asks.clone(), || {
            run(async |channel| {
                for id in [1, 2] {
                    let grant = PbLeaseGrantRequest { id, ttl: 600 };
                    assert_eq!(
                        call(channel, "Lease/LeaseGrant", &grant.encode_to_vec()).await.status.code(),
                        Code::Ok
                    );
                }
                for one in asks.iter().take(40) {
                    ask(channel, one).await;
                }
            });
        });
    });
}
