//! Answers one range request from a view of the store: limits, sorting, filters, counting. Pure.
//!
//! etcd has quirks here that clients may rely on, and they are kept: `count` is that of the whole range,
//! before filters and limit; a sort target without a sort order sorts *after* the limit was applied.

use etcd_client::proto::{PbKeyValue, PbRangeRequest, PbRangeResponse, PbResponseHeader};
use etcd_client::{SortOrder, SortTarget};
use std::cmp::Ordering;
use std::sync::Arc;

use crate::key_range::KeyRange;
use crate::mvcc::{KeyValue, View};
use crate::status::Refusal;

/// Refuses what no store could answer.
///
/// # Errors
/// `EmptyKey`, `InvalidSortOption`.
pub(crate) fn check(request: &PbRangeRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    options(request).map(drop)
}

/// Answers a checked request. The header has the view's revision only.
///
/// # Errors
/// `FutureRevision`, `Compacted`.
pub(crate) fn answer(view: View<'_>, request: &PbRangeRequest) -> Result<PbRangeResponse, Refusal> {
    let (order, target) = options(request)?;
    let found = view.at(request.revision)?.range(&KeyRange::from_wire(&request.key, &request.range_end));
    let mut response = PbRangeResponse { header: Some(header(view.revision())), ..Default::default() };
    if request.count_only {
        response.count = length(found.count());
        return Ok(response);
    }
    let limit = usize::try_from(request.limit).unwrap_or(0);
    // One more than asked for shows whether there are more.
    let fetch =
        if limit == 0 || order != SortOrder::None || filters(request) { usize::MAX } else { limit + 1 };
    let mut kvs = Vec::new();
    for kv in found {
        response.count += 1;
        if kvs.len() < fetch {
            kvs.push(kv);
        }
    }
    kvs.retain(|kv| passes(request, kv));
    sort(&mut kvs, order, target);
    if limit != 0 && kvs.len() > limit {
        kvs.truncate(limit);
        response.more = true;
    }
    response.kvs = kvs.into_iter().map(|kv| to_wire(kv, request.keys_only)).collect();
    Ok(response)
}

/// A header with the revision only, as etcd puts it into the answers inside a transaction.
pub(crate) fn header(revision: i64) -> PbResponseHeader {
    PbResponseHeader { revision, ..Default::default() }
}

/// The wire form of a version.
pub(crate) fn to_wire(kv: &KeyValue, key_only: bool) -> PbKeyValue {
    PbKeyValue {
        key: kv.key.to_vec(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: if key_only { Vec::new() } else { kv.value.to_vec() },
        lease: kv.lease,
    }
}

/// A number of things in memory as the wire has it.
pub(crate) fn length(count: usize) -> i64 {
    i64::try_from(count).expect("fewer than 2^63 things fit into memory")
}

fn options(request: &PbRangeRequest) -> Result<(SortOrder, SortTarget), Refusal> {
    let order = SortOrder::try_from(request.sort_order).map_err(|_| Refusal::InvalidSortOption)?;
    let target = SortTarget::try_from(request.sort_target).map_err(|_| Refusal::InvalidSortOption)?;
    Ok((order, target))
}

fn filters(request: &PbRangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

fn passes(request: &PbRangeRequest, kv: &KeyValue) -> bool {
    let above = |min: i64, revision: i64| min == 0 || revision >= min;
    let below = |max: i64, revision: i64| max == 0 || revision <= max;
    above(request.min_mod_revision, kv.mod_revision)
        && below(request.max_mod_revision, kv.mod_revision)
        && above(request.min_create_revision, kv.create_revision)
        && below(request.max_create_revision, kv.create_revision)
}

/// Keys come sorted ascending, and equal ones keep that order.
fn sort(kvs: &mut [&Arc<KeyValue>], order: SortOrder, target: SortTarget) {
    let by = |a: &KeyValue, b: &KeyValue| -> Ordering {
        match target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        }
    };
    match order {
        SortOrder::None if target == SortTarget::Key => {}
        SortOrder::None | SortOrder::Ascend => kvs.sort_by(|a, b| by(a, b)),
        SortOrder::Descend => kvs.sort_by(|a, b| by(b, a)),
    }
}
