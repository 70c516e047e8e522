//! `deps`: what waits for what, as text, JSON, DOT and Mermaid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use planlease::core::WallTime;
use planlease_core::{TaskId, transition::TaskStatus};

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::{
        deps::{DependencyGraph, Task},
        next::Waits,
        next::{rule, sentence},
    },
};

/// The longest description in a picture, in characters.
const LABEL: usize = 40;

impl Tabular for DependencyGraph {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["TASK", "STATUS", "WAITS FOR", "WAITED FOR BY", "DESCRIPTION"]);
        for task in &self.tasks {
            let waiters: Vec<&str> = task.waited_for_by.iter().map(TaskId::as_str).collect();
            table.row([
                Cell::from(&task.task),
                Cell::text(task.status.map_or("missing", TaskStatus::as_str)),
                Cell::text(sentence(&task.waits)),
                Cell::text(waiters.join(", ")),
                Cell::text(&task.description),
            ]);
        }
        table.render("the plan has no tasks")
    }
}

impl DependencyGraph {
    /// For Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = format!(
            "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=filled];\n",
            quoted(self.plan.as_str())
        );
        for task in &self.tasks {
            let (id, color) = (quoted(task.task.as_str()), color(task.status));
            let _ = writeln!(text, "  {id} [label={}, fillcolor=\"{color}\"];", quoted(&self.label(task)));
        }
        for (task, wait) in self.edges() {
            let (from, to) = (quoted(wait.on.as_str()), quoted(task.task.as_str()));
            match rule(wait.why) {
                "" => {
                    let _ = writeln!(text, "  {from} -> {to};");
                }
                rule => {
                    let _ = writeln!(text, "  {from} -> {to} [style=dashed, label={}];", quoted(rule));
                }
            }
        }
        text.push_str("}\n");
        text
    }

    /// For Mermaid, without the fence around it.
    pub fn mermaid(&self) -> String {
        let mut text = "graph LR\n".to_owned();
        let places: BTreeMap<&TaskId, usize> =
            self.tasks.iter().enumerate().map(|(i, task)| (&task.task, i)).collect();
        for (i, task) in self.tasks.iter().enumerate() {
            let label = self.label(task).replace('"', "#quot;");
            let _ =
                writeln!(text, "  t{i}[\"{label}\"]:::{}", task.status.map_or("pending", TaskStatus::as_str));
        }
        for (task, wait) in self.edges() {
            let (Some(from), Some(to)) = (places.get(&wait.on), places.get(&task.task)) else { continue };
            match rule(wait.why) {
                "" => {
                    let _ = writeln!(text, "  t{from} --> t{to}");
                }
                rule => {
                    let _ = writeln!(text, "  t{from} -.->|{rule}| t{to}");
                }
            }
        }
        for status in TaskStatus::ALL {
            let _ = writeln!(text, "  classDef {status} fill:{}", color(Some(status)));
        }
        text
    }

    #[expect(clippy::unused_self, reason = "reads better")]
    fn label(&self, task: &Task) -> String {
        let description = plain(&task.description);
        let short: String = description.chars().take(LABEL).collect();
        let dots = if short.len() < description.len() { "…" } else { "" };
        format!("{} {short}{dots}", task.task)
    }

    fn edges(&self) -> impl Iterator<Item = (&Task, &Waits)> {
        let shown: BTreeSet<&TaskId> = self.tasks.iter().map(|task| &task.task).collect();
        self.tasks
            .iter()
            .flat_map(|task| task.waits.iter().map(move |wait| (task, wait)))
            .filter(move |(_, wait)| shown.contains(&wait.on))
    }
}

/// A text in double quotes, for DOT.
fn quoted(text: &str) -> String {
    format!("\"{}\"", plain(text).replace('\\', "\\\\").replace('"', "\\\""))
}

fn color(status: Option<TaskStatus>) -> &'static str {
    match status {
        Some(TaskStatus::Completed) => "#c8e6c9",
        Some(TaskStatus::InProgress) => "#bbdefb",
        Some(TaskStatus::Failed) => "#ffcdd2",
        Some(TaskStatus::Skipped) => "#e0e0e0",
        Some(TaskStatus::Pending) | None => "#ffffff",
    }
}

#[cfg(test)]
mod tests {
    use planlease_core::{PlanName, Revision, order::Why};

    use super::*;

    #[test]
    fn pictures_cannot_be_broken_out_of() {
        let task = |id: &str, description: &str, on: &[(&str, Why)]| Task {
            task: TaskId::new(id).unwrap(),
            description: description.into(),
            status: Some(TaskStatus::Pending),
            waits: on
                .iter()
                .map(|(on, why)| Waits { on: TaskId::new(on).unwrap(), why: *why, status: None })
                .collect(),
            waited_for_by: Vec::new(),
        };
        let graph = DependencyGraph {
            plan: PlanName::new("p").unwrap(),
            revision: Revision::from_wire(1).unwrap(),
            tasks: vec![
                task("1", "say \"hi\\\"\n]; rm", &[]),
                task("2", &"x".repeat(60), &[("1", Why::Dependency), ("9", Why::Dependency)]),
                task("3", "z", &[("2", Why::Sequence)]),
            ],
            unreadable: Vec::new(),
        };
        insta::assert_snapshot!(graph.dot(), @r##"
        digraph "p" {
          rankdir=LR;
          node [shape=box, style=filled];
          "1" [label="1 say \"hi\\\" ]; rm", fillcolor="#ffffff"];
          "2" [label="2 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…", fillcolor="#ffffff"];
          "3" [label="3 z", fillcolor="#ffffff"];
          "1" -> "2";
          "2" -> "3" [style=dashed, label="in sequence"];
        }
        "##);
        insta::assert_snapshot!(graph.mermaid(), @r##"
        graph LR
          t0["1 say #quot;hi\#quot; ]; rm"]:::pending
          t1["2 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"]:::pending
          t2["3 z"]:::pending
          t0 --> t1
          t1 -.->|in sequence| t2
          classDef pending fill:#ffffff
          classDef in_progress fill:#bbdefb
          classDef completed fill:#c8e6c9
          classDef failed fill:#ffcdd2
          classDef skipped fill:#e0e0e0
        "##);
    }
}
