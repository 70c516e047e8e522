//! `task claim`: the tasks that a claim obtained.

use std::{collections::BTreeMap, time::Duration};

use planlease::{
    Claimed, PlanView,
    core::{PlanName, Revision, TaskId, WallTime, spec::TaskSpec},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Table, duration, each};

/// The tasks that a claim obtained.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClaimShown {
    plan: PlanName,
    tasks: Vec<ClaimedTask>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ClaimedTask {
    task: TaskId,
    attempt: u32,
    revision: Revision,
    /// How long the claim stands, from now or the last progress report, in seconds; `None` if a session keeps
    /// it.
    limit_s: Option<u64>,
    description: String,
    steps: Vec<String>,
    /// What the plan says to run, if it does.
    command: Option<Vec<String>>,
}

impl ClaimShown {
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

impl Document for ClaimShown {
    const SCHEMA: Option<&'static str> = Some("planlease.claims.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.claim.v1", &self.tasks)
    }

    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["CLAIMED", "ATTEMPT", "DESCRIPTION"]);
        for task in &self.tasks {
            table.row([
                Cell::from(&task.task),
                Cell::text(task.attempt.to_string()),
                Cell::text(&task.description),
            ]);
        }
        let mut text = table.render("nothing is ready");
        if let Some(limit) = self.tasks.iter().find_map(|task| task.limit_s) {
            let limit = duration(Duration::from_secs(limit));
            text.push_str(&format!(
                "The claim ends after {limit}; `planlease task progress` extends it by as much.\n"
            ));
        }
        text
    }
}
