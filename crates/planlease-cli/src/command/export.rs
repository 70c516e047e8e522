//! `export`: a plan as a JSON state file (`status.json`), or as a plan file of another tool.

use std::{collections::BTreeMap, path::Path};

use clap::Args;
use planlease::{
    PlanView,
    core::{
        TaskId,
        keys::{Key, PlanKey},
        transition::TaskStatus,
        unreadable::Unreadable,
    },
};
use planlease_formats::{Format, state};
use serde_json::Value;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, Printable, escape_json},
    replace,
};

/// Write a plan as a JSON state file (status.json), or as a plan file of another tool
///
/// The document shows the plan at one revision. A plan that was imported from such a file and has not changed
/// since gives an equal document, with every field that was there, known or not. Changed fields and the
/// counts of the summary are written again. A plan that planlease made gives a document that the same readers
/// understand.
///
/// With --format, the plan is written as Taskmaster, beads or a Markdown checklist have it, with what its own
/// file said beyond the plan.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease export release\n  planlease export release -O docs/plan-outputs/release/status.json\n  planlease export release | jq .summary"
)]
pub(crate) struct ExportArgs {
    /// The plan
    plan: String,
    /// What to write it as
    #[arg(long, value_name = "NAME", default_value = "status", value_parser = ["status", "taskmaster", "beads", "markdown"])]
    format: String,
    /// The file to write; a regular one is replaced in one step [default: standard output]
    #[arg(short = 'O', long, value_name = "FILE")]
    file: Option<String>,
}

impl ExportArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let view = invocation.connect().await?.plan(&plan).await?;
        whole(&view)?;
        let text = match Format::named(&self.format) {
            Some(format) => {
                planlease_formats::export(format, view.spec(), &statuses(&view)).unwrap_or_default()
            }
            None => text(&document(&view))?,
        };
        match &self.file {
            // Opened by its name it would be another descriptor, which a socket does not allow.
            Some(file) if ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].contains(&file.as_str()) => {
                show(&text)?;
            }
            Some(file) => replace::file(Path::new(file), text.as_bytes())?,
            None => show(&text)?,
        }
        Ok(Exit::Done)
    }
}

/// Prints it as it is; to a terminal with escapes for what could drive it, which mean the same.
fn show(text: &str) -> Result<(), Failure> {
    output::print_exact(text, |text| Printable::of_others(&escape_json(text)))
}

/// Fails if a task of the plan cannot be read: the document would not have it.
pub(crate) fn whole(view: &PlanView) -> Result<(), Failure> {
    let is_task = |one: &Unreadable| matches!(one.key, Key::Plan(_, PlanKey::Task(_)));
    match view.unreadable().find(is_task) {
        Some(unreadable) => Err(unreadable.into()),
        None => Ok(()),
    }
}

/// How far each task is.
pub(crate) fn statuses(view: &PlanView) -> BTreeMap<TaskId, TaskStatus> {
    view.tasks().iter().map(|(id, task)| (id.clone(), task.record.status)).collect()
}

/// The document of a plan.
pub(crate) fn document(view: &PlanView) -> Value {
    let records = view.tasks().iter().map(|(id, task)| (id.clone(), task.record.clone()));
    state::export(view.name(), view.spec(), &records.collect())
}

/// A document as the predecessor writes it: indented, with a line break at its end.
pub(crate) fn text(document: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::json(&error))?;
    Ok(text + "\n")
}
