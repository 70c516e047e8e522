//! Tasks: listed, shown with their history, changed.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use planlease::TaskView;
use planlease::core::WallTime;
use planlease_core::TaskId;

use super::{
    status::count,
    table::{Cell, Table, command_line},
    tabular::Tabular,
};
use crate::{
    cells::{Sayings, cancelled, claimant},
    printable::plain,
    time::{Time, duration},
    wire::{
        findings::Output,
        task::{AllTasks, Cancel, Hold, InPlan, Listed, Record, TaskDetailView, TaskList, TaskUpdate},
    },
};

/// What is shown of each task: see [`Listed::cells`].
const COLUMNS: [&str; 8] = ["TASK", "STATUS", "ATTEMPT", "BY", "FOR", "REVISION", "DESCRIPTION", "SAYS"];

/// What `-o wide` shows besides: see [`Listed::more_cells`].
const MORE_COLUMNS: [&str; 6] = ["PHASE", "DEPENDS ON", "FAILED", "LOST", "STARTED", "ENDED"];

/// What stands where no task is listed.
const NO_TASKS: &str = "no such tasks";

impl Tabular for TaskList {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(COLUMNS);
        for task in &self.tasks {
            table.row(task.cells(now));
        }
        table.render(NO_TASKS)
    }

    fn wide(&self, now: WallTime) -> String {
        let mut table = Table::new(COLUMNS.into_iter().chain(MORE_COLUMNS));
        for task in &self.tasks {
            table.row(task.all_cells(now));
        }
        table.render(NO_TASKS)
    }

    fn names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.task.to_string()).collect()
    }
}

impl Tabular for AllTasks {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["PLAN"].into_iter().chain(COLUMNS));
        for InPlan { plan, listed } in &self.tasks {
            table.row([Cell::from(plan)].into_iter().chain(listed.cells(now)));
        }
        table.render(NO_TASKS)
    }

    fn wide(&self, now: WallTime) -> String {
        let mut table = Table::new(["PLAN"].into_iter().chain(COLUMNS).chain(MORE_COLUMNS));
        for InPlan { plan, listed } in &self.tasks {
            table.row([Cell::from(plan)].into_iter().chain(listed.all_cells(now)));
        }
        table.render(NO_TASKS)
    }

    fn names(&self) -> Vec<String> {
        self.tasks.iter().map(|InPlan { plan, listed }| format!("{plan} {}", listed.task)).collect()
    }
}

impl Listed {
    /// One for each of [`COLUMNS`].
    fn cells(&self, now: WallTime) -> [Cell; 8] {
        let claim = self.record.claim.as_ref();
        [
            Cell::from(&self.task),
            (if self.ready { "ready" } else { self.record.status.as_str() }).into(),
            self.record.attempt.into(),
            Cell::text(self.hold.by(claim.map(|claim| claim.by.as_str()))),
            self.hold.age(claim.map(|claim| claim.since), now).into(),
            self.record.revision.into(),
            Cell::text(&self.description),
            Cell::text(self.record.says()),
        ]
    }

    /// One for each of [`COLUMNS`] and [`MORE_COLUMNS`].
    fn all_cells(&self, now: WallTime) -> impl Iterator<Item = Cell> {
        self.cells(now).into_iter().chain(self.more_cells())
    }

    /// One for each of [`MORE_COLUMNS`].
    fn more_cells(&self) -> [Cell; 6] {
        let time =
            |time: Option<Time>| Cell::text(time.map_or_else(|| "-".to_owned(), |time| time.to_the_second()));
        let waits: Vec<&str> = self.depends_on.iter().map(TaskId::as_str).collect();
        [
            Cell::text(self.phase.as_deref().unwrap_or("-")),
            Cell::text(if waits.is_empty() { "-".to_owned() } else { waits.join(", ") }),
            count(usize::try_from(self.record.failures).unwrap_or(usize::MAX)),
            count(usize::try_from(self.record.lost).unwrap_or(usize::MAX)),
            time(self.record.started_at),
            time(self.record.ended_at),
        ]
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
                    transition.at.to_the_second().into(),
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
        let cancel = record.cancel.as_ref().map(|request| {
            let (by, then) = (record.claim.as_ref().map_or("-", |claim| &claim.by), request.then.status());
            format!("; it is cancelled, and will be {then} when {} has ended the attempt", plain(by))
        });
        format!(
            "{plan} {task} is {} (revision {}, attempt {}){}\n",
            record.status,
            record.revision,
            record.attempt,
            limit.or(cancel).unwrap_or_default()
        )
    }
}

impl Hold {
    /// The claimant, and whether it is gone.
    pub(crate) fn by(self, by: Option<&str>) -> String {
        claimant(by.unwrap_or("-"), self.claimant_gone)
    }

    /// For how long the claim has stood, and how much is left of it.
    pub(crate) fn age(self, since: Option<Time>, now: WallTime) -> String {
        let age = since.map_or_else(|| "-".to_owned(), |since| since.age(now));
        let left = self.claim_left_s.map(|left| format!(" ({} left)", duration(Duration::from_secs(left))));
        age + &left.unwrap_or_default()
    }
}

impl Cancel {
    /// `by me: wrong branch; becomes skipped when the attempt has ended`
    pub(crate) fn sentence(&self) -> String {
        cancelled(&self.by, &self.why, self.then)
    }
}

impl Record {
    /// What a person has to approve, if the task waits for that.
    fn question(&self) -> Option<&str> {
        self.approval.as_ref()?.question.as_deref()
    }

    /// The approval, for people.
    fn approval_text(&self) -> Option<String> {
        let approval = self.approval.as_ref()?;
        if let Some(question) = &approval.question {
            return Some(question.clone());
        }
        let asked = approval.of.map_or_else(|| "-".to_owned(), |of| of.to_string());
        let given = approval.given.as_ref().map_or_else(String::new, |given| {
            format!(": attempt {} was approved by {}: {}", given.attempt, given.by, given.why)
        });
        Some(format!("{asked}{given}"))
    }

    /// What is used up of the budget, for people.
    fn budget_text(&self) -> Option<String> {
        let budget = self.budget.as_ref()?;
        let attempts = (budget.max_attempts > 0)
            .then(|| format!("{} of {} attempts", budget.attempts, budget.max_attempts));
        let spent = match (budget.budget.is_zero(), budget.spent.is_zero()) {
            (false, _) => Some(format!("{} of {} spent", budget.spent, budget.budget)),
            (true, false) => Some(format!("{} spent", budget.spent)),
            (true, true) => None,
        };
        let parts: Vec<String> = attempts.into_iter().chain(spent).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// What the record last said, whichever field that is in.
    fn says(&self) -> Cow<'_, str> {
        let cancel = self.cancel.as_ref();
        let sayings = Sayings {
            status: self.status,
            cancel: cancel.map(|cancel| (cancel.by.as_str(), cancel.why.as_str(), cancel.then)),
            question: self.question().map(Cow::Borrowed),
            progress: self.progress.as_deref(),
            notes: self.notes.as_deref(),
            parked: self.parked.as_deref(),
            error: self.error.as_deref(),
            skip_reason: self.skip_reason.as_deref(),
        };
        sayings.last().unwrap_or(Cow::Borrowed("-"))
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
            ("cancelled", record.cancel.as_ref().map(Cancel::sentence)),
            ("phase", self.phase.clone()),
            ("depends on", Some(names(&self.depends_on))),
            ("blocked by", Some(names(&self.blocked_by))),
            ("command", self.command.as_deref().map(|command| command_line(Some(command)))),
            ("priority", Some(self.demands.priority).filter(|one| *one != 0).map(|one| one.to_string())),
            ("labels", Some(self.demands.labels.join(", "))),
            ("needs", Some(self.demands.needs.join(", "))),
            ("pools", Some(self.demands.pools_in_words())),
            ("approval", record.approval_text()),
            ("budget", record.budget_text()),
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
