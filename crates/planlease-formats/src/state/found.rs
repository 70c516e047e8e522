//! What was found in a state file, before it is a plan.

use planlease_core::spec::TaskSpec;

use super::json::Placed;

/// A task that was understood, with its places.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) at: usize,
    pub(super) placed: &'a Placed,
    pub(super) spec: TaskSpec,
}
