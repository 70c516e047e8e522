//! Several changes at once: of tasks, and of plans' halts; each with what became of it.

use planlease::{Outcome, Refused, TaskView, core::PlanName};
use planlease_core::{
    TaskId,
    record::{Halt, TaskRecord},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each},
    halt::HaltView,
    task::TaskUpdate,
};
use crate::refusal::RefusalView;

/// `task retry`, `skip`, `complete` and `fail` of several tasks, and `POST …/tasks:batch` of the sidecar.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct TaskUpdates {
    /// Whether all or nothing was asked for.
    pub(crate) atomic: bool,
    /// Whether this shows only what would be done; nothing was changed then.
    pub(crate) dry_run: bool,
    /// How many were carried out, or would be.
    pub(crate) done: usize,
    /// How many were refused, or would be.
    pub(crate) refused: usize,
    /// Of how many it is not known.
    pub(crate) unknown: usize,
    pub(crate) updates: Vec<TaskUpdate>,
}

impl TaskUpdates {
    /// An empty list.
    #[must_use]
    pub fn new(atomic: bool, dry_run: bool) -> Self {
        Self { atomic, dry_run, ..Self::default() }
    }

    /// Adds one update.
    pub fn add(&mut self, update: TaskUpdate) {
        *match update.outcome {
            "committed" | "possible" => &mut self.done,
            "unknown" => &mut self.unknown,
            _ => &mut self.refused,
        } += 1;
        self.updates.push(update);
    }

    /// How many were carried out, or would be; were refused, or would be; and of how many it is not known.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.done, self.refused, self.unknown)
    }
}

impl TaskUpdate {
    /// What became of it.
    #[must_use]
    pub fn of(plan: PlanName, task: TaskId, change: &'static str, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Committed(task) => Self::committed(plan, change, task),
            Outcome::Refused(refused) => Self::of_refusal(plan, task, change, refused),
            Outcome::Unknown { reason, .. } => Self::unknown(plan, task, change, reason.clone()),
        }
    }

    /// It was not carried out.
    #[must_use]
    pub fn of_refusal(plan: PlanName, task: TaskId, change: &'static str, refused: &Refused) -> Self {
        let RefusalView { why, present, .. } = RefusalView::of(refused);
        Self::refused(plan, task, change, why, present)
    }

    /// It would be carried out, on the record as it was seen; nothing was changed.
    #[must_use]
    pub fn possible(plan: PlanName, seen: &TaskView, change: &'static str, next: &TaskRecord) -> Self {
        let reason = format!("it is {} and would be {}", seen.record.status, next.status);
        let seen = Self::refused(plan, seen.id.clone(), change, reason, Some(seen));
        Self { outcome: "possible", ..seen }
    }
}

impl Document for TaskUpdates {
    const SCHEMA: Option<&'static str> = Some("planlease.task_updates.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.task_update.v1", &self.updates)
    }
}

/// `plan pause` and `resume` of several plans, and dry runs of `plan pause`, `resume`, `cancel`, `archive`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct HaltViews {
    /// Whether this shows only what would be done; nothing was changed then.
    pub(crate) dry_run: bool,
    pub(crate) plans: Vec<HaltOutcome>,
}

/// One of them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HaltOutcome {
    #[serde(flatten)]
    pub(crate) halt: HaltView,
    /// Why it could not be done.
    pub(crate) error: Option<String>,
}

impl HaltViews {
    /// An empty list.
    #[must_use]
    pub fn new(dry_run: bool) -> Self {
        Self { dry_run, plans: Vec::new() }
    }

    /// Adds one.
    pub fn add(&mut self, halt: HaltView) {
        self.plans.push(HaltOutcome { halt, error: None });
    }

    /// Adds one that could not be done, for this reason. `how`: `None` for a resumption.
    pub fn fail(&mut self, plan: PlanName, how: Option<Halt>, error: String) {
        self.plans.push(HaltOutcome { halt: HaltView::of(plan, how, false), error: Some(error) });
    }

    /// How many there are, and how many failed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.plans.len(), self.plans.iter().filter(|plan| plan.error.is_some()).count())
    }
}

impl Document for HaltViews {
    const SCHEMA: Option<&'static str> = Some("planlease.halts.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.halt.v1", &self.plans)
    }
}
