//! What planlease shows: JSON documents for programs, which the command line and the sidecar share, and
//! tables for people.
//!
//! The JSON is stable: a document names its schema, as `planlease.status.v1`; fields may be added to it, and
//! whatever else changes gives it a new name. Times are RFC 3339 in UTC, durations are in seconds, names are
//! in `snake_case`. Field by field: `docs/json.md`, which is made from the types here.

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
mod printable;
mod server;
mod status;
mod store;
mod table;
mod task;
mod time;
mod unreadable;
mod watch;
mod why;
mod worktree;

use planlease::core::WallTime;
use serde::Serialize;

use self::time::SECOND_WIDTH;
pub use self::{
    audit::AuditReport,
    claim::ClaimShown,
    deps::DependencyGraph,
    diagnosis::{Diagnosis, Finding, Verdict},
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
    plan_file::{FileProblem, PlanFile},
    printable::{Printable, Style, escape_json, plain},
    server::ServerStatus,
    status::PlanStatus,
    store::StoreShown,
    table::{Cell, Table, command_line},
    task::{TaskList, TaskShown, TaskUpdate, describe as describe_task},
    time::{Time, duration},
    unreadable::UnreadableView,
    watch::{ChangesShown, SnapshotShown},
    why::{WhyPlan, WhyTask},
    worktree::{Tidied, WorktreeList, WorktreeShown, WorktreesTidied},
};

/// In which form something is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
}

/// Something that can be shown.
pub trait Document: Serialize {
    /// The name and version of its JSON form; `None` for the one that has another description (plan files).
    const SCHEMA: Option<&'static str>;

    /// Its objects, one a line; the whole document if it is no list.
    ///
    /// # Errors
    /// As [`text`].
    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        Ok(vec![marked(Self::SCHEMA, self)?])
    }

    /// What cannot be read, and is missing in it.
    fn unreadable(&self) -> &[UnreadableView] {
        &[]
    }

    /// For people. Ages are counted until `now`.
    fn table(&self, now: WallTime) -> String;
}

/// A value in one line of JSON, with the name of its schema in front.
///
/// # Errors
/// As [`text`].
pub fn marked<T: Serialize + ?Sized>(schema: Option<&str>, value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Marked { schema, value })
}

/// The objects of a list, each with the name of its schema.
///
/// # Errors
/// As [`text`].
pub fn each<T: Serialize>(schema: &str, items: &[T]) -> Result<Vec<String>, serde_json::Error> {
    items.iter().map(|item| marked(Some(schema), item)).collect()
}

/// The same, with what cannot be read behind them.
///
/// # Errors
/// As [`text`].
fn each_readable<T: Serialize>(
    schema: &str,
    items: &[T],
    unreadable: &[UnreadableView],
) -> Result<Vec<String>, serde_json::Error> {
    let mut lines = each(schema, items)?;
    lines.extend(each("planlease.unreadable.v1", unreadable)?);
    Ok(lines)
}

#[derive(Serialize)]
struct Marked<'a, T: ?Sized> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(flatten)]
    value: &'a T,
}

/// The document in one line of JSON, with the name of its schema in front.
///
/// # Errors
/// As [`text`].
pub fn json<D: Document>(document: &D) -> Result<String, serde_json::Error> {
    marked(D::SCHEMA, document)
}

/// The document as text, with a line break at its end: a [`Printable`] is to be made of it.
///
/// # Errors
/// Whatever JSON cannot say; no document here contains such a thing.
pub fn text<D: Document>(format: Format, document: &D, now: WallTime) -> Result<String, serde_json::Error> {
    let mut text = match format {
        Format::Table => document.table(now),
        Format::Json => {
            escape_json(&serde_json::to_string_pretty(&Marked { schema: D::SCHEMA, value: document })?)
        }
        Format::Jsonl => escape_json(&document.lines()?.join("\n")),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
