//! What tasks have found out: written, shown, listed.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::findings::{FindingsList, FindingsView, FindingsWritten},
};

impl Tabular for FindingsWritten {
    fn table(&self, _now: WallTime) -> String {
        let Self { plan, task, attempt, bytes, reference } = self;
        let at = reference.as_ref().map_or_else(String::new, |at| format!(", kept at {}", plain(at)));
        format!("stored the findings of {plan} {task} (attempt {attempt}): {bytes} bytes{at}\n")
    }
}

impl Tabular for FindingsView {
    fn table(&self, _now: WallTime) -> String {
        self.text.clone()
    }
}

impl Tabular for FindingsList {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["TASK", "ATTEMPT", "BYTES", "KEPT AT"]);
        for found in &self.findings {
            table.row([
                Cell::from(&found.task),
                found.attempt.into(),
                (if found.cut { format!("{} (cut)", found.bytes) } else { found.bytes.to_string() }).into(),
                Cell::text(found.reference.as_deref().unwrap_or("-")),
            ]);
        }
        table.render("no findings")
    }
}
