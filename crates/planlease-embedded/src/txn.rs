//! Checks and carries out one transaction. Pure.
//!
//! It goes in three steps, as in etcd. [`check`] looks at the request alone. [`plan`] evaluates every
//! compare, those of nested transactions too, against the state *before* the transaction, and then checks
//! each operation on the chosen path, so that nothing can fail half-way. [`apply`] carries the path out; its
//! reads do see its earlier writes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use etcd_client::CompareOp;
use etcd_client::proto::{
    PbCompare, PbCompareTarget, PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse,
    PbResponseHeader, PbResponseOp, PbTargetUnion, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
    PbTxnRequestOp, PbTxnResponse,
};

use crate::key_range::KeyRange;
use crate::lessor::Lessor;
use crate::mvcc::{KeyValue, View, Write};
use crate::range::{self, header, length, to_wire};
use crate::status::Refusal;

/// Refuses what no store could carry out.
///
/// # Errors
/// `TooManyOps`, `DuplicateKey`, `EmptyKey` and what [`check_put`] and [`range::check`] refuse.
pub(crate) fn check(request: &PbTxnRequest, ops_max: usize) -> Result<(), Refusal> {
    check_ops(request, ops_max)?;
    check_overlaps(&request.success)?;
    check_overlaps(&request.failure)?;
    Ok(())
}

/// Refuses a put that no store could carry out.
///
/// # Errors
/// `EmptyKey`, `ValueProvided`, `LeaseProvided`.
pub(crate) fn check_put(request: &PbPutRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        Err(Refusal::EmptyKey)
    } else if request.ignore_value && !request.value.is_empty() {
        Err(Refusal::ValueProvided)
    } else if request.ignore_lease && request.lease != 0 {
        Err(Refusal::LeaseProvided)
    } else {
        Ok(())
    }
}

/// Refuses a deletion that no store could carry out.
///
/// # Errors
/// `EmptyKey`.
pub(crate) fn check_delete(request: &PbDeleteRequest) -> Result<(), Refusal> {
    if request.key.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

/// Whether neither branch could write.
pub(crate) fn is_read_only(request: &PbTxnRequest) -> bool {
    !any(request, |op| matches!(op, PbTxnOpRequest::RequestPut(_) | PbTxnOpRequest::RequestDeleteRange(_)))
}

/// Whether a branch could put a key.
pub(crate) fn may_put(request: &PbTxnRequest) -> bool {
    any(request, |op| matches!(op, PbTxnOpRequest::RequestPut(_)))
}

/// Whether there is such an operation in any branch, nested ones included.
fn any(request: &PbTxnRequest, is: fn(&PbTxnOpRequest) -> bool) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match &op.request {
        Some(PbTxnOpRequest::RequestTxn(nested)) => any(nested, is),
        Some(op) => is(op),
        None => false,
    })
}

/// Which branch every transaction on the chosen path takes: its own, and those nested in that branch.
#[derive(Debug)]
pub(crate) struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

/// Chooses the path and checks that all of it can be done.
///
/// # Errors
/// `LeaseNotFound`, `KeyNotFound`, `Compacted`, `FutureRevision`.
pub(crate) fn plan(view: View<'_>, lessor: &Lessor, request: &PbTxnRequest) -> Result<Path, Refusal> {
    let path = choose(view, request);
    // Deletions without an end that come before the operation looked at.
    let mut deleted = Vec::new();
    check_path(request, &path, &mut |op| match op {
        PbTxnOpRequest::RequestPut(put) => check_put_in_txn(view, lessor, &deleted, put),
        PbTxnOpRequest::RequestDeleteRange(delete) if delete.range_end == [0] => {
            deleted.push(KeyRange::from_wire(&delete.key, &delete.range_end));
            Ok(())
        }
        _ => Ok(()),
    })?;
    check_path(request, &path, &mut |op| match op {
        PbTxnOpRequest::RequestRange(range) => check_range_in_txn(view, range.revision),
        _ => Ok(()),
    })?;
    Ok(path)
}

/// Inside a transaction only revision 0 means "now". A negative revision is one like any other, and so it is
/// compacted unless it is the -1 that stands for "nothing was compacted yet", as in etcd's `checkRange`.
fn check_range_in_txn(view: View<'_>, revision: i64) -> Result<(), Refusal> {
    if revision < 0 && revision < view.oldest() {
        return Err(Refusal::Compacted);
    }
    view.at(revision).map(drop)
}

/// Answers a planned transaction that only reads.
///
/// # Errors
/// None that [`plan`] has not reported already.
pub(crate) fn read(view: View<'_>, request: &PbTxnRequest, path: &Path) -> Result<PbTxnResponse, Refusal> {
    let mut nested = path.nested.iter();
    let mut responses = Vec::new();
    for op in branch(request, path) {
        responses.push(respond(match op {
            PbTxnOpRequest::RequestRange(range) => {
                PbTxnOpResponse::ResponseRange(range::answer(view, range)?)
            }
            PbTxnOpRequest::RequestTxn(inner) => {
                let path = nested.next().expect("the path has an entry for each nested transaction");
                PbTxnOpResponse::ResponseTxn(read(view, inner, path)?)
            }
            PbTxnOpRequest::RequestPut(_) | PbTxnOpRequest::RequestDeleteRange(_) => {
                unreachable!("asked only of transactions that cannot write")
            }
        }));
    }
    Ok(PbTxnResponse { header: Some(PbResponseHeader::default()), succeeded: path.succeeded, responses })
}

/// Carries out a planned transaction.
///
/// # Errors
/// None that [`plan`] has not reported already.
pub(crate) fn apply(
    write: &mut Write<'_>,
    lessor: &mut Lessor,
    request: PbTxnRequest,
    path: &Path,
) -> Result<PbTxnResponse, Refusal> {
    let mut nested = path.nested.iter();
    let mut responses = Vec::new();
    let ops = if path.succeeded { request.success } else { request.failure };
    for op in ops.into_iter().filter_map(|op| op.request) {
        responses.push(respond(match op {
            PbTxnOpRequest::RequestRange(range) => {
                PbTxnOpResponse::ResponseRange(range::answer(write.read(), &range)?)
            }
            PbTxnOpRequest::RequestPut(request) => PbTxnOpResponse::ResponsePut(put(write, lessor, request)?),
            PbTxnOpRequest::RequestDeleteRange(request) => {
                PbTxnOpResponse::ResponseDeleteRange(delete(write, lessor, &request))
            }
            PbTxnOpRequest::RequestTxn(inner) => {
                let path = nested.next().expect("the path has an entry for each nested transaction");
                PbTxnOpResponse::ResponseTxn(apply(write, lessor, inner, path)?)
            }
        }));
    }
    Ok(PbTxnResponse { header: Some(PbResponseHeader::default()), succeeded: path.succeeded, responses })
}

/// Puts one key.
///
/// # Errors
/// `KeyNotFound` if the old value or lease is to stay and there is none.
pub(crate) fn put(
    write: &mut Write<'_>,
    lessor: &mut Lessor,
    request: PbPutRequest,
) -> Result<PbPutResponse, Refusal> {
    let before = write.read().get(&request.key).cloned();
    let kept = || before.as_deref().ok_or(Refusal::KeyNotFound);
    let value = if request.ignore_value { kept()?.value.clone() } else { request.value.into() };
    let lease = if request.ignore_lease { kept()?.lease } else { request.lease };
    let key = Bytes::from(request.key);
    lessor.attach(&key, lease);
    write.put(key, value, lease);
    let prev_kv = before.filter(|_| request.prev_kv).map(|kv| to_wire(&kv, false));
    Ok(PbPutResponse { header: Some(header(write.revision())), prev_kv })
}

/// Deletes the keys of a range.
pub(crate) fn delete(
    write: &mut Write<'_>,
    lessor: &mut Lessor,
    request: &PbDeleteRequest,
) -> PbDeleteResponse {
    let deleted = write.delete(&KeyRange::from_wire(&request.key, &request.range_end));
    for kv in &deleted {
        lessor.detach(&kv.key);
    }
    PbDeleteResponse {
        header: Some(header(write.revision())),
        deleted: length(deleted.len()),
        prev_kvs: if request.prev_kv {
            deleted.iter().map(|kv| to_wire(kv, false)).collect()
        } else {
            Vec::new()
        },
    }
}

fn respond(response: PbTxnOpResponse) -> PbResponseOp {
    PbResponseOp { response: Some(response) }
}

fn branch<'a>(request: &'a PbTxnRequest, path: &Path) -> impl Iterator<Item = &'a PbTxnOpRequest> {
    let ops = if path.succeeded { &request.success } else { &request.failure };
    ops.iter().filter_map(|op| op.request.as_ref())
}

fn choose(view: View<'_>, request: &PbTxnRequest) -> Path {
    let succeeded = request.compare.iter().all(|compare| holds(view, compare));
    let ops = if succeeded { &request.success } else { &request.failure };
    let nested = ops.iter().filter_map(|op| match &op.request {
        Some(PbTxnOpRequest::RequestTxn(nested)) => Some(choose(view, nested)),
        _ => None,
    });
    Path { succeeded, nested: nested.collect() }
}

fn check_path(
    request: &PbTxnRequest,
    path: &Path,
    check: &mut dyn FnMut(&PbTxnOpRequest) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut nested = path.nested.iter();
    for op in branch(request, path) {
        match op {
            PbTxnOpRequest::RequestTxn(inner) => {
                let path = nested.next().expect("the path has an entry for each nested transaction");
                check_path(inner, path, check)?;
            }
            op => check(op)?,
        }
    }
    Ok(())
}

/// As of before the transaction: what an earlier operation of it puts does not count. What one without an end
/// deletes does, because [`check_overlaps`] lets it pass and the put could fail half-way; etcd crashes there.
fn check_put_in_txn(
    view: View<'_>,
    lessor: &Lessor,
    deleted: &[KeyRange],
    put: &PbPutRequest,
) -> Result<(), Refusal> {
    let keeps = put.ignore_value || put.ignore_lease;
    if keeps && view.get(&put.key).is_none() {
        return Err(Refusal::KeyNotFound);
    }
    if put.lease != 0 && !lessor.exists(put.lease) {
        return Err(Refusal::LeaseNotFound);
    }
    if keeps && deleted.iter().any(|range| range.contains(&put.key)) {
        return Err(Refusal::KeyNotFound);
    }
    Ok(())
}

/// Whether the compare holds for every key of its range. No key at all stands for one that was never
/// written, of which everything is zero; but it has no value to compare.
fn holds(view: View<'_>, compare: &PbCompare) -> bool {
    let mut found = view.range(&KeyRange::from_wire(&compare.key, &compare.range_end)).peekable();
    if found.peek().is_none() {
        return compare.target != PbCompareTarget::Value as i32 && holds_for(compare, &KeyValue::absent());
    }
    found.all(|kv: &Arc<KeyValue>| holds_for(compare, kv))
}

fn holds_for(compare: &PbCompare, kv: &KeyValue) -> bool {
    // An operand of another kind than the target counts as zero, as in etcd.
    let union = compare.target_union.as_ref();
    let ordering = match PbCompareTarget::try_from(compare.target) {
        Ok(PbCompareTarget::Version) => {
            kv.version.cmp(&if let Some(PbTargetUnion::Version(v)) = union { *v } else { 0 })
        }
        Ok(PbCompareTarget::Create) => {
            kv.create_revision.cmp(&if let Some(PbTargetUnion::CreateRevision(v)) = union { *v } else { 0 })
        }
        Ok(PbCompareTarget::Mod) => {
            kv.mod_revision.cmp(&if let Some(PbTargetUnion::ModRevision(v)) = union { *v } else { 0 })
        }
        Ok(PbCompareTarget::Value) => {
            kv.value[..].cmp(if let Some(PbTargetUnion::Value(v)) = union { v.as_slice() } else { &[] })
        }
        Ok(PbCompareTarget::Lease) => {
            kv.lease.cmp(&if let Some(PbTargetUnion::Lease(v)) = union { *v } else { 0 })
        }
        Err(_) => std::cmp::Ordering::Equal,
    };
    match CompareOp::try_from(compare.result) {
        Ok(CompareOp::Equal) => ordering.is_eq(),
        Ok(CompareOp::NotEqual) => ordering.is_ne(),
        Ok(CompareOp::Greater) => ordering.is_gt(),
        Ok(CompareOp::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}

impl KeyValue {
    fn absent() -> Self {
        Self {
            key: Bytes::new(),
            value: Bytes::new(),
            create_revision: 0,
            mod_revision: 0,
            version: 0,
            lease: 0,
        }
    }
}

/// The longest of the three lists counts, and what it leaves of the allowance is what each nested
/// transaction has.
fn check_ops(request: &PbTxnRequest, ops_max: usize) -> Result<(), Refusal> {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = ops_max.checked_sub(ops).ok_or(Refusal::TooManyOps)?;
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Refusal::EmptyKey);
    }
    for op in request.success.iter().chain(&request.failure) {
        match op.request.as_ref().ok_or(Refusal::KeyNotFound)? {
            PbTxnOpRequest::RequestRange(range) => range::check(range)?,
            PbTxnOpRequest::RequestPut(put) => check_put(put)?,
            PbTxnOpRequest::RequestDeleteRange(delete) => check_delete(delete)?,
            PbTxnOpRequest::RequestTxn(nested) => check_ops(nested, left)?,
        }
    }
    Ok(())
}

/// The keys that a list of operations may put, and the ranges it may delete.
#[derive(Default)]
struct Touched {
    puts: BTreeSet<Vec<u8>>,
    deletes: Deletes,
}

/// Ranges by their start, with their ends; no two of them meet, so that one look-up decides.
#[derive(Default)]
struct Deletes(BTreeMap<Vec<u8>, Vec<u8>>);

impl Deletes {
    fn insert(&mut self, mut start: Vec<u8>, mut end: Vec<u8>) {
        if end <= start {
            return; // Nothing lies between them.
        }
        while let Some((from, to)) = self.before(&end).filter(|(_, to)| **to >= start) {
            let (from, to) = (from.clone(), to.clone());
            self.0.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.0.insert(start, end);
    }

    /// The last range that begins at or before this key.
    fn before(&self, key: &[u8]) -> Option<(&Vec<u8>, &Vec<u8>)> {
        self.0.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.before(key).is_some_and(|(_, end)| key < end.as_slice())
    }
}

/// Refuses to put a key twice, or to put and delete it. What the two branches of a nested transaction do to
/// each other does not matter, since only one is taken; nor does deleting twice, nor, as in etcd, a deletion
/// without an end.
fn check_overlaps(ops: &[PbTxnRequestOp]) -> Result<Touched, Refusal> {
    let mut touched = Touched::default();
    for op in ops {
        if let Some(PbTxnOpRequest::RequestDeleteRange(delete)) = &op.request {
            let end = match delete.range_end.as_slice() {
                [] => [delete.key.as_slice(), &[0]].concat(),
                end => end.to_vec(),
            };
            touched.deletes.insert(delete.key.clone(), end);
        }
    }
    for op in ops {
        if let Some(PbTxnOpRequest::RequestTxn(nested)) = &op.request {
            let then = check_overlaps(&nested.success)?;
            let otherwise = check_overlaps(&nested.failure)?;
            let puts: BTreeSet<_> = then.puts.into_iter().chain(otherwise.puts).collect();
            for key in puts {
                touched.put(key)?;
            }
            for (start, end) in then.deletes.0.into_iter().chain(otherwise.deletes.0) {
                touched.deletes.insert(start, end);
            }
        }
    }
    for op in ops {
        if let Some(PbTxnOpRequest::RequestPut(put)) = &op.request {
            touched.put(put.key.clone())?;
        }
    }
    Ok(touched)
}

impl Touched {
    fn put(&mut self, key: Vec<u8>) -> Result<(), Refusal> {
        if self.deletes.has(&key) || !self.puts.insert(key) { Err(Refusal::DuplicateKey) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbRangeRequest;

    use super::*;
    use crate::mvcc::Store;

    fn put_op(key: &str) -> PbTxnRequestOp {
        let put = PbPutRequest { key: key.into(), value: key.into(), ..Default::default() };
        PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestPut(put)) }
    }

    fn delete_op(key: &str, range_end: &str) -> PbTxnRequestOp {
        let delete = PbDeleteRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
        PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestDeleteRange(delete)) }
    }

    fn get_op(key: &str, revision: i64) -> PbTxnRequestOp {
        let range = PbRangeRequest { key: key.into(), revision, ..Default::default() };
        PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestRange(range)) }
    }

    fn nested(success: Vec<PbTxnRequestOp>, failure: Vec<PbTxnRequestOp>) -> PbTxnRequestOp {
        let txn = PbTxnRequest { success, failure, ..Default::default() };
        PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestTxn(txn)) }
    }

    fn of(success: Vec<PbTxnRequestOp>) -> PbTxnRequest {
        PbTxnRequest { success, ..Default::default() }
    }

    #[test]
    fn a_key_is_written_once() {
        for (ops, refused) in [
            (vec![put_op("a"), put_op("b")], false),
            (vec![put_op("a"), put_op("a")], true),
            (vec![put_op("a"), delete_op("a", "")], true),
            (vec![delete_op("a", ""), delete_op("a", "")], false),
            (vec![delete_op("a", "c"), put_op("b")], true),
            (vec![delete_op("a", "c"), put_op("c")], false),
            (vec![delete_op("a", "\0"), put_op("b")], false),
            (vec![nested(vec![put_op("a")], vec![put_op("a")])], false),
            (vec![nested(vec![put_op("a")], vec![]), put_op("a")], true),
            (vec![nested(vec![put_op("a")], vec![]), nested(vec![], vec![put_op("a")])], true),
            (vec![nested(vec![delete_op("a", "c")], vec![]), put_op("b")], true),
            (vec![nested(vec![put_op("a")], vec![]), nested(vec![delete_op("a", "")], vec![])], false),
            (vec![nested(vec![delete_op("a", "")], vec![]), nested(vec![put_op("a")], vec![])], true),
        ] {
            let expected = if refused { Err(Refusal::DuplicateKey) } else { Ok(()) };
            assert_eq!(check(&of(ops.clone()), 128), expected, "{ops:?}");
        }
    }

    #[test]
    fn operations_are_counted_with_what_is_nested() {
        let gets = |n: usize| vec![get_op("a", 0); n];
        for (ops, refused) in [
            (gets(4), false),
            (gets(5), true),
            (vec![nested(gets(3), vec![])], false),
            (vec![nested(gets(4), vec![])], true),
            (vec![nested(gets(2), gets(2)), get_op("a", 0)], false),
            (vec![nested(vec![nested(vec![nested(vec![], vec![])], vec![])], vec![])], false),
            (vec![nested(vec![nested(vec![nested(gets(2), vec![])], vec![])], vec![])], true),
        ] {
            let expected = if refused { Err(Refusal::TooManyOps) } else { Ok(()) };
            assert_eq!(check(&of(ops.clone()), 4), expected, "{ops:?}");
        }
        let compares = PbTxnRequest {
            compare: vec![PbCompare { key: b"a".to_vec(), ..Default::default() }; 5],
            ..Default::default()
        };
        assert_eq!(check(&compares, 4), Err(Refusal::TooManyOps));
        assert_eq!(check(&of(vec![PbTxnRequestOp::default()]), 4), Err(Refusal::KeyNotFound));
        assert_eq!(check(&of(vec![put_op("")]), 4), Err(Refusal::EmptyKey));
    }

    /// A store with `a` put twice and `b` put once with a lease.
    fn store() -> Store {
        let mut store = Store::default();
        for (key, lease) in [("a", 0), ("a", 0), ("b", 9)] {
            let mut write = store.write();
            write.put(key.into(), key.into(), lease);
            write.commit();
        }
        store
    }

    #[test]
    fn compares_hold_for_each_key_of_a_range_or_for_absence() {
        use CompareOp::{Equal, Greater, Less, NotEqual};
        let store = store();
        for (op, target, key, range_end, expected) in [
            (Equal, PbTargetUnion::Version(2), "a", "", true),
            (Equal, PbTargetUnion::Version(0), "x", "", true),
            (Equal, PbTargetUnion::Version(0), "x", "z", true),
            (Equal, PbTargetUnion::CreateRevision(2), "a", "", true),
            (Less, PbTargetUnion::CreateRevision(5), "a", "c", true),
            (Less, PbTargetUnion::CreateRevision(4), "a", "c", false),
            (Greater, PbTargetUnion::ModRevision(2), "a", "\0", true),
            (NotEqual, PbTargetUnion::ModRevision(4), "a", "\0", false),
            (Equal, PbTargetUnion::Lease(9), "b", "", true),
            (Equal, PbTargetUnion::Lease(0), "x", "", true),
            (Greater, PbTargetUnion::Value(b"A".to_vec()), "a", "c", true),
            (Equal, PbTargetUnion::Value(b"".to_vec()), "x", "", false),
            (NotEqual, PbTargetUnion::Value(b"q".to_vec()), "x", "", false),
        ] {
            let kind = match target {
                PbTargetUnion::Version(_) => PbCompareTarget::Version,
                PbTargetUnion::CreateRevision(_) => PbCompareTarget::Create,
                PbTargetUnion::ModRevision(_) => PbCompareTarget::Mod,
                PbTargetUnion::Value(_) => PbCompareTarget::Value,
                PbTargetUnion::Lease(_) => PbCompareTarget::Lease,
            };
            let compare = PbCompare {
                result: op.into(),
                target: kind.into(),
                key: key.into(),
                range_end: range_end.into(),
                target_union: Some(target),
            };
            assert_eq!(holds(store.read_applied(), &compare), expected, "{compare:?}");
        }
    }

    #[test]
    fn nothing_is_done_unless_all_of_it_can_be() {
        let keeps_value = |key: &str, lease| {
            let put = PbPutRequest { key: key.into(), lease, ignore_value: true, ..Default::default() };
            PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestPut(put)) }
        };
        let store = store();
        let lessor = Lessor::default();
        for (ops, expected) in [
            (vec![put_op("c"), keeps_value("x", 0)], Refusal::KeyNotFound),
            (vec![put_op("c"), nested(vec![keeps_value("a", 5)], vec![])], Refusal::LeaseNotFound),
            (vec![put_op("c"), get_op("a", 99)], Refusal::FutureRevision),
            (vec![delete_op("a", "\0"), keeps_value("b", 0)], Refusal::KeyNotFound),
        ] {
            let request = of(ops);
            check(&request, 128).expect("the request alone is fine");
            assert_eq!(plan(store.read_applied(), &lessor, &request).err(), Some(expected), "{request:?}");
        }
        let before = of(vec![keeps_value("b", 0), delete_op("a", "\0")]);
        assert!(plan(store.read_applied(), &lessor, &before).is_ok(), "it is there when its turn comes");
    }
}
