//! `audit`: what was checked, how often, and what was found.

use planlease::Audited;
use planlease_core::{PlanName, Revision, audit::Rule};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;

/// The result of an audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditReport {
    /// Whether the history was there from the first revision on; else it begins with a snapshot.
    pub(crate) complete: bool,
    pub(crate) first: Option<Revision>,
    pub(crate) until: Revision,
    pub(crate) revisions: u64,
    pub(crate) plans: usize,
    pub(crate) updates: u64,
    pub(crate) terms: u64,
    pub(crate) unclean: u64,
    pub(crate) checks: Vec<Check>,
    pub(crate) violations_found: u64,
    /// The first ones.
    pub(crate) violations: Vec<Violation>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Check {
    pub(crate) rule: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) checked: u64,
    pub(crate) violations: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Violation {
    pub(crate) revision: Revision,
    pub(crate) rule: &'static str,
    pub(crate) plan: Option<PlanName>,
    pub(crate) what: String,
}

impl AuditReport {
    /// Of an audit that has ended.
    #[must_use]
    pub fn new(audited: &Audited) -> Self {
        let report = &audited.report;
        let checks = Rule::ALL.iter().map(|rule| Check {
            rule: rule.name(),
            promise: rule.promise(),
            checked: report.checks.get(rule).copied().unwrap_or(0),
            violations: u64::try_from(report.violations.iter().filter(|found| found.rule == *rule).count())
                .unwrap_or(u64::MAX),
        });
        let violations = report.violations.iter().map(|found| Violation {
            revision: found.revision,
            rule: found.rule.name(),
            plan: found.plan.clone(),
            what: found.text.clone(),
        });
        Self {
            complete: audited.complete,
            first: report.first,
            until: audited.until,
            revisions: report.revisions,
            plans: report.plans,
            updates: report.updates,
            terms: report.terms,
            unclean: report.unclean,
            checks: checks.collect(),
            violations_found: report.violations_found,
            violations: violations.collect(),
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations_found == 0
    }
}

impl Document for AuditReport {
    const SCHEMA: Option<&'static str> = Some("planlease.audit.v1");
}
