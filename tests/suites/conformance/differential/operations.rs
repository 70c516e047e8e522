//! What is generated: requests that often meet, on few keys, with revisions and leases that often exist.
//!
//! Requests are etcd's own messages, except that revisions and lease ids are *relative*: see
//! [`super::relative`].

use etcd_client::proto::{
    PbCompare, PbCompareTarget, PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTargetUnion, PbTxnOpRequest,
    PbTxnRequest, PbTxnRequestOp,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// One step of a sequence.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Range(PbRangeRequest),
    Put(PbPutRequest),
    Delete(PbDeleteRequest),
    Txn(PbTxnRequest),
    Grant { lease: i64, ttl: i64 },
    Revoke { lease: i64 },
    TimeToLive { lease: i64 },
    Leases,
    Compact { revision: i64 },
    Watch(WatchFrom),
}

/// A watch to be opened.
#[derive(Clone, Debug)]
pub(super) struct WatchFrom {
    pub(super) key: Vec<u8>,
    pub(super) range_end: Vec<u8>,
    pub(super) revision: i64,
    pub(super) prev_kv: bool,
    pub(super) no_put: bool,
    pub(super) no_delete: bool,
}

/// Two leases, some keys, and then anything; long enough for histories to form.
pub(super) fn sequence() -> impl Strategy<Value = Vec<Operation>> {
    let leases = [1, 2].map(|lease| Operation::Grant { lease, ttl: 600 });
    let keys = vec((name(), value(), 0_i64..3), 1..8);
    (keys, vec(operation(), 1..50)).prop_map(move |(keys, rest)| {
        let puts = keys.into_iter().map(|(key, value, lease)| {
            Operation::Put(PbPutRequest { key, value, lease, ..PbPutRequest::default() })
        });
        leases.iter().cloned().chain(puts).chain(rest).collect()
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => put().prop_map(Operation::Put),
        8 => txn(2).prop_map(|txn| Operation::Txn(harmless(txn))),
        6 => range().prop_map(Operation::Range),
        3 => delete().prop_map(Operation::Delete),
        2 => (lease(), prop_oneof![8 => Just(600_i64), 2 => Just(601), 1 => Just(9_000_000_001)])
            .prop_map(|(lease, ttl)| Operation::Grant { lease, ttl }),
        1 => lease().prop_map(|lease| Operation::Revoke { lease }),
        1 => lease().prop_map(|lease| Operation::TimeToLive { lease }),
        1 => Just(Operation::Leases),
        1 => revision().prop_map(|revision| Operation::Compact { revision }),
        2 => watch().prop_map(Operation::Watch),
    ]
}

/// Few keys, some inside the prefix of others; now and then none at all, which is refused.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        60 => name(),
        1 => Just(Vec::new()),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec!["a", "b", "ba", "bb", "bc", "c", "ca"]).prop_map(|key| key.as_bytes().to_vec())
}

/// A key alone, a range, a prefix, everything from the key on, or a range that ends before it begins.
fn range_end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(vec![0]),
        4 => prop::sample::select(vec!["a", "b", "bb", "c", "d"]).prop_map(|key| key.as_bytes().to_vec()),
    ]
}

/// 0 is "now"; 1 is the revision at which the sequence began.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(0_i64), 8 => 1_i64..10, 1 => 10_i64..40]
}

/// Two that are granted at the beginning, and one that may or may not be there.
fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1_i64..3, 1 => Just(3_i64)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec!["", "1", "2", "12"]).prop_map(|value| value.as_bytes().to_vec())
}

fn sometimes() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn put() -> impl Strategy<Value = PbPutRequest> {
    let lease = prop_oneof![3 => Just(0_i64), 2 => lease()];
    (key(), value(), lease, any::<bool>(), sometimes(), sometimes()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PbPutRequest {
            key,
            // Half of what would be refused at once is made acceptable, to get further.
            value: if ignore_value && prev_kv { Vec::new() } else { value },
            lease: if ignore_lease && prev_kv { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete() -> impl Strategy<Value = PbDeleteRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| PbDeleteRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn range() -> impl Strategy<Value = PbRangeRequest> {
    let bounds = (bound(), bound(), bound(), bound());
    // Orders and targets that exist: one that does not makes an etcd 3.5 crash.
    let order = (prop_oneof![3 => Just(0_i32), 2 => 0_i32..3], prop_oneof![3 => Just(0_i32), 2 => 0_i32..5]);
    (key(), range_end(), 0_i64..5, revision(), order, sometimes(), sometimes(), bounds).prop_map(
        |(key, range_end, limit, revision, order, keys_only, count_only, bounds)| PbRangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order: order.0,
            sort_target: order.1,
            serializable: false,
            keys_only,
            count_only,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
        },
    )
}

fn bound() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(0_i64), 1 => 1_i64..12]
}

fn compare() -> impl Strategy<Value = PbCompare> {
    let target = prop_oneof![
        (0_i64..4).prop_map(|version| (PbCompareTarget::Version, PbTargetUnion::Version(version))),
        (0_i64..12).prop_map(|revision| (PbCompareTarget::Create, PbTargetUnion::CreateRevision(revision))),
        (0_i64..12).prop_map(|revision| (PbCompareTarget::Mod, PbTargetUnion::ModRevision(revision))),
        value().prop_map(|value| (PbCompareTarget::Value, PbTargetUnion::Value(value))),
        (0_i64..5).prop_map(|lease| (PbCompareTarget::Lease, PbTargetUnion::Lease(lease))),
    ];
    (0_i32..4, target, key(), range_end()).prop_map(|(result, (target, union), key, range_end)| PbCompare {
        result,
        target: target as i32,
        key,
        range_end,
        target_union: Some(union),
    })
}

/// A transaction, nested up to the given depth. Most compares are left out, so that branches really run.
fn txn(depth: u32) -> BoxedStrategy<PbTxnRequest> {
    let operation = || {
        let leaf = prop_oneof![
            4 => put().prop_map(PbTxnOpRequest::RequestPut),
            2 => range().prop_map(PbTxnOpRequest::RequestRange),
            2 => delete().prop_map(PbTxnOpRequest::RequestDeleteRange),
        ];
        let request = if depth == 0 {
            leaf.boxed()
        } else {
            prop_oneof![3 => leaf, 1 => txn(depth - 1).prop_map(PbTxnOpRequest::RequestTxn)].boxed()
        };
        request.prop_map(|request| PbTxnRequestOp { request: Some(request) })
    };
    (vec(compare(), 0..3), vec(operation(), 0..4), vec(operation(), 0..3))
        .prop_map(|(compare, success, failure)| PbTxnRequest { compare, success, failure })
        .boxed()
}

/// Takes out what makes an etcd 3.5 crash: it does not notice that a delete "from this key on" overlaps a put
/// of the same transaction, and panics if that put then wants to keep the value or lease of a key that is
/// gone.
fn harmless(mut txn: PbTxnRequest) -> PbTxnRequest {
    if deletes_to_the_end(&txn) {
        keep_nothing(&mut txn);
    }
    txn
}

fn deletes_to_the_end(txn: &PbTxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).any(|operation| match &operation.request {
        Some(PbTxnOpRequest::RequestDeleteRange(delete)) => delete.range_end == [0],
        Some(PbTxnOpRequest::RequestTxn(nested)) => deletes_to_the_end(nested),
        _ => false,
    })
}

fn keep_nothing(txn: &mut PbTxnRequest) {
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut operation.request {
            Some(PbTxnOpRequest::RequestPut(put)) => {
                put.ignore_value = false;
                put.ignore_lease = false;
            }
            Some(PbTxnOpRequest::RequestTxn(nested)) => keep_nothing(nested),
            _ => {}
        }
    }
}

fn watch() -> impl Strategy<Value = WatchFrom> {
    (key(), range_end(), revision(), any::<bool>(), sometimes(), sometimes()).prop_map(
        |(key, range_end, revision, prev_kv, no_put, no_delete)| WatchFrom {
            key,
            range_end,
            revision,
            prev_kv,
            no_put,
            no_delete,
        },
    )
}
