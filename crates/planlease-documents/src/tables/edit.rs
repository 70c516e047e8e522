//! `plan diff` and `plan update`: what a file changes in a plan.

use planlease::core::WallTime;
use planlease_core::TaskId;

use super::{
    table::{Cell, Table, command_line},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::edit::{EditView, What},
};

impl Tabular for EditView {
    fn table(&self, _now: WallTime) -> String {
        let Self { plan, file, .. } = self;
        let file = plain(file);
        let mut text = match (self.in_step, self.revision) {
            (true, None) => format!("{plan} is as {file} says\n"),
            (true, Some(revision)) => format!("{plan} is as {file} says since revision {revision}\n"),
            (false, _) => format!("{plan} is not as {file} says\n"),
        };
        if let Some(source) = &self.other_source {
            text += &format!("the plan was made of another file: {}\n", plain(source));
        }
        let ids = |tasks: &[TaskId]| tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
        if !self.recorded_as_done.is_empty() {
            // A new task is made as completed; one that was pending is skipped.
            let is_new = |task: &TaskId| {
                self.tasks.iter().any(|edit| edit.task == *task && matches!(edit.what, What::Added))
            };
            let (new, skipped): (Vec<TaskId>, Vec<TaskId>) =
                self.recorded_as_done.iter().cloned().partition(is_new);
            for (how, tasks) in [("left out (skipped)", skipped), ("recorded as done", new)] {
                if !tasks.is_empty() {
                    text += &format!("ticked in the file, and {how}: {}\n", ids(&tasks));
                }
            }
        } else if !self.ticked.is_empty() {
            text += &format!("ticked in the file, and pending in the plan: {}\n", ids(&self.ticked));
        }
        if !self.fields.is_empty() {
            text += &format!("the plan itself: {}\n", self.fields.join(", "));
        }
        if self.tasks.is_empty() {
            return text;
        }
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["", "TASK", "STATUS", "WHAT", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["", "TASK", "STATUS", "WHAT", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let (sign, what) = match task.what {
                What::Added => ("+", "is new".to_owned()),
                What::Removed => ("-", "is not in the file".to_owned()),
                What::Changed => ("~", task.fields.join(", ")),
                What::Kept => ("=", "is not in the file, but stays".to_owned()),
            };
            let cells = [
                Cell::text(sign),
                Cell::text(task.task.as_str()),
                Cell::text(task.status.map_or_else(|| "-".to_owned(), |status| status.to_string())),
                Cell::text(what),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        text + "\n" + &table.render("")
    }
}
