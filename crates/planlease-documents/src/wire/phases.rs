//! `phases`: how far each phase is.

use std::collections::BTreeMap;

use planlease::PlanView;
use planlease_core::{PlanName, Revision, Summary, TaskId, record::TaskRecord, spec::PhaseSpec};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each},
    unreadable::{UnreadableView, views},
};

/// The phases of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PhaseList {
    pub(crate) plan: PlanName,
    pub(crate) revision: Revision,
    pub(crate) phases: Vec<Phase>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PhaseView")]
pub(crate) struct Phase {
    pub(crate) number: String,
    pub(crate) name: String,
    /// `done`, `failed` (every task has come to an end, not all of them well), `in_progress`, `ready`,
    /// `blocked` or `empty`.
    pub(crate) state: &'static str,
    pub(crate) summary: Summary,
    pub(crate) ready: Vec<TaskId>,
    /// The task that it waits for, if the plan says so.
    pub(crate) starts_after: Option<TaskId>,
    /// The phases that go on side by side with it.
    pub(crate) parallel_with: Vec<String>,
    pub(crate) verification: Vec<String>,
    /// Whether no task has to wait for the verification.
    pub(crate) verification_non_blocking: bool,
}

impl PhaseList {
    /// Of a plan.
    #[must_use]
    pub fn new(view: &PlanView) -> Self {
        let mut records: BTreeMap<&str, Vec<&TaskRecord>> = BTreeMap::new();
        let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
        let mut ready: BTreeMap<&str, Vec<TaskId>> = BTreeMap::new();
        let phase_of: BTreeMap<&TaskId, &str> =
            view.spec().tasks.iter().filter_map(|task| Some((&task.id, task.phase.as_deref()?))).collect();
        for (task, phase) in &phase_of {
            match view.tasks().get(task) {
                Some(task) => records.entry(phase).or_default().push(&task.record),
                None => *missing.entry(phase).or_default() += 1,
            }
        }
        for task in view.ready() {
            if let Some(phase) = phase_of.get(task) {
                ready.entry(phase).or_default().push(task.clone());
            }
        }
        let groups: Vec<_> = view
            .spec()
            .phases
            .iter()
            .flat_map(|phase| &phase.parallel)
            .chain(&view.spec().parallel)
            .collect();
        let phase = |phase: &PhaseSpec| {
            let summary = Summary::of(records.remove(phase.number.as_str()).unwrap_or_default())
                .with_unreadable(missing.remove(phase.number.as_str()).unwrap_or_default());
            let ready = ready.remove(phase.number.as_str()).unwrap_or_default();
            let side_by_side = groups.iter().filter(|group| group.phases.contains(&phase.number));
            let mut parallel_with: Vec<String> =
                side_by_side.flat_map(|group| group.phases.clone()).collect();
            parallel_with.retain(|other| *other != phase.number);
            Phase {
                number: phase.number.clone(),
                name: phase.name.clone(),
                state: state(&summary, !ready.is_empty()),
                summary,
                ready,
                starts_after: phase.pipeline_start.as_ref().map(|start| start.after.clone()),
                parallel_with,
                verification: phase.verification.clone(),
                verification_non_blocking: phase.verification_non_blocking,
            }
        };
        let phases = view.spec().phases.iter().map(phase).collect();
        let unreadable = views(view.unreadable());
        Self { plan: view.name().clone(), revision: view.revision(), phases, unreadable }
    }
}

fn state(summary: &Summary, ready: bool) -> &'static str {
    match summary {
        Summary { total: 0, .. } => "empty",
        summary if summary.is_done() => "done",
        summary if summary.is_finished() => "failed",
        Summary { in_progress: 1.., .. } => "in_progress",
        _ if ready => "ready",
        _ => "blocked",
    }
}

impl Document for PhaseList {
    const SCHEMA: Option<&'static str> = Some("planlease.phases.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.phase.v1", &self.phases)
    }
}
