//! `status PLAN`: how far one plan is, at one revision.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::{PlanState, Summary};

use super::{
    steering::fleet_paused,
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    cells::{bar, done},
    printable::{Style, plain},
    wire::status::PlanStatus,
};

/// How wide the bar is, in characters.
const BAR: usize = 30;

impl Tabular for PlanStatus {
    fn table(&self, now: WallTime) -> String {
        let mut text = fleet_paused(self.fleet_paused.as_ref(), now);
        write!(text, "{}  {}\n\n", self.plan, plain(&self.title)).expect("a text can always be written to");
        let Summary { total: _, pending, in_progress, completed, failed, skipped, unreadable } = self.summary;
        let line = |text: &mut String, name: &str, what: &str| {
            writeln!(text, "{name:<9} {what}").expect("a text can always be written to");
        };
        if let Some(store) = &self.store {
            line(&mut text, "store", &store.to_string());
        }
        line(&mut text, "state", self.state.label());
        if let Some(halted) = &self.halted {
            line(&mut text, "halted", &halted.sentence(now));
        }
        line(&mut text, "owner", &self.ownership.describe(now));
        for waiting in &self.ownership.waiting {
            line(&mut text, "queue", &format!("{}: {}", waiting.position, plain(&waiting.name)));
        }
        line(&mut text, "progress", &format!("[{}] {}", bar(&self.summary, BAR), done(&self.summary)));
        line(
            &mut text,
            "tasks",
            &format!(
                "{completed} completed, {in_progress} in progress, {failed} failed, {skipped} skipped, {pending} pending ({} ready){}",
                self.ready.len(),
                if unreadable > 0 { format!(", {unreadable} unreadable") } else { String::new() }
            ),
        );
        line(&mut text, "revision", &self.revision.to_string());
        if self.phases.iter().any(|phase| phase.number.is_some()) {
            write!(text, "\n{}", self.phases_table()).expect("a text can always be written to");
        }
        if !self.in_progress.is_empty() {
            let mut table = Table::new(["IN PROGRESS", "ATTEMPT", "BY", "FOR", "SAYS"]);
            for task in &self.in_progress {
                let cancelled = task.cancel.as_ref().map(|cancel| format!("cancelled {}", cancel.sentence()));
                table.row([
                    task.task.to_string().into(),
                    task.attempt.into(),
                    Cell::text(task.hold.by(task.claimed_by.as_deref())),
                    task.hold.age(task.since, now).into(),
                    Cell::text(cancelled.as_deref().or(task.progress.as_deref()).unwrap_or("-")),
                ]);
            }
            write!(text, "\n{}", table.render("")).expect("a text can always be written to");
        }
        if !self.attention.is_empty() {
            let mut table = Table::new([self.attention_title(), "ATTEMPT", "AGO", "WHY"]);
            for task in &self.attention {
                let decision = task.approval.as_deref().or(task.parked.as_deref());
                let why = decision.or(task.error.as_deref()).unwrap_or("-");
                table.row([
                    Cell::from(&task.task).in_style(Style::Red),
                    task.attempt.into(),
                    task.ended_at.map_or_else(|| "-".to_owned(), |at| at.age(now)).into(),
                    Cell::text(why),
                ]);
            }
            write!(text, "\n{}", table.render("")).expect("a text can always be written to");
        }
        text
    }
}

impl PlanStatus {
    /// What the tasks that need a person have in common.
    fn attention_title(&self) -> &'static str {
        if self.attention.iter().any(|task| task.approval.is_some()) { "DECIDE" } else { "FAILED" }
    }

    fn phases_table(&self) -> String {
        let mut table = Table::new(["PHASE", "NAME", "DONE", "RUNNING", "FAILED"]);
        for phase in &self.phases {
            table.row([
                Cell::text(phase.number.as_deref().unwrap_or("-")),
                Cell::text(&phase.name),
                done(&phase.summary).into(),
                count(phase.summary.in_progress),
                count(phase.summary.failed),
            ]);
        }
        table.render("")
    }
}

/// The state of a plan, with a colour if a person has to act.
pub(crate) fn state(state: PlanState) -> Cell {
    let cell = Cell::text(state.label());
    match state {
        PlanState::NeedsDecision | PlanState::Failed | PlanState::Stuck => cell.in_style(Style::Red),
        PlanState::Running => cell.in_style(Style::Cyan),
        PlanState::Done => cell.in_style(Style::Green),
        PlanState::Paused | PlanState::Cancelled => cell.in_style(Style::Yellow),
        PlanState::Waiting | PlanState::Archived => cell,
    }
}

/// A number, or nothing for none.
pub(crate) fn count(n: usize) -> Cell {
    if n == 0 { Cell::text("-") } else { n.into() }
}
