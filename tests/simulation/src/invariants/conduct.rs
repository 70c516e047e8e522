//! No client sees what it should not: no error that its documentation does not allow, no program that gives
//! up what it has begun, no stream that ends by itself, no panic.
//!
//! Looked at by the hosts themselves while they run.

use super::Evidence;

/// What the hosts complained about.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    evidence.world.problems()
}
