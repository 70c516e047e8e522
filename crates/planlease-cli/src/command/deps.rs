//! `deps`: what waits for what.

use clap::{Args, ValueEnum};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{DependencyGraph, Format, print},
};

/// Show the dependencies of tasks, as text or as a picture
///
/// Shows what each task waits for, and the rule that says so: its own dependencies, a sequence of tasks or
/// phases, the pipeline start of its phase. As text, as JSON, and for tools that draw graphs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease deps release\n  planlease deps release --task 2.1\n  planlease deps release -o dot | dot -Tsvg > release.svg\n  planlease deps release -o mermaid >> README.md"
)]
pub(crate) struct DepsArgs {
    /// The plan
    plan: String,
    /// Only this task, with all that it waits for, directly or not, and all that waits for it
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// How to show it
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: GraphFormat,
}

/// In which form a graph is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// For Graphviz
    Dot,
    /// For Mermaid, as in Markdown
    Mermaid,
}

impl DepsArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let task = self.task.as_deref().map(task_id).transpose()?;
        let view = invocation.connect().await?.plan(&plan).await?;
        if let Some(task) = &task
            && view.status(task).is_none()
        {
            return Err(Failure::new(Exit::NoSuchTask, format!("{plan} has no task {task}"))
                .remedy(format!("`planlease task list {q_plan}` lists them.", q_plan = plan.quoted())));
        }
        let graph = DependencyGraph::new(&view, task.as_ref());
        match self.format {
            GraphFormat::Table => invocation.show(Format::Table, &graph)?,
            GraphFormat::Json => invocation.show(Format::Json, &graph)?,
            GraphFormat::Jsonl => invocation.show(Format::Jsonl, &graph)?,
            GraphFormat::Dot => print(&graph.dot())?,
            GraphFormat::Mermaid => print(&graph.mermaid())?,
        }
        Ok(Exit::Done)
    }
}
