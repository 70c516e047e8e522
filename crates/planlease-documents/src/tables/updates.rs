//! Several changes at once: of tasks, and of plans' halts; each with what became of it.

use planlease::core::WallTime;
use planlease_core::counted;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::Style,
    wire::updates::{HaltOutcome, HaltViews, TaskUpdates},
};

impl Tabular for TaskUpdates {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["PLAN", "TASK", "CHANGE", "OUTCOME", "STATUS", "REVISION", "WHY"]);
        for update in &self.updates {
            let outcome = Cell::text(update.outcome);
            let record = update.record.as_ref();
            table.row([
                Cell::from(&update.plan),
                Cell::from(&update.task),
                Cell::text(update.change),
                match update.outcome {
                    "committed" | "possible" => outcome,
                    _ => outcome.in_style(Style::Red),
                },
                Cell::text(record.map_or("-", |record| record.status.as_str())),
                Cell::text(record.map_or_else(|| "-".to_owned(), |record| record.revision.to_string())),
                Cell::text(update.reason.as_deref().unwrap_or("-")),
            ]);
        }
        if self.updates.is_empty() {
            return "no such tasks; nothing was changed\n".to_owned();
        }
        let words = if self.dry_run {
            ["would be changed", "would be refused", "unknown"]
        } else {
            ["changed", "refused", "unknown"]
        };
        let counts = [self.done, self.refused, self.unknown].into_iter().zip(words);
        let counts: Vec<String> =
            counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        let all = counted(self.updates.len(), "task");
        let dry = if self.dry_run { "; dry run, nothing was changed" } else { "" };
        format!("{}\n{all}: {}{dry}\n", table.render(""), counts.join(", "))
    }
}

impl Tabular for HaltViews {
    fn table(&self, now: WallTime) -> String {
        if self.plans.is_empty() {
            return "no such plans; nothing was changed\n".to_owned();
        }
        let line = |HaltOutcome { halt, error }: &HaltOutcome| match error {
            Some(error) => format!("{} is not {}: {error}\n", halt.plan, halt.now),
            None if self.dry_run && halt.changed => format!("{} would be {}\n", halt.plan, halt.now),
            None => format!("{}\n", halt.table(now)),
        };
        let dry = if self.dry_run { "dry run, nothing was changed\n" } else { "" };
        self.plans.iter().map(line).collect::<String>() + dry
    }
}
