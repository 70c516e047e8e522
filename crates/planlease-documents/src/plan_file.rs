//! `plan check`: what was parsed, and nothing else. Its JSON is described by the documentation of plan files.

use planlease_core::{WallTime, counted, spec::PlanSpec};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Table, plain};

/// A plan file as it was understood.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanFile {
    title: String,
    phases: Vec<Phase>,
    tasks: Vec<Task>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Phase {
    number: String,
    name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Task {
    id: String,
    phase: Option<String>,
    description: String,
    depends_on: Vec<String>,
}

impl From<&PlanSpec> for PlanFile {
    fn from(spec: &PlanSpec) -> Self {
        let phases =
            spec.phases.iter().map(|phase| Phase { number: phase.number.clone(), name: phase.name.clone() });
        let tasks = spec.tasks.iter().map(|task| Task {
            id: task.id.to_string(),
            phase: task.phase.clone(),
            description: task.description.clone(),
            depends_on: task.depends_on.iter().map(ToString::to_string).collect(),
        });
        Self { title: spec.title.clone(), phases: phases.collect(), tasks: tasks.collect() }
    }
}

impl Document for PlanFile {
    const SCHEMA: Option<&'static str> = None;

    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["TASK", "PHASE", "DEPENDS ON", "DESCRIPTION"]);
        for task in &self.tasks {
            table.row([
                Cell::text(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                Cell::text(task.depends_on.join(", ")),
                Cell::text(&task.description),
            ]);
        }
        let (phases, tasks) = (counted(self.phases.len(), "phase"), counted(self.tasks.len(), "task"));
        format!("{}: {phases}, {tasks}\n\n{}", plain(&self.title), table.render("no tasks"))
    }
}
