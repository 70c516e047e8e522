//! Changes as etcd reports them: the keys put or deleted, all of one revision together.

use crate::{id::LeaseId, keys::Key, revision::Revision};

/// A stored value with what etcd knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes; see [`crate::codec`].
    pub value: Vec<u8>,
    /// The revision that wrote it.
    pub modified: Revision,
    /// The revision that made the key.
    pub created: Revision,
    /// How often it was written since then; 1 for the first time.
    pub version: u64,
    /// The lease that it lives on, if any.
    pub lease: Option<LeaseId>,
}

/// One key of a change set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Which key.
    pub key: Key,
    /// What it holds now; `None` if it was deleted.
    pub entry: Option<Entry>,
}

/// All changes of one revision: what one transaction did, never half of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawChangeSet {
    /// The revision.
    pub revision: Revision,
    /// Its changes, in the order in which etcd reports them.
    pub changes: Vec<KeyChange>,
}
