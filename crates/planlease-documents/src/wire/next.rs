//! `next`: what may start now, and what the others wait for.

use std::collections::BTreeMap;

use planlease::PlanView;
use planlease_core::{
    PlanName, Revision, TaskId,
    offer::{Offer, unoffered},
    order::{Wait, Why},
    orphan::{Alive, is_orphan},
    pool::PoolsView,
    record::HaltRecord,
    spec::TaskSpec,
    standing::{Standing, standing},
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    halt::HaltedBy,
    unreadable::{UnreadableView, views},
};

/// How many of the tasks that one waits for are named.
const NAMED: usize = 5;

/// The tasks that may start, and what the others wait for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NextTasks {
    pub(crate) plan: PlanName,
    pub(crate) revision: Revision,
    /// What keeps them all from being started.
    pub(crate) halted: Option<HaltedBy>,
    /// Who paused the fleet, if it is paused: nothing starts. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_paused: Option<HaltedBy>,
    /// In the order in which they are handed out.
    pub(crate) ready: Vec<Ready>,
    /// How many are ready, also those that were not asked for.
    pub(crate) ready_total: usize,
    /// What waits for others; as many as were asked for.
    pub(crate) blocked: Vec<Blocked>,
    /// How many are blocked, also those that were not asked for.
    pub(crate) blocked_total: usize,
    pub(crate) in_progress: Vec<TaskId>,
    /// Those of them whose claimants are gone.
    pub(crate) lost: Vec<TaskId>,
    /// What a person has to look at.
    pub(crate) held: Vec<HeldTask>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ready {
    pub(crate) task: TaskId,
    pub(crate) phase: Option<String>,
    pub(crate) description: String,
    pub(crate) priority: i32,
    pub(crate) labels: Vec<String>,
    /// Why no registered orchestrator runs it; a worker can claim it all the same. Absent if one does, or if
    /// none is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_run: Option<String>,
    /// Which pool it waits for. Absent if it gets the permits that it needs, or needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for_pool: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Blocked {
    pub(crate) task: TaskId,
    pub(crate) waits: Vec<Waits>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Waits {
    pub(crate) on: TaskId,
    pub(crate) why: Why,
    /// Where that one stands.
    pub(crate) status: Option<TaskStatus>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HeldTask {
    pub(crate) task: TaskId,
    /// `approval` (it waits for a person's approval), `parked`, `exhausted` or `retryable`.
    pub(crate) state: &'static str,
    pub(crate) why: Option<String>,
}

impl NextTasks {
    /// The first `count` ready tasks with these labels, and what the first `count` of the blocked ones wait
    /// for; `alive`: what the claims of those in progress hang on.
    pub fn new(view: &PlanView, count: usize, labels: &[String], alive: &Alive) -> Self {
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let asked_for = |task: &&TaskId| {
            specs.get(task).is_some_and(|spec| labels.iter().all(|label| spec.labels.contains(label)))
        };
        let ready: Vec<&TaskId> = view.ready().filter(asked_for).collect();
        let shown = ready.iter().take(count).filter_map(|task| specs.get(task)).map(|spec| Ready {
            task: spec.id.clone(),
            phase: spec.phase.clone(),
            description: spec.description.clone(),
            priority: spec.priority,
            labels: spec.labels.iter().cloned().collect(),
            not_run: None,
            waits_for_pool: None,
        });
        let mut next = Self {
            plan: view.name().clone(),
            revision: view.revision(),
            halted: view.halt().map(HaltedBy::of),
            fleet_paused: None,
            ready: shown.collect(),
            ready_total: ready.len(),
            blocked: Vec::new(),
            blocked_total: 0,
            in_progress: Vec::new(),
            lost: Vec::new(),
            held: Vec::new(),
            unreadable: views(view.unreadable()),
        };
        for (task, spec) in
            view.graph().tasks().filter_map(|task| Some((view.tasks().get(task)?, specs.get(task)?)))
        {
            let policy = view.spec().policy_of(spec);
            let id = task.id.clone();
            let mut hold =
                |state, why: Option<String>| next.held.push(HeldTask { task: task.id.clone(), state, why });
            match standing(&task.id, &task.record, &policy, view.graph(), |task| view.state(task)) {
                Standing::Waits(waits) => {
                    next.blocked_total += 1;
                    if next.blocked.len() < count {
                        next.blocked.push(Blocked { task: id, waits: waits_of(view, &waits) });
                    }
                }
                Standing::InProgress => {
                    if is_orphan(&task.record, alive) {
                        next.lost.push(id.clone());
                    }
                    next.in_progress.push(id);
                }
                Standing::Approval(why) => hold("approval", Some(why)),
                Standing::Parked(why) => hold("parked", Some(why)),
                Standing::Exhausted { .. } => hold("exhausted", task.record.error.clone()),
                Standing::Retryable { .. } => hold("retryable", task.record.error.clone()),
                Standing::Ready | Standing::Completed | Standing::Skipped => {}
            }
        }
        next
    }
}

impl NextTasks {
    /// Says of the ready tasks which ones none of the orchestrators with these offers runs.
    #[must_use]
    pub fn offered(mut self, view: &PlanView, offers: &[Offer]) -> Self {
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        for ready in &mut self.ready {
            let spec = specs.get(&ready.task);
            ready.not_run =
                spec.and_then(|spec| unoffered(view.name(), Some(&view.spec().labels), spec, offers));
        }
        self
    }
}

impl NextTasks {
    /// Says of the ready tasks which ones wait for a pool.
    #[must_use]
    pub fn pooled(mut self, view: &PlanView, pools: &PoolsView) -> Self {
        for ready in &mut self.ready {
            let wait = view.graph().pools(&ready.task).and_then(|uses| pools.wait(uses));
            ready.waits_for_pool = wait.map(|wait| wait.to_string());
        }
        self
    }
}

impl NextTasks {
    /// The same in a fleet with this pause, if it is paused.
    #[must_use]
    pub fn in_fleet(self, pause: Option<&HaltRecord>) -> Self {
        Self { fleet_paused: pause.map(HaltedBy::of), ..self }
    }
}

/// What is waited for, with where that stands.
pub(crate) fn waits_of(plan: &PlanView, waits: &[Wait]) -> Vec<Waits> {
    let view = |wait: &Wait| Waits { on: wait.on.clone(), why: wait.why, status: plan.status(&wait.on) };
    waits.iter().map(view).collect()
}

/// `1.2 (failed), 1.3 (pending; in sequence)`, and how many more.
pub(crate) fn sentence(waits: &[Waits]) -> String {
    let words = waits.iter().take(NAMED).map(|wait| {
        let status = wait.status.map_or("missing", TaskStatus::as_str).replace('_', " ");
        match rule(wait.why) {
            "" => format!("{} ({status})", wait.on),
            rule => format!("{} ({status}; {rule})", wait.on),
        }
    });
    let named = words.collect::<Vec<_>>().join(", ");
    match waits.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What makes it wait, where it is not its own dependency.
pub(crate) fn rule(why: Why) -> &'static str {
    match why {
        Why::Dependency => "",
        Why::Sequence => "in sequence",
        Why::PhaseSequence => "its phase comes first",
        Why::PipelineStart => "the phase starts then",
    }
}

impl Document for NextTasks {
    const SCHEMA: Option<&'static str> = Some("planlease.next.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}
