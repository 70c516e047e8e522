//! `audit`: what was checked, how often, and what was found.

use std::fmt::Write as _;

use planlease::{Audited, core::WallTime};
use planlease_core::{PlanName, Revision, audit::Rule, counted};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Table, plain};

/// The result of an audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditReport {
    /// Whether the history was there from the first revision on; else it begins with a snapshot.
    complete: bool,
    first: Option<Revision>,
    until: Revision,
    revisions: u64,
    plans: usize,
    updates: u64,
    terms: u64,
    unclean: u64,
    checks: Vec<Check>,
    violations_found: u64,
    /// The first ones.
    violations: Vec<Violation>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Check {
    rule: &'static str,
    promise: &'static str,
    checked: u64,
    violations: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Violation {
    revision: Revision,
    rule: &'static str,
    plan: Option<PlanName>,
    what: String,
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

    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["CHECKED", "TIMES", "VIOLATIONS"]);
        for check in &self.checks {
            table.row([check.promise.into(), check.checked.into(), check.violations.into()]);
        }
        let mut text = table.render("");
        let Self { revisions, plans, updates, terms, unclean, until, .. } = self;
        let since = if self.complete { "from the first one on" } else { "since the last compaction" };
        writeln!(
            text,
            "\n{} up to {until}, {since}: {}, {}, {} ({unclean} without a release)",
            counted(*revisions, "revision"),
            counted(*plans, "plan"),
            counted(*updates, "task update"),
            counted(*terms, "term"),
        )
        .expect("a text can always be written to");
        if !self.violations.is_empty() {
            let mut table = Table::new(["REVISION", "RULE", "PLAN", "WHAT"]);
            for found in &self.violations {
                let plan = found.plan.as_ref().map_or_else(|| "-".to_owned(), |plan| plain(plan.as_str()));
                table.row([found.revision.into(), found.rule.into(), plan.into(), Cell::text(&found.what)]);
            }
            write!(text, "\n{}\n", table.render("")).expect("a text can always be written to");
        }
        writeln!(text, "{}", counted(self.violations_found, "violation"))
            .expect("a text can always be written to");
        text
    }
}
