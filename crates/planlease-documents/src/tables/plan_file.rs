//! `plan check`: what was parsed, or what is wrong with it. Its JSON is described by the documentation of
//! plan files.

use planlease::core::WallTime;
use planlease_core::counted;

use super::{
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
        let mut table = Table::new(["TASK", "PHASE", "DEPENDS ON", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "DEPENDS ON", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::text(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                Cell::text(task.depends_on.join(", ")),
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
        text + "\n" + &table.render("no tasks")
    }
}
