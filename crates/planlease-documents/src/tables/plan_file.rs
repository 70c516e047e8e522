//! `plan check`: what was parsed of a plan file, or what is wrong with it.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::counted;

use super::{
    policy::{Particulars, in_words, verified, waits_for},
    table::{Cell, Table, command_line},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::plan_file::{Explained, PlanFile},
};

impl Tabular for PlanFile {
    fn table(&self, _now: WallTime) -> String {
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["TASK", "PHASE", "WAITS FOR", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "WAITS FOR", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::text(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                Cell::text(waits_for(&task.depends_on, &task.waits_by_order)),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        let (phases, tasks) = (counted(self.phases.len(), "phase"), counted(self.tasks.len(), "task"));
        let mut text = format!("{}: {phases}, {tasks}\n", plain(self.title.as_deref().unwrap_or("-")));
        if !self.ticked.is_empty() {
            text += &format!("ticked: {}\n", self.ticked.join(", "));
        }
        if let Some(Explained { format, boxes, tasks, others, in_code, agree }) = &self.explained {
            let agree = if *agree { "all are accounted for" } else { "some are missing" };
            text += &format!("format: {format}\n");
            let (tasks, others) = (counted(*tasks, "task"), counted(*others, "other"));
            text += &format!("boxes: {boxes} in the file, {tasks} read, {others}: {agree}\n");
            if *in_code > 0 {
                text += &format!("in code and comments: {in_code}, not read\n");
            }
        }
        if let Some(policy) = &self.policy {
            writeln!(text, "policy  {}", in_words(policy)).expect("a text can always be written to");
        }
        for task in &self.tasks {
            let (policy, approval, demands) = (task.policy.as_ref(), task.approval, &task.demands);
            text += &Particulars { policy, approval, demands }.lines(&task.id);
        }
        for phase in &self.phases {
            text += &verified(&phase.number, &phase.verification);
        }
        text + "\n" + &table.render("no tasks")
    }
}
