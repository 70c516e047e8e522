//! Tasks: listed, shown with their history, changed.

use std::{fmt::Write as _, time::Duration};

use planlease::TaskView;
use planlease::core::WallTime;
use planlease_core::{TaskId, transition::TaskStatus};

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    time::{Time, duration},
    wire::{
        findings::Output,
        task::{Hold, Record, TaskDetailView, TaskList, TaskUpdate},
    },
};

impl Tabular for TaskList {
    fn table(&self, now: WallTime) -> String {
        let mut table =
            Table::new(["TASK", "STATUS", "ATTEMPT", "BY", "FOR", "REVISION", "DESCRIPTION", "SAYS"]);
        for task in &self.tasks {
            let claim = task.record.claim.as_ref();
            table.row([
                Cell::from(&task.task),
                (if task.ready { "ready" } else { task.record.status.as_str() }).into(),
                task.record.attempt.into(),
                Cell::text(task.hold.by(claim.map(|claim| claim.by.as_str()))),
                task.hold.age(claim.map(|claim| claim.since), now).into(),
                task.record.revision.into(),
                Cell::text(&task.description),
                Cell::text(task.record.says()),
            ]);
        }
        table.render("no such tasks")
    }
}

impl Tabular for TaskDetailView {
    fn table(&self, now: WallTime) -> String {
        let mut text = format!("{} of {}  {}\n\n", self.task, self.plan, plain(&self.description));
        for (name, value) in self.fields(now) {
            writeln!(text, "{name:<10} {}", plain(&value)).expect("a text can always be written to");
        }
        for step in &self.steps {
            writeln!(text, "           - {}", plain(step)).expect("a text can always be written to");
        }
        if !self.transitions.is_empty() {
            let mut table = Table::new(["AT", "FROM", "TO", "ATTEMPT", "BY", "WHY"]);
            for transition in &self.transitions {
                table.row([
                    transition.at.rfc_3339().into(),
                    transition.from.into(),
                    transition.to.into(),
                    transition.attempt.into(),
                    Cell::text(&transition.by),
                    Cell::text(transition.why.as_deref().unwrap_or("-")),
                ]);
            }
            write!(text, "\n{}", table.render("")).expect("a text can always be written to");
        }
        // Without findings of its own they are the output.
        let own = self.findings.as_ref().filter(|own| {
            self.output
                .as_ref()
                .is_none_or(|output| (own.attempt, &own.text) != (output.attempt, &output.text))
        });
        for (what, shown) in [("Findings", own), ("Output", self.output.as_ref())] {
            let Some(Output { attempt, bytes, text: lines }) = shown else { continue };
            writeln!(text, "\n{what} of attempt {attempt} ({bytes} bytes):")
                .expect("a text can always be written to");
            for line in lines.lines() {
                writeln!(text, "  {}", plain(line)).expect("a text can always be written to");
            }
        }
        text
    }
}

impl Tabular for TaskUpdate {
    fn table(&self, _now: WallTime) -> String {
        // A refusal is reported as the failure that it is, with the record.
        let Some(record) = self.record.as_ref().filter(|_| self.outcome == "committed") else {
            return String::new();
        };
        let (plan, task) = (&self.plan, &self.task);
        let limit = record.claim.as_ref().and_then(|claim| claim.limit_s).filter(|_| self.change == "start");
        let limit = limit.map(|limit| {
            let limit = duration(Duration::from_secs(limit));
            format!("; the claim ends after {limit}, or {limit} after the last `planlease task progress`")
        });
        format!(
            "{plan} {task} is {} (revision {}, attempt {}){}\n",
            record.status,
            record.revision,
            record.attempt,
            limit.unwrap_or_default()
        )
    }
}

impl Hold {
    /// The claimant, and whether it is gone.
    pub(crate) fn by(self, by: Option<&str>) -> String {
        let gone = if self.claimant_gone { " (gone)" } else { "" };
        format!("{}{gone}", by.unwrap_or("-"))
    }

    /// For how long the claim has stood, and how much is left of it.
    pub(crate) fn age(self, since: Option<Time>, now: WallTime) -> String {
        let age = since.map_or_else(|| "-".to_owned(), |since| since.age(now));
        let left = self.claim_left_s.map(|left| format!(" ({} left)", duration(Duration::from_secs(left))));
        age + &left.unwrap_or_default()
    }
}

impl Record {
    /// What the record last said, whichever field that is in.
    fn says(&self) -> &str {
        let text = match self.status {
            TaskStatus::Pending => None,
            TaskStatus::InProgress => self.progress.as_deref(),
            TaskStatus::Completed => self.notes.as_deref(),
            TaskStatus::Failed => self.parked.as_deref().or(self.error.as_deref()),
            TaskStatus::Skipped => self.skip_reason.as_deref(),
        };
        text.unwrap_or("-")
    }
}

impl TaskDetailView {
    /// The fields that say something, by name.
    fn fields(&self, now: WallTime) -> Vec<(&'static str, String)> {
        let record = &self.record;
        let names = |tasks: &[TaskId]| tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
        let claim = record.claim.as_ref();
        let fields = [
            ("status", Some(record.status.to_string())),
            ("revision", Some(record.revision.to_string())),
            (
                "attempt",
                Some(format!("{} ({} failed, {} lost)", record.attempt, record.failures, record.lost)),
            ),
            (
                "claimed by",
                claim.map(|claim| {
                    format!(
                        "{}, for {}",
                        self.hold.by(Some(&claim.by)),
                        self.hold.age(Some(claim.since), now)
                    )
                }),
            ),
            ("phase", self.phase.clone()),
            ("depends on", Some(names(&self.depends_on))),
            ("blocked by", Some(names(&self.blocked_by))),
            ("command", self.command.as_ref().map(|command| command.join(" "))),
            ("progress", record.progress.clone()),
            ("notes", record.notes.clone()),
            ("error", record.error.clone()),
            ("skipped", record.skip_reason.clone()),
            ("decide", record.parked.clone()),
        ];
        let said =
            fields.into_iter().filter_map(|(name, text)| Some((name, text.filter(|text| !text.is_empty())?)));
        said.collect()
    }
}

/// A record in one line, for messages.
pub fn describe(view: &TaskView) -> String {
    let TaskView { revision, record, .. } = view;
    let by =
        record.claim.as_ref().map_or_else(String::new, |claim| format!(", claimed by {}", plain(&claim.by)));
    let status = record.status;
    format!(
        "it is {status} at revision {revision} (attempt {}{by}), last written by {}",
        record.attempt,
        plain(&record.writer.who)
    )
}
