//! What etcd keeps under keys, as its answers have it.

use etcd_client::proto::{PbKeyValue, PbRangeResponse};
use planlease_core::{LeaseId, Revision, change::Entry};

use super::fault::Fault;

/// The largest message that is decoded: a page of the largest values, with room to spare.
pub(super) const MAX_DECODED: usize = 64 * 1024 * 1024;

/// A key with what etcd keeps under it.
pub(crate) type Row = (Vec<u8>, Entry);

/// Some rows, as of one revision.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    /// Whether the range has more.
    pub(crate) more: bool,
    /// The store's revision when it was read.
    pub(crate) revision: Revision,
}

/// The answer to a range.
pub(super) fn page(wire: PbRangeResponse) -> Result<Page, Fault> {
    let revision = wire.header.as_ref().and_then(|header| Revision::from_wire(header.revision));
    let revision = revision.ok_or_else(|| Fault::nonsense("an answer without a revision"))?;
    let (rows, more) = rows(wire)?;
    Ok(Page { rows, more, revision })
}

pub(super) fn rows(wire: PbRangeResponse) -> Result<(Vec<Row>, bool), Fault> {
    let rows = wire.kvs.into_iter().map(row).collect::<Result<Vec<_>, Fault>>()?;
    Ok((rows, wire.more))
}

pub(super) fn row(wire: PbKeyValue) -> Result<Row, Fault> {
    let modified = Revision::from_wire(wire.mod_revision);
    let created = Revision::from_wire(wire.create_revision);
    let (Some(modified), Some(created)) = (modified, created) else {
        return Err(Fault::nonsense("a key without revisions"));
    };
    let entry = Entry {
        value: wire.value,
        modified,
        created,
        version: u64::try_from(wire.version).unwrap_or(0),
        lease: LeaseId::from_wire(wire.lease),
    };
    Ok((wire.key, entry))
}
