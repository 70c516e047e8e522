//! `estimate`: how long a plan may still take.

use std::{fmt::Write as _, time::Duration};

use planlease::core::WallTime;
use planlease_core::{TaskId, counted};

use super::tabular::Tabular;
use crate::{time::duration, wire::estimate::EstimateView};

/// How many tasks a line names at most; the JSON has all.
const NAMED: usize = 30;

impl Tabular for EstimateView {
    fn table(&self, _now: WallTime) -> String {
        let time = |secs: f64| duration(Duration::try_from_secs_f64(secs).unwrap_or_default());
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<14}{value}");
        };
        line("to do", format!("{}, {} one after the other", counted(self.tasks, "task"), time(self.work_s)));
        line("remaining", format!("{} with {}", time(self.remaining_s), counted(self.jobs, "job")));
        line("at the least", format!("{}, however many jobs there are", time(self.critical_s)));
        line("parallelism", format!("{:.1}", self.parallelism));
        if !self.critical_path.is_empty() {
            line("critical path", names(&self.critical_path, " → "));
        }
        match (self.mean_s, self.guess_s) {
            (Some(mean), _) => {
                line("a task takes", format!("{}, the mean of those that are done", time(mean)))
            }
            (None, guess) => {
                line("a task takes", format!("{}, as was guessed", time(guess.unwrap_or_default())))
            }
        }
        if !self.stuck.is_empty() {
            let stuck = names(&self.stuck, ", ");
            line("not counted", format!("{stuck}: failed for good, or waiting for one that did"));
        }
        text
    }
}

/// The tasks in a line: the first ones, if they are many.
fn names(tasks: &[TaskId], between: &str) -> String {
    let named = tasks.iter().take(NAMED).map(TaskId::as_str).collect::<Vec<_>>().join(between);
    match tasks.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
