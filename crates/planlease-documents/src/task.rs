//! Tasks: listed, shown with their history, changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use planlease::{PlanView, TaskView, core::WallTime};
use planlease_core::{
    PlanName, Revision, TaskId,
    orphan::{Alive, is_orphan},
    record::{FindingsRecord, Role, TaskRecord},
    spec::TaskSpec,
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, Table, Time, duration, each_readable,
    findings::Output,
    plain,
    unreadable::{UnreadableView, views},
};

/// A task's record.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskRecord")]
pub(super) struct Record {
    status: TaskStatus,
    revision: Revision,
    attempt: u32,
    failures: u32,
    lost: u32,
    claim: Option<Claim>,
    progress: Option<String>,
    notes: Option<String>,
    error: Option<String>,
    skip_reason: Option<String>,
    parked: Option<String>,
    started_at: Option<Time>,
    ended_at: Option<Time>,
    written_by: String,
    written_as: Role,
    op_id: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskClaim")]
struct Claim {
    by: String,
    term: Option<u64>,
    since: Time,
    /// How long a claim stands that no session keeps, from the claim or its last progress report, in seconds.
    limit_s: Option<u64>,
}

/// What a claim hangs on, at the moment of reading.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub(super) struct Hold {
    /// Whether the task is in progress and its claimant is gone: a dead process, a former owner, a time limit
    /// that has passed.
    claimant_gone: bool,
    /// How long a claim has left that no session keeps, in seconds.
    claim_left_s: Option<u64>,
}

impl Hold {
    pub(super) fn of(task: &TaskView, alive: &Alive) -> Self {
        let claim = task.record.claim.as_ref();
        Self {
            claimant_gone: is_orphan(&task.record, alive),
            claim_left_s: claim.and_then(|claim| alive.left(claim)).map(|left| left.as_secs()),
        }
    }

    /// The claimant, and whether it is gone.
    pub(super) fn by(self, by: Option<&str>) -> String {
        let gone = if self.claimant_gone { " (gone)" } else { "" };
        format!("{}{gone}", by.unwrap_or("-"))
    }

    /// For how long the claim has stood, and how much is left of it.
    pub(super) fn age(self, since: Option<Time>, now: WallTime) -> String {
        let age = since.map_or_else(|| "-".to_owned(), |since| since.age(now));
        let left = self.claim_left_s.map(|left| format!(" ({} left)", duration(Duration::from_secs(left))));
        age + &left.unwrap_or_default()
    }
}

impl Record {
    pub(super) fn of(view: &TaskView) -> Self {
        let TaskView { revision, record, .. } = view;
        let TaskRecord { status, attempt, failures, lost, writer, .. } = record;
        Self {
            status: *status,
            revision: *revision,
            attempt: *attempt,
            failures: *failures,
            lost: *lost,
            claim: record.claim.as_ref().map(|claim| Claim {
                by: claim.by.clone(),
                term: claim.term.map(|term| term.0),
                since: claim.since.into(),
                limit_s: claim.limit.map(|limit| limit.seconds),
            }),
            progress: record.progress.clone(),
            notes: record.notes.clone(),
            error: record.error.clone(),
            skip_reason: record.skip_reason.clone(),
            parked: record.parked.clone(),
            started_at: record.started_at.map(Time),
            ended_at: record.ended_at.map(Time),
            written_by: writer.who.clone(),
            written_as: writer.role,
            op_id: record.op_id.to_string(),
        }
    }

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

/// `task list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskList {
    plan: PlanName,
    revision: Revision,
    tasks: Vec<Listed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskListed")]
struct Listed {
    task: TaskId,
    phase: Option<String>,
    description: String,
    depends_on: Vec<TaskId>,
    /// Whether it could start now.
    ready: bool,
    #[serde(flatten)]
    record: Record,
    #[serde(flatten)]
    hold: Hold,
}

impl TaskList {
    /// The tasks of a plan in this status, or all, with what their claims hang on.
    #[must_use]
    pub fn new(view: &PlanView, status: Option<TaskStatus>, alive: &Alive) -> Self {
        let ready: BTreeSet<&TaskId> = view.ready().collect();
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let tasks =
            view.tasks().values().filter(|task| status.is_none_or(|status| task.record.status == status));
        let tasks = tasks.map(|task| {
            let spec = specs.get(&task.id);
            Listed {
                task: task.id.clone(),
                phase: spec.and_then(|spec| spec.phase.clone()),
                description: spec.map(|spec| spec.description.clone()).unwrap_or_default(),
                depends_on: spec.map(|spec| spec.depends_on.clone()).unwrap_or_default(),
                ready: ready.contains(&task.id),
                record: Record::of(task),
                hold: Hold::of(task, alive),
            }
        });
        let unreadable = views(view.unreadable());
        Self { plan: view.name().clone(), revision: view.revision(), tasks: tasks.collect(), unreadable }
    }
}

impl Document for TaskList {
    const SCHEMA: Option<&'static str> = Some("planlease.tasks.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.task_listed.v1", &self.tasks, &self.unreadable)
    }

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

/// `task show`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskShown {
    plan: PlanName,
    task: TaskId,
    phase: Option<String>,
    description: String,
    depends_on: Vec<TaskId>,
    /// What it still waits for.
    blocked_by: Vec<TaskId>,
    steps: Vec<String>,
    command: Option<Vec<String>>,
    #[serde(flatten)]
    record: Record,
    #[serde(flatten)]
    hold: Hold,
    /// The last ones, the oldest first.
    transitions: Vec<Transition>,
    /// What the task has found out, or what its command wrote if it stored nothing.
    findings: Option<Output>,
    /// What its command wrote, if it was run by an orchestrator.
    output: Option<Output>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Transition {
    at: Time,
    from: TaskStatus,
    to: TaskStatus,
    attempt: u32,
    by: String,
    term: Option<u64>,
    why: Option<String>,
}

impl TaskShown {
    /// A task of the plan, with its output, and what its claim hangs on.
    #[must_use]
    pub fn new(view: &PlanView, task: &TaskView, findings: Option<FindingsRecord>, alive: &Alive) -> Self {
        let spec = view.spec().task(&task.id);
        let transitions = task.record.transitions.iter().map(|transition| Transition {
            at: transition.at.into(),
            from: transition.from,
            to: transition.to,
            attempt: transition.attempt,
            by: transition.by.clone(),
            term: transition.term.map(|term| term.0),
            why: transition.why.clone(),
        });
        Self {
            plan: view.name().clone(),
            task: task.id.clone(),
            phase: spec.and_then(|spec| spec.phase.clone()),
            description: spec.map(|spec| spec.description.clone()).unwrap_or_default(),
            depends_on: spec.map(|spec| spec.depends_on.clone()).unwrap_or_default(),
            blocked_by: view.blockers(&task.id).map(|wait| wait.on.clone()).collect(),
            steps: spec.map(|spec| spec.steps.clone()).unwrap_or_default(),
            command: spec.and_then(|spec| spec.command.clone()),
            record: Record::of(task),
            hold: Hold::of(task, alive),
            transitions: transitions.collect(),
            findings: findings.as_ref().map(|found| found.readable().into()),
            output: findings.and_then(|found| found.output).map(Into::into),
            unreadable: views(view.unreadable()),
        }
    }

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

impl Document for TaskShown {
    const SCHEMA: Option<&'static str> = Some("planlease.task.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

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

/// What became of `task start` and its like.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskUpdate {
    plan: PlanName,
    task: TaskId,
    change: &'static str,
    /// `committed`, `refused` or `unknown`.
    outcome: &'static str,
    /// Why it was refused, or is not known.
    reason: Option<String>,
    /// The record as it is now, where it is known.
    record: Option<Record>,
}

impl TaskUpdate {
    /// It was carried out; this is the task now.
    #[must_use]
    pub fn committed(plan: PlanName, change: &'static str, task: &TaskView) -> Self {
        Self {
            plan,
            task: task.id.clone(),
            change,
            outcome: "committed",
            reason: None,
            record: Some(Record::of(task)),
        }
    }

    /// It was not carried out.
    pub fn refused(
        plan: PlanName,
        task: TaskId,
        change: &'static str,
        reason: String,
        present: Option<&TaskView>,
    ) -> Self {
        Self { plan, task, change, outcome: "refused", reason: Some(reason), record: present.map(Record::of) }
    }

    /// It is not known whether it was carried out.
    #[must_use]
    pub fn unknown(plan: PlanName, task: TaskId, change: &'static str, reason: String) -> Self {
        Self { plan, task, change, outcome: "unknown", reason: Some(reason), record: None }
    }
}

impl Document for TaskUpdate {
    const SCHEMA: Option<&'static str> = Some("planlease.task_update.v1");

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
