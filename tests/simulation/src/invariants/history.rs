//! The history of the store is one that the protocol allows: one owner at a time with a greater token each
//! time, no write without an authority that held, none twice, each task on a path through the transition
//! table, none before its dependencies, plans whole or not there, what dies with its process on a lease.
//!
//! Judged by the audit, revision by revision.

use super::Evidence;

/// What the audit found.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let violation = |violation: &planlease::core::audit::Violation| {
        let plan = violation.plan.as_ref().map_or_else(String::new, |plan| format!("{plan}: "));
        format!("{} at revision {}: {plan}{}", violation.rule.name(), violation.revision, violation.text)
    };
    let found = evidence.verdict.report.violations.iter().map(violation);
    found.chain(evidence.verdict.history.iter().cloned()).collect()
}
