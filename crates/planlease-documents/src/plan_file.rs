//! `plan check`: what was parsed, or what is wrong with it. Its JSON is described by the documentation of
//! plan files.

use planlease_core::{
    WallTime, counted,
    spec::{PlanSpec, TaskSpec},
};
use planlease_formats::{Parsed, Problem, Problems};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Table, command_line, plain};

/// A plan file as it was understood.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct PlanFile {
    file: String,
    /// null if the file has errors; there are no phases and tasks then.
    title: Option<String>,
    phases: Vec<Phase>,
    tasks: Vec<Task>,
    /// The tasks whose boxes are ticked.
    ticked: Vec<String>,
    /// Warnings, and errors if the file has some: at most 100 of each.
    problems: Vec<FileProblem>,
    /// How many more there are.
    left_out: usize,
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
    /// Program and arguments, if the file says them.
    command: Option<Vec<String>>,
    ticked: bool,
}

/// What is wrong with a file, and where.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileProblem {
    /// `error` or `warning`.
    severity: String,
    file: String,
    line: usize,
    column: usize,
    message: String,
    help: Option<String>,
}

impl From<&Problem> for FileProblem {
    fn from(problem: &Problem) -> Self {
        let Problem { severity, file, line, column, message, help } = problem.clone();
        Self { severity: severity.to_string(), file, line, column, message, help }
    }
}

/// The problems of a file as a document has them.
pub(crate) fn problems(problems: &[Problem]) -> Vec<FileProblem> {
    problems.iter().map(FileProblem::from).collect()
}

impl PlanFile {
    /// Of a file that can be used.
    #[must_use]
    pub fn new(file: &str, parsed: &Parsed) -> Self {
        let (warnings, left_out) = (problems(&parsed.warnings), parsed.left_out);
        Self { file: file.to_owned(), problems: warnings, left_out, ..Self::of(&parsed.spec) }
    }

    /// Of a file with errors.
    #[must_use]
    pub fn refused(file: &str, problems: &Problems) -> Self {
        let listed = self::problems(&problems.listed);
        Self { file: file.to_owned(), problems: listed, left_out: problems.left_out, ..Self::default() }
    }

    fn of(spec: &PlanSpec) -> Self {
        let phases =
            spec.phases.iter().map(|phase| Phase { number: phase.number.clone(), name: phase.name.clone() });
        let tasks = spec.tasks.iter().map(|task| Task {
            id: task.id.to_string(),
            phase: task.phase.clone(),
            description: task.description.clone(),
            depends_on: task.depends_on.iter().map(ToString::to_string).collect(),
            command: task.command.clone(),
            ticked: task.is_ticked(),
        });
        Self {
            title: Some(spec.title.clone()),
            phases: phases.collect(),
            tasks: tasks.collect(),
            ticked: spec.ticked().map(|task: &TaskSpec| task.id.to_string()).collect(),
            ..Self::default()
        }
    }
}

impl Document for PlanFile {
    const SCHEMA: Option<&'static str> = None;

    fn table(&self, _now: WallTime) -> String {
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["TASK", "PHASE", "DEPENDS ON", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "DEPENDS ON", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::text(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                Cell::text(task.depends_on.join(", ")),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        let (phases, tasks) = (counted(self.phases.len(), "phase"), counted(self.tasks.len(), "task"));
        let mut text = format!("{}: {phases}, {tasks}\n", plain(self.title.as_deref().unwrap_or("-")));
        if !self.ticked.is_empty() {
            text += &format!("ticked: {}\n", self.ticked.join(", "));
        }
        text + "\n" + &table.render("no tasks")
    }
}
