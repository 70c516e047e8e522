//! What a start takes, and what bounds it.

use std::collections::BTreeMap;

use planlease_core::{PoolName, spec::Policy};

/// The permits that a start is to take, by pool.
pub(crate) type Taken = BTreeMap<PoolName, Vec<u32>>;

/// What bounds a start, by the definition that its transaction compares.
#[derive(Debug)]
pub(crate) struct StartBounds<'a> {
    /// The policy of the task.
    pub(crate) policy: Policy,
    /// The permits that it takes, where it uses a pool.
    pub(crate) permits: Option<&'a Taken>,
}
