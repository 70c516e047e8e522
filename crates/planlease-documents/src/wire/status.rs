//! `status PLAN`: how far one plan is, at one revision.

use std::collections::BTreeMap;

use planlease::{PlanView, TaskView};
use planlease_core::{
    PlanName, PlanState, Revision, Summary, TaskId,
    approval::Awaits,
    orphan::Alive,
    record::HaltRecord,
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    halt::HaltedBy,
    owner::Ownership,
    store::StoreView,
    task::{Cancel, Hold},
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// The status of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanStatus {
    /// Where it is. Absent from a sidecar, which has one store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreView>,
    pub(crate) plan: PlanName,
    pub(crate) title: String,
    pub(crate) revision: Revision,
    /// Whether it goes on by itself, and if not, what it needs, in one word.
    pub(crate) state: PlanState,
    /// Whether every task has come to an end; failed ones too, which `summary` counts.
    pub(crate) finished: bool,
    /// What keeps it from going on, if anything does.
    pub(crate) halted: Option<HaltedBy>,
    /// Who paused the fleet, if it is paused: nothing starts. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_paused: Option<HaltedBy>,
    pub(crate) summary: Summary,
    pub(crate) phases: Vec<Phase>,
    #[serde(flatten)]
    pub(crate) ownership: Ownership,
    pub(crate) in_progress: Vec<Running>,
    /// What needs a person's look: failed tasks, those that wait for a decision among them, and those that
    /// wait for approval.
    pub(crate) attention: Vec<Attention>,
    /// What could start now.
    pub(crate) ready: Vec<TaskId>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PhaseSummary")]
pub(crate) struct Phase {
    /// `None` for the tasks that are in no phase.
    pub(crate) number: Option<String>,
    pub(crate) name: String,
    pub(crate) summary: Summary,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Running {
    pub(crate) task: TaskId,
    pub(crate) description: String,
    pub(crate) attempt: u32,
    pub(crate) claimed_by: Option<String>,
    pub(crate) since: Option<Time>,
    pub(crate) progress: Option<String>,
    /// The request to end the attempt. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cancel: Option<Cancel>,
    #[serde(flatten)]
    pub(crate) hold: Hold,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Attention {
    pub(crate) task: TaskId,
    pub(crate) description: String,
    pub(crate) attempt: u32,
    pub(crate) error: Option<String>,
    /// What has to be decided, if the task waits for a person.
    pub(crate) parked: Option<String>,
    /// What has to be approved, if the task waits for that. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<String>,
    pub(crate) ended_at: Option<Time>,
}

impl PlanStatus {
    /// The same with the store that the plan is in.
    #[must_use]
    pub fn in_store(self, store: StoreView) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The same in a fleet with this pause, if it is paused.
    #[must_use]
    pub fn in_fleet(self, pause: Option<&HaltRecord>) -> Self {
        Self { fleet_paused: pause.map(HaltedBy::of), ..self }
    }

    /// Of a plan, and what its claims hang on.
    pub fn new(view: &PlanView, alive: &Alive) -> Self {
        let summary = view.summary();
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let described =
            |task: &TaskView| specs.get(&task.id).map(|spec| spec.description.clone()).unwrap_or_default();
        let with_status = |status| view.tasks().values().filter(move |task| task.record.status == status);
        let running = with_status(TaskStatus::InProgress).map(|task| Running {
            task: task.id.clone(),
            description: described(task),
            attempt: task.record.attempt,
            claimed_by: task.record.claim.as_ref().map(|claim| claim.by.clone()),
            since: task.record.claim.as_ref().map(|claim| claim.since.into()),
            progress: task.record.progress.clone(),
            cancel: Cancel::of(&task.record),
            hold: Hold::of(task, alive),
        });
        let waits =
            |task: &&TaskView| task.record.status == TaskStatus::Failed || view.approval(task).is_some();
        let attention = view.tasks().values().filter(waits).map(|task| Attention {
            task: task.id.clone(),
            description: described(task),
            attempt: task.record.awaits().map_or(task.record.attempt, Awaits::attempt),
            error: task.record.error.clone(),
            parked: task.record.parked.clone(),
            approval: task.record.approval_question(),
            ended_at: task.record.ended_at.map(Time).filter(|_| task.record.status == TaskStatus::Failed),
        });
        Self {
            store: None,
            plan: view.name().clone(),
            title: view.spec().title.clone(),
            revision: view.revision(),
            state: PlanState::of(view),
            finished: summary.is_finished(),
            halted: view.halt().map(HaltedBy::of),
            fleet_paused: None,
            summary,
            phases: phases(view.spec(), view),
            ownership: Ownership::of(view.queue()),
            in_progress: running.collect(),
            attention: attention.collect(),
            ready: view.ready().cloned().collect(),
            unreadable: views(view.unreadable()),
        }
    }
}

/// The counts of each phase, in the order of the plan, in one pass over the tasks.
fn phases(spec: &PlanSpec, view: &PlanView) -> Vec<Phase> {
    let mut phases: Vec<Phase> = spec
        .phases
        .iter()
        .map(|phase| Phase {
            number: Some(phase.number.clone()),
            name: phase.name.clone(),
            summary: Summary::default(),
        })
        .collect();
    let index: BTreeMap<&str, usize> =
        spec.phases.iter().enumerate().map(|(i, phase)| (phase.number.as_str(), i)).collect();
    let mut others = Phase { number: None, name: String::new(), summary: Summary::default() };
    for task in &spec.tasks {
        let summary = match task.phase.as_deref().and_then(|phase| index.get(phase)) {
            Some(&i) => &mut phases[i].summary,
            None => &mut others.summary,
        };
        match view.status(&task.id) {
            Some(status) => summary.add(status),
            None => *summary = summary.with_unreadable(1),
        }
    }
    if others.summary.total > 0 {
        phases.push(others);
    }
    phases
}

impl Document for PlanStatus {
    const SCHEMA: Option<&'static str> = Some("planlease.status.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}
