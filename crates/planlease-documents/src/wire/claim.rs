//! `task claim`: the tasks that a claim obtained.

use std::collections::BTreeMap;

use planlease::{
    Claimed, PlanView,
    core::{PlanName, Revision, TaskId, spec::TaskSpec},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Document, each};

/// The tasks that a claim obtained.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClaimView {
    pub(crate) plan: PlanName,
    pub(crate) tasks: Vec<ClaimedTask>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ClaimedTask {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) revision: Revision,
    /// How long the claim stands, from now or the last progress report, in seconds; `None` if a session keeps
    /// it.
    pub(crate) limit_s: Option<u64>,
    pub(crate) description: String,
    pub(crate) steps: Vec<String>,
    /// What the plan says to run, if it does.
    pub(crate) command: Option<Vec<String>>,
}

impl ClaimView {
    /// Of what was claimed of a plan as it was seen.
    #[must_use]
    pub fn new(view: &PlanView, claimed: &Claimed) -> Self {
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let tasks = claimed.tasks.iter().map(|task| {
            let spec = specs.get(&task.id);
            ClaimedTask {
                task: task.id.clone(),
                attempt: task.record.attempt,
                revision: task.revision,
                limit_s: task.record.claim.as_ref().and_then(|claim| claim.limit).map(|limit| limit.seconds),
                description: spec.map(|spec| spec.description.clone()).unwrap_or_default(),
                steps: spec.map(|spec| spec.steps.clone()).unwrap_or_default(),
                command: spec.and_then(|spec| spec.command.clone()),
            }
        });
        Self { plan: view.name().clone(), tasks: tasks.collect() }
    }
}

impl Document for ClaimView {
    const SCHEMA: Option<&'static str> = Some("planlease.claims.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.claim.v1", &self.tasks)
    }
}
