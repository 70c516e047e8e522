//! What an import of the predecessor's files came to.

use planlease_core::{PlanName, Revision, Summary, TaskId, transition::TaskStatus};
use planlease_formats::{
    Problem,
    state::{Instance, Registry, StateFile},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Document, each};

/// `import`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct StateImports {
    pub(crate) imports: Vec<StateImport>,
    pub(crate) registries: Vec<RegistryView>,
}

/// One state file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateImport {
    pub(crate) plan: PlanName,
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) summary: Summary,
    pub(crate) dependencies: usize,
    pub(crate) phases: usize,
    pub(crate) findings: usize,
    /// `created`, `unchanged`, `checked` for a dry run, `refused`, or `failed`.
    pub(crate) outcome: &'static str,
    pub(crate) revision: Option<Revision>,
    /// The tasks that were in progress. They have no live claimant; the first owner of the plan recovers
    /// them.
    pub(crate) nobody_works_on: Vec<TaskId>,
    /// What the file says of its tasks as a whole and the tasks do not: it is derived again.
    pub(crate) derived: Vec<Place>,
    /// What was left out, or is not what it may seem.
    pub(crate) warnings: Vec<Place>,
    pub(crate) findings_warnings: Vec<String>,
    /// In what the file differs from the plan that is there, if it is refused for that.
    pub(crate) differences: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// A registry of orchestrators that were running once.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RegistryView {
    pub(crate) file: String,
    /// Always: nothing in a file is alive, whatever it says about itself.
    pub(crate) history: bool,
    pub(crate) instances: Vec<InstanceView>,
    pub(crate) warnings: Vec<Place>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InstanceView {
    pub(crate) id: String,
    pub(crate) pid: Option<u64>,
    pub(crate) plan_path: Option<String>,
    pub(crate) worktree_path: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) last_heartbeat: Option<String>,
    /// What it last said about itself; not what it is.
    pub(crate) last_status: Option<String>,
}

impl StateImports {
    /// One more file.
    pub fn add(&mut self, import: StateImport) {
        self.imports.push(import);
    }

    /// A registry of orchestrators, which is history.
    pub fn add_registry(&mut self, file: &str, registry: &Registry) {
        self.registries.push(RegistryView {
            file: file.to_owned(),
            history: true,
            instances: registry.instances.iter().map(InstanceView::from).collect(),
            warnings: places(&registry.warnings),
        });
    }
}

impl StateImport {
    /// Of one file: what is in it, and what became of it.
    #[must_use]
    pub fn new(plan: PlanName, file: &str, state: &StateFile, outcome: &'static str) -> Self {
        let mut summary = Summary::default();
        for task in state.states.values() {
            summary.add(task.status);
        }
        let in_progress = state.states.iter().filter(|(_, task)| task.status == TaskStatus::InProgress);
        Self {
            plan,
            file: file.to_owned(),
            title: state.spec.title.clone(),
            summary,
            dependencies: state.spec.tasks.iter().map(|task| task.depends_on.len()).sum(),
            phases: state.spec.phases.len(),
            findings: 0,
            outcome,
            revision: None,
            nobody_works_on: in_progress.map(|(task, _)| task.clone()).collect(),
            derived: places(&state.derived),
            warnings: places(&state.warnings),
            findings_warnings: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// With so many findings, and what was left out.
    #[must_use]
    pub fn with_findings(self, findings: usize, warnings: &[String]) -> Self {
        Self { findings, findings_warnings: warnings.to_vec(), ..self }
    }

    /// Written at this revision.
    #[must_use]
    pub fn at(self, revision: Revision) -> Self {
        Self { revision: Some(revision), ..self }
    }

    /// With what differs between the file and the plan that is there.
    #[must_use]
    pub fn differing(self, differences: Vec<String>) -> Self {
        Self { differences, ..self }
    }
}

impl From<&Instance> for InstanceView {
    fn from(instance: &Instance) -> Self {
        let Instance { id, pid, plan_path, worktree_path, started_at, last_heartbeat, status } =
            instance.clone();
        Self { id, pid, plan_path, worktree_path, started_at, last_heartbeat, last_status: status }
    }
}

fn places(problems: &[Problem]) -> Vec<Place> {
    let place = |problem: &Problem| Place {
        line: problem.line,
        column: problem.column,
        message: problem.message.clone(),
    };
    problems.iter().map(place).collect()
}

impl Document for StateImports {
    const SCHEMA: Option<&'static str> = Some("planlease.state_imports.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        let mut lines = each("planlease.state_import.v1", &self.imports)?;
        lines.extend(each("planlease.registry_history.v1", &self.registries)?);
        Ok(lines)
    }
}
