//! The contents of a snapshot: everything that the server has, at one revision.

use std::sync::Arc;

use bytes::Bytes;

use crate::mvcc::{KeyValue, RowId};

/// What a snapshot is made of, collected at one moment.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Every version, in the order of history; `None` is a tombstone.
    pub(crate) rows: Vec<(RowId, Bytes, Option<Arc<KeyValue>>)>,
    /// Ids and TTLs in seconds.
    pub(crate) leases: Vec<(i64, i64)>,
    /// The revision up to which history is gone; -1 if none is.
    pub(crate) compaction: i64,
    pub(crate) index: u64,
}
