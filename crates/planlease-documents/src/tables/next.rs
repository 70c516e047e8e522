//! `next`: what may start now, and what the others wait for.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::TaskId;

use super::{
    steering::fleet_paused,
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::{next::NextTasks, next::Ready, next::sentence},
};

/// How many rows each table of what cannot start has at most; the JSON has all.
const ROWS: usize = 20;

impl Tabular for NextTasks {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["READY", "PHASE", "PRIORITY", "LABELS", "DESCRIPTION"]);
        for task in &self.ready {
            table.row([
                Cell::from(&task.task),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                if task.priority == 0 { "-".into() } else { task.priority.into() },
                Cell::text(task.labels.join(", ")),
                Cell::text(&task.description),
            ]);
        }
        let halted = self.halted.as_ref().map(|by| format!("{}; nothing is started\n\n", by.sentence(now)));
        let mut text = fleet_paused(self.fleet_paused.as_ref(), now) + &halted.unwrap_or_default();
        text.push_str(&table.render("nothing is ready"));
        more(&mut text, self.ready_total - self.ready.len());
        let not_run = |task: &Ready| Some((task.task.clone(), task.not_run.clone()?));
        let not_run: Vec<(TaskId, String)> = self.ready.iter().filter_map(not_run).collect();
        if !not_run.is_empty() {
            let mut table = Table::new(["NOT RUN", "NO ORCHESTRATOR DOES, SINCE"]);
            for (task, why) in not_run.iter().take(ROWS) {
                table.row([Cell::from(task), Cell::text(why)]);
            }
            let _ = write!(text, "\n{}", table.render(""));
            more(&mut text, not_run.len().saturating_sub(ROWS));
        }
        let pooled = |task: &Ready| Some((task.task.clone(), task.waits_for_pool.clone()?));
        let pooled: Vec<(TaskId, String)> = self.ready.iter().filter_map(pooled).collect();
        if !pooled.is_empty() {
            let mut table = Table::new(["NO PERMIT", "WHY"]);
            for (task, why) in pooled.iter().take(ROWS) {
                table.row([Cell::from(task), Cell::text(why)]);
            }
            let _ = write!(text, "\n{}", table.render(""));
            more(&mut text, pooled.len().saturating_sub(ROWS));
        }
        if !self.in_progress.is_empty() {
            let shown = |task: &TaskId| match self.lost.contains(task) {
                true => format!("{task} (gone)"),
                false => task.to_string(),
            };
            let tasks: Vec<String> = self.in_progress.iter().take(ROWS).map(shown).collect();
            let _ = writeln!(text, "\nin progress: {}", tasks.join(", "));
            more(&mut text, self.in_progress.len().saturating_sub(ROWS));
        }
        if !self.blocked.is_empty() {
            let mut table = Table::new(["BLOCKED", "WAITS FOR"]);
            for task in self.blocked.iter().take(ROWS) {
                table.row([Cell::from(&task.task), Cell::text(sentence(&task.waits))]);
            }
            let _ = write!(text, "\n{}", table.render(""));
            more(&mut text, self.blocked_total - self.blocked.len().min(ROWS));
        }
        if !self.held.is_empty() {
            let mut table = Table::new(["HELD", "STATE", "WHY"]);
            for task in self.held.iter().take(ROWS) {
                let why = task.why.as_deref().map(plain).unwrap_or_default();
                table.row([Cell::from(&task.task), task.state.into(), Cell::text(why)]);
            }
            let _ = write!(text, "\n{}", table.render(""));
            more(&mut text, self.held.len().saturating_sub(ROWS));
        }
        text
    }
}

/// How many are left out, if any are.
fn more(text: &mut String, left_out: usize) {
    if left_out > 0 {
        let _ = writeln!(text, "… and {left_out} more");
    }
}
