//! The embedded server under requests that are as large as they may be: what one of them costs is bounded.

use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse,
};
use planlease_embedded::{Limits, Options, Server};
use planlease_fuzz::{
    confine::{MIB, is_confined},
    deadline::{Deadline, EACH},
    grpc::{self, Answer, Frames, framed},
};
use prost::Message;
use tonic::Code;

/// Sends messages to a new server, all on one call.
fn send(method: &str, messages: impl IntoIterator<Item = Vec<u8>>, most: usize) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let server = Server::open(Options::in_memory(1)).await.expect("it is in memory");
        let data = messages.into_iter().map(|message| framed(&message)).collect();
        let frames = Frames { data, stays_open: most > 1, ..Frames::default() };
        grpc::call(server.channel(), &format!("/etcdserverpb.{method}"), frames, most).await
    })
}

fn put(n: usize) -> PbTxnOpRequest {
    // After all that is deleted.
    PbTxnOpRequest::RequestPut(PbPutRequest { key: format!("b{n}").into_bytes(), ..Default::default() })
}

fn delete(n: usize) -> PbTxnOpRequest {
    PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest {
        key: format!("a{n}").into_bytes(),
        ..Default::default()
    })
}

/// As many operations as fit into a transaction: 42 on each of three levels.
fn widest(make: &mut impl FnMut() -> PbTxnOpRequest, depth: u32) -> PbTxnRequest {
    let ops = (0..42).map(|_| PbTxnRequestOp {
        request: Some(if depth == 0 { make() } else { PbTxnOpRequest::RequestTxn(widest(make, depth - 1)) }),
    });
    PbTxnRequest { success: ops.collect(), ..Default::default() }
}

#[test]
fn the_widest_transaction_is_checked_at_once() {
    let mut n = 0;
    let mut make = || {
        n += 1;
        if n % 2 == 0 { put(n) } else { delete(n) }
    };
    let txn = widest(&mut make, 2).encode_to_vec();
    assert!(txn.len() <= Limits::default().request_bytes_max);
    let answer = Deadline::of(EACH).within("74,088 operations", || send("KV/Txn", [txn], 1));
    assert_eq!(answer.status.code(), Code::Ok, "{:?}", answer.status);
}

#[test]
fn the_deepest_transaction_is_answered() {
    let mut txn = PbTxnRequest::default();
    for _ in 0..200 {
        let request = Some(PbTxnOpRequest::RequestTxn(txn));
        txn = PbTxnRequest { success: vec![PbTxnRequestOp { request }], ..Default::default() };
        let status = send("KV/Txn", [txn.encode_to_vec()], 1).status;
        assert!(matches!(status.code(), Code::Ok | Code::InvalidArgument | Code::Internal), "{status:?}");
    }
}

/// How much memory a request may take for each of its bytes, and how much the process has for itself.
const MEMORY: (u64, u64) = (256, 250 * MIB);

/// The largest request that etcd would take from a client.
fn largest() -> usize {
    Limits::default().request_bytes_max + 512 * 1024
}

#[test]
fn a_request_takes_memory_in_proportion_to_what_is_allowed() {
    let allowed = u64::try_from(largest()).unwrap();
    let name = "a_request_takes_memory_in_proportion_to_what_is_allowed";
    if !is_confined(name, MEMORY.0 * allowed + MEMORY.1) {
        return;
    }
    // Fields of two encoded bytes each: empty compares, operations of either branch.
    for field in [[0x0a, 0], [0x12, 0], [0x1a, 0]] {
        for size in [largest(), 8 * 1024 * 1024, 15 * 1024 * 1024] {
            let answer = send("KV/Txn", [field.repeat(size / 2)], 1);
            assert_ne!(answer.status.code(), Code::Ok, "{field:?} {size}");
        }
    }
}

#[test]
fn a_stream_of_more_watches_than_allowed_is_answered_one_by_one() {
    let max = Limits::default().watches_per_stream_max;
    let mut create = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(create) = &mut create {
        create.key = b"a".to_vec();
    }
    let message = PbWatchRequest { request_union: Some(create) }.encode_to_vec();
    let asked = max + 5;
    let answer = Deadline::of(EACH).within("watches", || send("Watch/Watch", vec![message; asked], asked));
    let answers = answer.messages.into_iter().map(|message| PbWatchResponse::decode(message).unwrap());
    assert_eq!(answers.filter(|answer| answer.canceled).count(), asked - max);
}
