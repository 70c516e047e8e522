//! No acknowledged update is lost, none is applied twice, no outcome is reported without proof: what every
//! answer to a client is checked against the history.

use super::Evidence;

/// What the settlement found.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    evidence.verdict.settlement.violations.clone()
}
