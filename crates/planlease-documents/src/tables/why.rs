//! `why`: who, when, under which ownership, and which rule led to the present state; and what happens next.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::{record::TRANSITIONS_KEPT, transition::TaskStatus};

use super::{steering::fleet_paused, tabular::Tabular};
use crate::{
    printable::plain,
    wire::why::{WhyPlan, WhyTask},
};

impl Tabular for WhyTask {
    fn table(&self, now: WallTime) -> String {
        let mut text = fleet_paused(self.fleet_paused.as_ref(), now);
        let _ = write!(text, "task {} of {} is {}\n\n", self.task, self.plan, words(self.status));
        if self.history.len() >= TRANSITIONS_KEPT {
            text.push_str("  …\n");
        }
        for step in &self.history {
            let term = step.term.map(|term| format!(", term {term}")).unwrap_or_default();
            let why = step.why.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
            let (from, to) = (words(step.from), words(step.to));
            let _ = writeln!(
                text,
                "  {}  {from} → {to}, attempt {}, by {}{term}{why}",
                step.at.to_the_second(),
                step.attempt,
                plain(&step.by)
            );
        }
        if self.history.is_empty() {
            text.push_str("  nothing has happened to it yet\n");
        }
        if !self.late.is_empty() {
            text.push_str("\ncame too late, and changed nothing:\n");
        }
        for late in &self.late {
            let attempt = late.attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
            let term = late.term.map(|term| format!(", term {term}")).unwrap_or_default();
            let said = late.said.as_deref().map(|said| format!(": {}", plain(said))).unwrap_or_default();
            let _ = writeln!(
                text,
                "  {}  {}{attempt}, by {}{term}{said} ({})",
                late.at.to_the_second(),
                words(late.status),
                plain(&late.by),
                plain(&late.refused)
            );
        }
        let _ = write!(text, "\n{}\n{}", self.now, self.next);
        text
    }
}

impl Tabular for WhyPlan {
    fn table(&self, now: WallTime) -> String {
        let state = match self.summary {
            summary if summary.is_done() => "is finished",
            summary if summary.is_finished() => "has come to an end with failures",
            _ => "is not finished",
        };
        let mut text = fleet_paused(self.fleet_paused.as_ref(), now);
        let _ = write!(text, "plan {} {state}\n\n", self.plan);
        for term in &self.terms {
            let end = term.ended.as_ref().map_or_else(
                || "still open".to_owned(),
                |end| {
                    let by = end.by.as_deref().map(|by| format!(" by {}", plain(by))).unwrap_or_default();
                    let to = end.to.as_deref().map(|to| format!(" to {}", plain(to))).unwrap_or_default();
                    let reason =
                        end.reason.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
                    format!("ended {} {}{by}{to}{reason}", end.at.to_the_second(), end.how.replace('_', " "))
                },
            );
            let _ = writeln!(
                text,
                "  term {}  {}  {} on {}; {end}",
                term.term,
                term.since.to_the_second(),
                plain(&term.orchestrator),
                plain(&term.host)
            );
        }
        if self.terms.is_empty() {
            text.push_str("  never owned\n");
        }
        let _ = write!(text, "\n{}\n{}", self.now, self.next);
        text
    }
}

fn words(status: TaskStatus) -> String {
    status.as_str().replace('_', " ")
}
