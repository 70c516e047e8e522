//! The answers to clients are possible in the order in which they were given: reads and writes are strictly
//! serializable, and a plan that is read is the plan as it was at one revision.

use super::Evidence;

/// What cannot be put in order.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    evidence.verdict.order.clone()
}
