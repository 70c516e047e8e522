//! Plans as wholes: imported, listed, shown, deleted.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::{TaskId, counted, transition::TaskStatus};

use super::{
    status::{count, done},
    table::{Cell, Table, command_line},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::plan::{DefinitionView, Import, ImportList, PlanDeleted, PlanList, Policy},
};

impl Tabular for PlanList {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["PLAN", "DONE", "RUNNING", "FAILED", "OWNER", "FOR", "WAITING", "TITLE"]);
        for plan in &self.plans {
            let owner = plan.ownership.owner.as_ref();
            let title = match &plan.halted {
                Some(halted) => format!("({}) {}", halted.how, plan.title),
                None => plan.title.clone(),
            };
            table.row([
                Cell::from(&plan.plan),
                done(&plan.summary).into(),
                count(plan.summary.in_progress),
                count(plan.summary.failed),
                Cell::text(match (owner, &plan.ownership.owner_unreadable) {
                    (Some(owner), _) => &owner.orchestrator,
                    (None, Some(_)) => "unreadable",
                    (None, None) => "-",
                }),
                owner.map_or_else(|| "-".to_owned(), |owner| owner.since.age(now)).into(),
                count(plan.ownership.waiting.len()),
                Cell::text(title),
            ]);
        }
        let place = self.store.as_ref().map(|store| format!(" in {store}")).unwrap_or_default();
        let none = format!("no plans{place}; `planlease plan import FILE` makes one");
        let mut text = table.render(&none);
        if !self.plans.is_empty() && !place.is_empty() {
            text.push_str(&format!("\n{}{place}\n", counted(self.plans.len(), "plan")));
        }
        text
    }
}

impl Tabular for DefinitionView {
    fn table(&self, _now: WallTime) -> String {
        let mut text = format!("{}  {}\n\n", self.plan, plain(&self.title));
        let Policy { max_retries, max_lost, attempt_deadline_s, on_lost, lock_delay_s } = &self.policy;
        if let Some(source) = &self.source {
            writeln!(text, "source  {} (sha256 {})", plain(&source.path), source.sha256)
                .expect("a text can always be written to");
        }
        writeln!(
            text,
            "policy  {}, {attempt_deadline_s} s per attempt, if lost: {on_lost} ({max_lost} at most), lock delay {lock_delay_s} s\n",
            counted(*max_retries, "retry")
        )
        .expect("a text can always be written to");
        let redone = self.tasks.iter().filter(|task| task.ticked && task.status == Some(TaskStatus::Pending));
        let redone: Vec<&str> = redone.map(|task| task.id.as_str()).collect();
        if !redone.is_empty() {
            writeln!(text, "ticked in the plan file, and pending here: {}\n", redone.join(", "))
                .expect("a text can always be written to");
        }
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["TASK", "PHASE", "STATUS", "DEPENDS ON", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "STATUS", "DEPENDS ON", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::from(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                task.status.map_or("-", TaskStatus::as_str).into(),
                Cell::text(task.depends_on.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        text + &table.render("no tasks")
    }
}

impl Tabular for ImportList {
    fn table(&self, _now: WallTime) -> String {
        let mut text = String::new();
        for import in &self.imports {
            let Import { plan, file, tasks, .. } = import;
            let (file, tasks) = (plain(file), counted(*tasks, "task"));
            let line = match import.outcome {
                "created" => format!("imported {plan} ({tasks}) from {file}"),
                "unchanged" => {
                    format!("{plan} is there already, imported from the same {file}; nothing was changed")
                }
                _ => format!("{plan} ({tasks}) would be imported from {file}"),
            };
            writeln!(text, "{line}").expect("a text can always be written to");
            let ticked: Vec<&str> = import.ticked.iter().map(TaskId::as_str).collect();
            if !ticked.is_empty() && import.outcome != "unchanged" {
                let are = if import.ticked_are_done { "recorded as done" } else { "pending all the same" };
                writeln!(text, "  ticked, and {are}: {}", ticked.join(", "))
                    .expect("a text can always be written to");
            }
        }
        text
    }
}

impl Tabular for PlanDeleted {
    fn table(&self, _now: WallTime) -> String {
        format!("deleted {}\n", self.deleted)
    }
}
