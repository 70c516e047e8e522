//! What an import of the predecessor's files came to.

use std::fmt::Write as _;

use planlease::core::WallTime;
use planlease_core::{PlanName, Revision, Summary, TaskId, counted, transition::TaskStatus};
use planlease_formats::{
    Problem,
    state::{Instance, Registry, StateFile},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Document, each, plain};

/// `import`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct StateImports {
    imports: Vec<StateImport>,
    registries: Vec<RegistryShown>,
}

/// One state file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateImport {
    plan: PlanName,
    file: String,
    title: String,
    summary: Summary,
    dependencies: usize,
    phases: usize,
    findings: usize,
    /// `created`, `unchanged`, `checked` for a dry run, `refused`, or `failed`.
    outcome: &'static str,
    revision: Option<Revision>,
    /// The tasks that were in progress. They have no live claimant; the first owner of the plan recovers
    /// them.
    nobody_works_on: Vec<TaskId>,
    /// What the file says of its tasks as a whole and the tasks do not: it is derived again.
    derived: Vec<Place>,
    /// What was left out, or is not what it may seem.
    warnings: Vec<Place>,
    findings_warnings: Vec<String>,
    /// In what the file differs from the plan that is there, if it is refused for that.
    differences: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Place {
    line: usize,
    column: usize,
    message: String,
}

/// A registry of orchestrators that were running once.
#[derive(Debug, Serialize, JsonSchema)]
struct RegistryShown {
    file: String,
    /// Always: nothing in a file is alive, whatever it says about itself.
    history: bool,
    instances: Vec<InstanceShown>,
    warnings: Vec<Place>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct InstanceShown {
    id: String,
    pid: Option<u64>,
    plan_path: Option<String>,
    worktree_path: Option<String>,
    started_at: Option<String>,
    last_heartbeat: Option<String>,
    /// What it last said about itself; not what it is.
    last_status: Option<String>,
}

impl StateImports {
    /// One more file.
    pub fn add(&mut self, import: StateImport) {
        self.imports.push(import);
    }

    /// A registry of orchestrators, which is history.
    pub fn add_registry(&mut self, file: &str, registry: &Registry) {
        self.registries.push(RegistryShown {
            file: file.to_owned(),
            history: true,
            instances: registry.instances.iter().map(InstanceShown::from).collect(),
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

impl From<&Instance> for InstanceShown {
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

    fn table(&self, _now: WallTime) -> String {
        let mut text = String::new();
        for import in &self.imports {
            import.tell(&mut text);
        }
        for registry in &self.registries {
            registry.tell(&mut text);
        }
        text
    }
}

impl StateImport {
    fn tell(&self, text: &mut String) {
        let Self { plan, summary, findings, .. } = self;
        let file = plain(&self.file);
        let holds = format!(
            "{}, {} completed, {} failed, {} skipped; {}",
            counted(summary.total, "task"),
            summary.completed,
            summary.failed,
            summary.skipped,
            counted(*findings, "finding")
        );
        let line = match self.outcome {
            "created" => format!("imported {plan} ({holds}) from {file}"),
            "unchanged" => {
                format!("{plan} is there already, as {file} has it or from there; nothing was changed")
            }
            "checked" => format!("{plan} ({holds}) would be imported from {file}"),
            _ => format!("{plan} was not imported from {file}"),
        };
        let mut say = |line: &str| text.push_str(&format!("{line}\n"));
        say(&line);
        if matches!(self.outcome, "created" | "checked") && !self.nobody_works_on.is_empty() {
            let tasks: Vec<&str> = self.nobody_works_on.iter().map(TaskId::as_str).collect();
            let tasks = tasks.join(", ");
            say(&format!(
                "  in progress in the file, and nobody alive works on it: {tasks}; its first owner recovers it"
            ));
        }
        for place in &self.derived {
            say(&format!("  derived anew: {} (line {})", plain(&place.message), place.line));
        }
        for difference in &self.differences {
            say(&format!("  differs: {}", plain(difference)));
        }
    }
}

impl RegistryShown {
    fn tell(&self, text: &mut String) {
        let write = |text: &mut String, line: String| {
            writeln!(text, "{line}").expect("a text can always be written to");
        };
        write(
            text,
            format!(
                "{}: {}, as history; nothing is alive by being in a file",
                plain(&self.file),
                counted(self.instances.len(), "orchestrator")
            ),
        );
        for instance in &self.instances {
            let said = |field: &Option<String>| plain(field.as_deref().unwrap_or("-"));
            write(
                text,
                format!(
                    "  {} (process {}) worked on {} since {}, last heard of {}, last called itself {}",
                    plain(&instance.id),
                    instance.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                    said(&instance.plan_path),
                    said(&instance.started_at),
                    said(&instance.last_heartbeat),
                    said(&instance.last_status),
                ),
            );
        }
    }
}
