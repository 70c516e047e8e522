//! `audit`: what was checked, how often, and what was found.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::counted;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{printable::plain, wire::audit::AuditReport};

impl Tabular for AuditReport {
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
