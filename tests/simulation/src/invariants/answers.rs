//! No acknowledged update is lost, none is applied twice, no outcome is reported without proof: what every
//! client was told is settled against the history, answer by answer.

use super::Evidence;

/// What the settlement found.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    evidence.verdict.settlement.violations.clone()
}
