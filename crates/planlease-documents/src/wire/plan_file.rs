//! `plan check`: what was parsed of a plan file, or what is wrong with it.

use planlease_core::{
    approval::ApprovalOf,
    graph::Graph,
    spec::{PlanSpec, TaskSpec},
};
use planlease_formats::{Counts, Parsed, Problem, Problems};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    policy::{ByOrder, Demands, Policy},
};

/// A plan file as it was understood.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct PlanFile {
    pub(crate) file: String,
    /// null if the file has errors; there are no phases and tasks then.
    pub(crate) title: Option<String>,
    /// The policies in force; null if the file has errors.
    pub(crate) policy: Option<Policy>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) tasks: Vec<Task>,
    /// The tasks whose boxes are ticked.
    pub(crate) ticked: Vec<String>,
    /// Warnings, and errors if the file has some: at most 100 of each.
    pub(crate) problems: Vec<FileProblem>,
    /// How many more there are.
    pub(crate) left_out: usize,
    /// What the file was read as, and what became of its boxes. Only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explained: Option<Explained>,
}

/// What became of the boxes of a file; of its entries, if it is no checklist.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Explained {
    pub(crate) format: &'static str,
    /// Those outside of code and comments, counted line by line.
    pub(crate) boxes: usize,
    /// How many tasks were read.
    pub(crate) tasks: usize,
    /// How many were read as something else: steps, criteria, boxes outside of phases.
    pub(crate) others: usize,
    /// Those in code and comments, which are no tasks.
    pub(crate) in_code: usize,
    /// Whether each of them is accounted for.
    pub(crate) agree: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Phase {
    pub(crate) number: String,
    pub(crate) name: String,
    /// What has to hold at its end.
    pub(crate) verification: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) phase: Option<String>,
    pub(crate) description: String,
    pub(crate) depends_on: Vec<String>,
    /// What it waits for by the order of phases and sections. Absent if nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waits_by_order: Vec<ByOrder>,
    /// Program and arguments, if the file says them.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) ticked: bool,
    /// What a person has to approve of it. Absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<ApprovalOf>,
    #[serde(flatten)]
    pub(crate) demands: Demands,
    /// The policies in force for it, where it has some of its own. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Policy>,
}

/// What is wrong with a file, and where.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileProblem {
    /// `error` or `warning`.
    pub(crate) severity: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
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

    /// With what became of the boxes of the file.
    #[must_use]
    pub fn explained(self, parsed: &Parsed) -> Self {
        let Counts { in_file, tasks, others, in_code } = parsed.counts;
        let (format, agree) = (parsed.format.name(), parsed.counts.agree());
        Self { explained: Some(Explained { format, boxes: in_file, tasks, others, in_code, agree }), ..self }
    }

    /// Of a file with errors.
    #[must_use]
    pub fn refused(file: &str, problems: &Problems) -> Self {
        let listed = self::problems(&problems.listed);
        Self { file: file.to_owned(), problems: listed, left_out: problems.left_out, ..Self::default() }
    }

    fn of(spec: &PlanSpec) -> Self {
        let graph = Graph::new(spec);
        let phases = spec.phases.iter().map(|phase| Phase {
            number: phase.number.clone(),
            name: phase.name.clone(),
            verification: phase.verification.clone(),
        });
        let tasks = spec.tasks.iter().map(|task| Task {
            id: task.id.to_string(),
            phase: task.phase.clone(),
            description: task.description.clone(),
            depends_on: task.depends_on.iter().map(ToString::to_string).collect(),
            waits_by_order: ByOrder::of(&task.id, &graph),
            command: task.command.clone(),
            ticked: task.is_ticked(),
            approval: task.approval,
            demands: Demands::of(task, &graph),
            policy: task.policy.is_some().then(|| Policy::of(&spec.policy_of(task))),
        });
        Self {
            title: Some(spec.title.clone()),
            policy: Some(Policy::of(&spec.policy)),
            phases: phases.collect(),
            tasks: tasks.collect(),
            ticked: spec.ticked().map(|task: &TaskSpec| task.id.to_string()).collect(),
            ..Self::default()
        }
    }
}

impl Document for PlanFile {
    const SCHEMA: Option<&'static str> = Some("planlease.plan_check.v1");
}
