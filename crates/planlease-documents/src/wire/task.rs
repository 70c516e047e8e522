//! Tasks: listed, shown with their history, changed.

use std::collections::{BTreeMap, BTreeSet};

use planlease::{Excerpt, PlanView, TaskView};
use planlease_core::{
    PlanName, Revision, TaskId,
    approval::{ApprovalOf, Awaits},
    budget::Amount,
    cancel::{CancelRequest, Then},
    orphan::{Alive, is_orphan},
    record::{FindingsRecord, Role, TaskRecord},
    spec::TaskSpec,
    transition::TaskStatus,
    unreadable::Unreadable,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    findings::Output,
    policy::Demands,
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
    /// The request to end the present attempt. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cancel: Option<Cancel>,
    /// The approval that the plan asks for. Absent if it asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<ApprovalView>,
    /// What the task has used up of its budget. Absent if it has none, and nothing was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<BudgetView>,
    pub(crate) progress: Option<String>,
    /// What the attempt before this one said last of its progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_progress: Option<String>,
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

/// A request to end the present attempt: it cannot be completed any more.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskCancel")]
pub(crate) struct Cancel {
    pub(crate) by: String,
    pub(crate) at: Time,
    pub(crate) why: String,
    /// What becomes of the task when the attempt has ended.
    pub(crate) then: Then,
}

/// The approval of a task by a person.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskApproval")]
pub(crate) struct ApprovalView {
    /// What has to be approved: each attempt `before` it starts, or `after` it its result; `null` if an edit
    /// of the plan has ended that while a result waits.
    pub(crate) of: Option<ApprovalOf>,
    /// The attempt that waits for approval: its start of a pending task, its result of one in progress.
    pub(crate) waits: Option<u32>,
    /// What is to be decided. Absent if nothing waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) question: Option<String>,
    /// The last approval. Absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<ApprovedView>,
}

/// An approval.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskApproved")]
pub(crate) struct ApprovedView {
    pub(crate) attempt: u32,
    pub(crate) by: String,
    pub(crate) at: Time,
    pub(crate) why: String,
}

/// What a task has used up of its budget, since a person last put it back.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskBudget")]
pub(crate) struct BudgetView {
    /// How often it was started.
    pub(crate) attempts: u32,
    /// How often it may be started; 0 for any number.
    pub(crate) max_attempts: u32,
    /// What all attempts have reported to have spent.
    pub(crate) spent: Amount,
    /// What they may spend; 0 for any amount.
    pub(crate) budget: Amount,
}

impl Cancel {
    pub(crate) fn of(record: &TaskRecord) -> Option<Self> {
        let CancelRequest { by, at, why, then, .. } = record.cancel.as_deref()?;
        Some(Self { by: by.clone(), at: (*at).into(), why: why.clone(), then: *then })
    }
}

impl ApprovalView {
    fn of(record: &TaskRecord) -> Option<Self> {
        let approval = record.approval.as_ref()?;
        let given = approval.given.as_ref().map(|given| ApprovedView {
            attempt: given.attempt,
            by: given.by.clone(),
            at: given.at.into(),
            why: given.why.clone(),
        });
        let (waits, question) = (record.awaits().map(Awaits::attempt), record.approval_question());
        Some(Self { of: approval.of, waits, question, given })
    }
}

impl BudgetView {
    fn of(record: &TaskRecord) -> Option<Self> {
        let budget = record.budget.as_ref()?;
        Some(Self {
            attempts: record.attempt.saturating_sub(budget.attempts_before),
            max_attempts: budget.max_attempts,
            spent: budget.spent_in_all(),
            budget: budget.budget,
        })
    }
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
            cancel: Cancel::of(record),
            approval: ApprovalView::of(record),
            budget: BudgetView::of(record),
            progress: record.progress.clone(),
            last_progress: record.last_progress.clone(),
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
        Self::selected(view, |_, present| status.is_none_or(|status| status == present), alive)
    }

    /// The same in another order.
    #[must_use]
    pub fn sorted(mut self, order: Option<TaskOrder>) -> Self {
        if let Some(order) = order {
            order.sort(&mut self.tasks, |task| task);
        }
        self
    }

    /// The tasks of a plan that are meant, by their definition (if there is one) and status, with what their
    /// claims hang on.
    #[must_use]
    pub fn selected(
        view: &PlanView,
        meant: impl Fn(Option<&TaskSpec>, TaskStatus) -> bool,
        alive: &Alive,
    ) -> Self {
        let ready: BTreeSet<&TaskId> = view.ready().collect();
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let tasks =
            view.tasks().values().filter(|task| meant(specs.get(&task.id).copied(), task.record.status));
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

/// `task list --all-plans`: the tasks of every plan, each with its plan.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct AllTasks {
    pub(crate) tasks: Vec<InPlan>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskOfPlan")]
pub(crate) struct InPlan {
    pub(crate) plan: PlanName,
    #[serde(flatten)]
    pub(crate) listed: Listed,
}

/// What a list of tasks is sorted by. Tasks that are alike stay in the order of their plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOrder {
    /// The status, in the order of a task's life.
    Status,
    /// The number of attempts, most first.
    Attempt,
    /// The revision of the last change, newest first.
    Revision,
    /// The start of the last attempt, newest first.
    Started,
    /// The end of the last attempt, newest first.
    Ended,
    /// The phase.
    Phase,
}

impl TaskOrder {
    fn sort<T>(self, tasks: &mut [T], listed: impl Fn(&T) -> &Listed) {
        tasks.sort_by(|a, b| {
            let (a, b) = (listed(a), listed(b));
            let newest = |a: Option<Time>, b: Option<Time>| b.map(|time| time.0).cmp(&a.map(|time| time.0));
            match self {
                Self::Status => a.record.status.cmp(&b.record.status),
                Self::Attempt => b.record.attempt.cmp(&a.record.attempt),
                Self::Revision => b.record.revision.cmp(&a.record.revision),
                Self::Started => newest(a.record.started_at, b.record.started_at),
                Self::Ended => newest(a.record.ended_at, b.record.ended_at),
                Self::Phase => a.phase.cmp(&b.phase),
            }
        });
    }
}

impl AllTasks {
    /// An empty list. `unreadable`: what of the plans cannot be read.
    #[must_use]
    pub fn new(unreadable: &[Unreadable]) -> Self {
        Self { tasks: Vec::new(), unreadable: views(unreadable) }
    }

    /// Adds the tasks of one plan.
    pub fn add(&mut self, list: TaskList) {
        let TaskList { plan, tasks, unreadable, .. } = list;
        self.tasks.extend(tasks.into_iter().map(|listed| InPlan { plan: plan.clone(), listed }));
        for one in unreadable {
            if !self.unreadable.contains(&one) {
                self.unreadable.push(one);
            }
        }
    }

    /// The same in another order.
    #[must_use]
    pub fn sorted(mut self, order: Option<TaskOrder>) -> Self {
        if let Some(order) = order {
            order.sort(&mut self.tasks, |task| &task.listed);
        }
        self
    }
}

impl Document for AllTasks {
    const SCHEMA: Option<&'static str> = Some("planlease.all_tasks.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.task_of_plan.v1", &self.tasks, &self.unreadable)
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
    pub(crate) demands: Demands,
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
    /// A task, with its output, and what its claim hangs on.
    #[must_use]
    pub fn new(excerpt: &Excerpt, findings: Option<FindingsRecord>, alive: &Alive) -> Self {
        let (task, spec) = (excerpt.task(), excerpt.spec());
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
            plan: excerpt.plan().clone(),
            task: task.id.clone(),
            phase: spec.and_then(|spec| spec.phase.clone()),
            description: spec.map(|spec| spec.description.clone()).unwrap_or_default(),
            depends_on: spec.map(|spec| spec.depends_on.clone()).unwrap_or_default(),
            blocked_by: excerpt.blockers().map(|wait| wait.on.clone()).collect(),
            steps: spec.map(|spec| spec.steps.clone()).unwrap_or_default(),
            command: spec.and_then(|spec| spec.command.clone()),
            demands: spec.map(|spec| Demands::of(spec, excerpt.seen().graph())).unwrap_or_default(),
            record: Record::of(task),
            hold: Hold::of(task, alive),
            transitions: transitions.collect(),
            findings: findings.as_ref().map(|found| found.readable().into()),
            output: findings.and_then(|found| found.output).map(Into::into),
            unreadable: views(excerpt.unreadable()),
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
    /// `committed`, `refused` or `unknown`; in a dry run `possible` or `refused`.
    pub(crate) outcome: &'static str,
    /// Why it was refused, or is not known; in a dry run what it would become.
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
