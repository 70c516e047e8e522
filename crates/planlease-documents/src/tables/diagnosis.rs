//! `doctor`: what was looked at, what was found, what to do.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::Style,
    wire::diagnosis::{Diagnosis, Verdict},
};

impl Tabular for Diagnosis {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["", "LOOKED AT", "FOUND"]);
        for finding in &self.findings {
            let (mark, style) = match finding.verdict {
                Verdict::Ok => ("ok", Style::Green),
                Verdict::Warning => ("look", Style::Yellow),
                Verdict::Problem => ("bad", Style::Red),
            };
            table.row([
                Cell::text(mark).in_style(style),
                Cell::text(&finding.what),
                Cell::text(&finding.found),
            ]);
            if let Some(remedy) = &finding.remedy {
                table.row([Cell::text(""), Cell::text(""), Cell::text(format!("-> {remedy}"))]);
            }
        }
        let end =
            if self.is_well() { "all is well" } else { "not all is well: see the lines that do not say ok" };
        format!("{}\n{end}\n", table.render(""))
    }
}
