//! What is shown: documents as tables for people, or as JSON for programs. The JSON types live here and nowhere else.
//!
//! The JSON is stable: a document names its schema, as `planlease.status.v1`; fields may be added to it, and whatever
//! else changes gives it a new name. Times are RFC 3339 in UTC, durations are in seconds, names are in `snake_case`.

mod audit;
mod claim;
mod deps;
mod diagnosis;
mod edit;
mod estimate;
mod fence;
mod findings;
#[cfg(test)]
mod fixture;
mod halt;
mod import;
mod lock;
mod next;
mod orchestrator;
mod owner;
mod phases;
mod plan;
mod plan_file;
mod server;
mod settings;
mod status;
mod table;
mod task;
mod time;
mod watch;
mod why;
mod worktree;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use planlease::core::WallTime;
use serde::Serialize;

#[cfg(test)]
pub(crate) use self::diagnosis::Verdict;
pub(crate) use self::{
    audit::AuditReport,
    claim::ClaimShown,
    deps::DependencyGraph,
    diagnosis::{Diagnosis, Finding},
    edit::EditShown,
    estimate::EstimateShown,
    fence::{FenceChecked, FenceList, Highest},
    findings::{FindingsList, FindingsShown, FindingsWritten},
    halt::HaltShown,
    import::{StateImport, StateImports},
    lock::LockList,
    next::NextTasks,
    orchestrator::OrchestratorList,
    owner::{OwnerShown, ReleasedShown, TermList},
    phases::PhaseList,
    plan::{ImportList, PlanDeleted, PlanList, PlanShown},
    plan_file::PlanFile,
    server::ServerStatus,
    settings::{ContextList, SettingsShown},
    status::PlanStatus,
    table::{Cell, Table, plain},
    task::{TaskList, TaskShown, TaskUpdate, describe as describe_task},
    time::Time,
    watch::{ChangesShown, SnapshotShown},
    why::{WhyPlan, WhyTask},
    worktree::{Tidied, WorktreeList, WorktreeShown, WorktreesTidied},
};
use crate::{exit::Exit, failure::Failure};

/// In which form something is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}

/// The flag that chooses the form.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to show it
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// Something that can be shown.
pub(crate) trait Document: Serialize {
    /// The name and version of its JSON form; `None` for the one that has another description (plan files).
    const SCHEMA: Option<&'static str>;

    /// Its objects, one a line; the whole document if it is no list.
    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        Ok(vec![marked(Self::SCHEMA, self)?])
    }

    /// For people. Ages are counted until `now`.
    fn table(&self, now: WallTime) -> String;
}

/// A value in one line, with the name of its schema in front.
fn marked<T: Serialize + ?Sized>(schema: Option<&str>, value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Marked { schema, value })
}

/// The objects of a list, each with the name of its schema.
fn each<T: Serialize>(schema: &str, items: &[T]) -> Result<Vec<String>, serde_json::Error> {
    items.iter().map(|item| marked(Some(schema), item)).collect()
}

#[derive(Serialize)]
struct Marked<'a, T: ?Sized> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(flatten)]
    value: &'a T,
}

/// The document as text, with a line break at its end.
pub(crate) fn text<D: Document>(format: Format, document: &D, now: WallTime) -> Result<String, Failure> {
    let text = match format {
        Format::Table => Ok(document.table(now)),
        Format::Json => serde_json::to_string_pretty(&Marked { schema: D::SCHEMA, value: document }),
        Format::Jsonl => document.lines().map(|lines| lines.join("\n")),
    };
    let mut text = text.map_err(|error| Failure::json(&error))?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Shows a document on standard output.
pub(crate) fn show<D: Document>(format: Format, document: &D, now: WallTime) -> Result<(), Failure> {
    print(&text(format, document, now)?)
}

/// Prints on standard output; colours are taken out where nobody would see them.
///
/// # Errors
/// A reader that has gone (`| head`) ends the program in silence, with success: it has read what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::said(Exit::Done),
        _ => Failure::system("cannot write to standard output", &error),
    })
}

/// Tells a person something, on standard error. Nobody reading it is no failure.
pub(crate) fn tell(line: &str) {
    drop(writeln!(anstream::stderr(), "{line}"));
}

#[cfg(test)]
mod tests;
