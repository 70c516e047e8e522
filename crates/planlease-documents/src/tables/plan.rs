//! Plans as wholes: imported, listed, shown, deleted.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::{TaskId, counted, transition::TaskStatus};

use super::{
    policy::{Particulars, in_words, verified, waits_for},
    status::{count, state},
    steering::fleet_paused,
    table::{Cell, Table, command_line},
    tabular::Tabular,
};
use crate::{
    cells::done,
    printable::plain,
    wire::plan::{DefinitionView, Import, ImportList, PlanDeleted, PlanList},
};

/// The places of columns that a narrow terminal does without; `-o wide` has them.
const FOR: usize = 6;
const WAITING: usize = 7;

impl Tabular for PlanList {
    fn table(&self, now: WallTime) -> String {
        let mut table =
            Table::new(["PLAN", "STATE", "DONE", "RUNNING", "FAILED", "OWNER", "FOR", "WAITING", "TITLE"])
                .without_if_narrow(&[WAITING, FOR]);
        for plan in &self.plans {
            let owner = plan.ownership.owner.as_ref();
            table.row([
                Cell::from(&plan.plan),
                state(plan.state),
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
                Cell::text(&plan.title),
            ]);
        }
        self.with_place(&table, now)
    }

    fn wide(&self, now: WallTime) -> String {
        self.with_place(&wide(self, now), now)
    }

    fn names(&self) -> Vec<String> {
        self.plans.iter().map(|plan| plan.plan.to_string()).collect()
    }
}

impl PlanList {
    /// The table, what stops all plans, and where they are.
    fn with_place(&self, table: &Table, now: WallTime) -> String {
        let place = self.store.as_ref().map(|store| format!(" in {store}")).unwrap_or_default();
        let none = format!("no plans{place}; `planlease plan import FILE` makes one");
        let mut text = fleet_paused(self.fleet_paused.as_ref(), now) + &table.render(&none);
        if !self.plans.is_empty() && !place.is_empty() {
            text.push_str(&format!("\n{}{place}\n", counted(self.plans.len(), "plan")));
        }
        text
    }
}

/// The rows with more columns.
fn wide(list: &PlanList, now: WallTime) -> Table {
    let mut table = Table::new([
        "PLAN", "STATE", "DONE", "PENDING", "RUNNING", "FAILED", "SKIPPED", "REVISION", "OWNER", "FOR",
        "HOST", "TOKEN", "WAITING", "TITLE",
    ]);
    for plan in &list.plans {
        let owner = plan.ownership.owner.as_ref();
        table.row([
            Cell::from(&plan.plan),
            state(plan.state),
            done(&plan.summary).into(),
            count(plan.summary.pending),
            count(plan.summary.in_progress),
            count(plan.summary.failed),
            count(plan.summary.skipped),
            plan.revision.into(),
            Cell::text(owner.map_or("-", |owner| owner.orchestrator.as_str())),
            owner.map_or_else(|| "-".to_owned(), |owner| owner.since.age(now)).into(),
            Cell::text(owner.map_or("-", |owner| owner.host.as_str())),
            Cell::text(owner.map_or_else(|| "-".to_owned(), |owner| owner.token.to_string())),
            count(plan.ownership.waiting.len()),
            Cell::text(&plan.title),
        ]);
    }
    table
}

impl Tabular for DefinitionView {
    fn table(&self, _now: WallTime) -> String {
        let mut text = format!("{}  {}\n\n", self.plan, plain(&self.title));
        if let Some(source) = &self.source {
            writeln!(text, "source  {} (sha256 {})", plain(&source.path), source.sha256)
                .expect("a text can always be written to");
        }
        writeln!(text, "policy  {}", in_words(&self.policy)).expect("a text can always be written to");
        for task in &self.tasks {
            let (policy, approval, demands) = (task.policy.as_ref(), task.approval, &task.demands);
            text.push_str(&Particulars { policy, approval, demands }.lines(task.id.as_str()));
        }
        for phase in &self.phases {
            text.push_str(&verified(&phase.number, &phase.verification));
        }
        text.push('\n');
        let redone = self.tasks.iter().filter(|task| task.ticked && task.status == Some(TaskStatus::Pending));
        let redone: Vec<&str> = redone.map(|task| task.id.as_str()).collect();
        if !redone.is_empty() {
            writeln!(text, "ticked in the plan file, and pending here: {}\n", redone.join(", "))
                .expect("a text can always be written to");
        }
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["TASK", "PHASE", "STATUS", "WAITS FOR", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "STATUS", "WAITS FOR", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::from(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                task.status.map_or("-", TaskStatus::as_str).into(),
                Cell::text(waits_for(&task.depends_on, &task.waits_by_order)),
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
        match self.dry_run {
            true => format!("{} would be deleted; dry run, nothing was changed\n", self.deleted),
            false => format!("deleted {}\n", self.deleted),
        }
    }
}
