//! What an import of the predecessor's files came to.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::{TaskId, counted};

use super::tabular::Tabular;
use crate::{
    printable::plain,
    wire::import::{RegistryView, StateImport, StateImports},
};

impl Tabular for StateImports {
    fn table(&self, _now: WallTime) -> String {
        let mut text = String::new();
        for import in &self.imports {
            import.tell(&mut text);
        }
        for registry in &self.registries {
            registry.tell(&mut text);
        }
        text
    }
}

impl StateImport {
    fn tell(&self, text: &mut String) {
        let Self { plan, summary, findings, .. } = self;
        let file = plain(&self.file);
        let holds = format!(
            "{}, {} completed, {} failed, {} skipped; {}",
            counted(summary.total, "task"),
            summary.completed,
            summary.failed,
            summary.skipped,
            counted(*findings, "finding")
        );
        let line = match self.outcome {
            "created" => format!("imported {plan} ({holds}) from {file}"),
            "unchanged" => {
                format!("{plan} is there already, as {file} has it or from there; nothing was changed")
            }
            "checked" => format!("{plan} ({holds}) would be imported from {file}"),
            _ => format!("{plan} was not imported from {file}"),
        };
        let mut say = |line: &str| text.push_str(&format!("{line}\n"));
        say(&line);
        if matches!(self.outcome, "created" | "checked") && !self.nobody_works_on.is_empty() {
            let tasks: Vec<&str> = self.nobody_works_on.iter().map(TaskId::as_str).collect();
            let tasks = tasks.join(", ");
            say(&format!(
                "  in progress in the file, and no live process works on it: {tasks}; its first owner recovers it"
            ));
        }
        for place in &self.derived {
            say(&format!("  derived again: {} (line {})", plain(&place.message), place.line));
        }
        for difference in &self.differences {
            say(&format!("  differs: {}", plain(difference)));
        }
    }
}

impl RegistryView {
    fn tell(&self, text: &mut String) {
        let write = |text: &mut String, line: String| {
            writeln!(text, "{line}").expect("a text can always be written to");
        };
        write(
            text,
            format!(
                "{}: {}, as history; nothing is alive by being in a file",
                plain(&self.file),
                counted(self.instances.len(), "orchestrator")
            ),
        );
        for instance in &self.instances {
            let said = |field: &Option<String>| plain(field.as_deref().unwrap_or("-"));
            write(
                text,
                format!(
                    "  {} (process {}) worked on {} since {}, last heard of {}, last called itself {}",
                    plain(&instance.id),
                    instance.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                    said(&instance.plan_path),
                    said(&instance.started_at),
                    said(&instance.last_heartbeat),
                    said(&instance.last_status),
                ),
            );
        }
    }
}
