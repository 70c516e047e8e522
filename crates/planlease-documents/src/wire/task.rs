//! Tasks: listed, shown with their history, changed.

use std::collections::{BTreeMap, BTreeSet};

use planlease::{PlanView, TaskView};
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
    document::{Document, each_readable},
    findings::Output,
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// A task's record.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskRecord")]
pub(crate) struct Record {
    pub(crate) status: TaskStatus,
    pub(crate) revision: Revision,
    pub(crate) attempt: u32,
    pub(crate) failures: u32,
    pub(crate) lost: u32,
    pub(crate) claim: Option<Claim>,
    pub(crate) progress: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) skip_reason: Option<String>,
    pub(crate) parked: Option<String>,
    pub(crate) started_at: Option<Time>,
    pub(crate) ended_at: Option<Time>,
    pub(crate) written_by: String,
    pub(crate) written_as: Role,
    pub(crate) op_id: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskClaim")]
pub(crate) struct Claim {
    pub(crate) by: String,
    pub(crate) term: Option<u64>,
    pub(crate) since: Time,
    /// How long a claim stands that no session keeps, from the claim or its last progress report, in seconds.
    pub(crate) limit_s: Option<u64>,
}

/// What a claim hangs on, at the moment of reading.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Hold {
    /// Whether the task is in progress and its claimant is gone: a dead process, a former owner, a time limit
    /// that has passed.
    pub(crate) claimant_gone: bool,
    /// How long a claim has left that no session keeps, in seconds.
    pub(crate) claim_left_s: Option<u64>,
}

impl Hold {
    pub(crate) fn of(task: &TaskView, alive: &Alive) -> Self {
        let claim = task.record.claim.as_ref();
        Self {
            claimant_gone: is_orphan(&task.record, alive),
            claim_left_s: claim.and_then(|claim| alive.left(claim)).map(|left| left.as_secs()),
        }
    }
}

impl Record {
    pub(crate) fn of(view: &TaskView) -> Self {
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
}

/// `task list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskList {
    pub(crate) plan: PlanName,
    pub(crate) revision: Revision,
    pub(crate) tasks: Vec<Listed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskListed")]
pub(crate) struct Listed {
    pub(crate) task: TaskId,
    pub(crate) phase: Option<String>,
    pub(crate) description: String,
    pub(crate) depends_on: Vec<TaskId>,
    /// Whether it could start now.
    pub(crate) ready: bool,
    #[serde(flatten)]
    pub(crate) record: Record,
    #[serde(flatten)]
    pub(crate) hold: Hold,
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
}

/// `task show`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskDetailView {
    pub(crate) plan: PlanName,
    pub(crate) task: TaskId,
    pub(crate) phase: Option<String>,
    pub(crate) description: String,
    pub(crate) depends_on: Vec<TaskId>,
    /// What it still waits for.
    pub(crate) blocked_by: Vec<TaskId>,
    pub(crate) steps: Vec<String>,
    pub(crate) command: Option<Vec<String>>,
    #[serde(flatten)]
    pub(crate) record: Record,
    #[serde(flatten)]
    pub(crate) hold: Hold,
    /// The last ones, the oldest first.
    pub(crate) transitions: Vec<Transition>,
    /// What the task has found out, or what its command wrote if it stored nothing.
    pub(crate) findings: Option<Output>,
    /// What its command wrote, if it was run by an orchestrator.
    pub(crate) output: Option<Output>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Transition {
    pub(crate) at: Time,
    pub(crate) from: TaskStatus,
    pub(crate) to: TaskStatus,
    pub(crate) attempt: u32,
    pub(crate) by: String,
    pub(crate) term: Option<u64>,
    pub(crate) why: Option<String>,
}

impl TaskDetailView {
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
}

impl Document for TaskDetailView {
    const SCHEMA: Option<&'static str> = Some("planlease.task.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}

/// What became of `task start` and its like.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskUpdate {
    pub(crate) plan: PlanName,
    pub(crate) task: TaskId,
    pub(crate) change: &'static str,
    /// `committed`, `refused` or `unknown`.
    pub(crate) outcome: &'static str,
    /// Why it was refused, or is not known.
    pub(crate) reason: Option<String>,
    /// The record as it is now, where it is known.
    pub(crate) record: Option<Record>,
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
}
