//! What planlease notes in a file of another tool: what that has no field for.
//!
//! A note completes what the file says itself, and never contradicts it: where a person or the other tool
//! has changed that since, the file counts.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    TaskId,
    approval::ApprovalOf,
    spec::{Group, PhaseSpec, Policy, TaskPolicy},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::report::Report;

/// The field of JSON, and the word in a comment of Markdown, that holds a note.
pub(crate) const NAME: &str = "planlease";

/// The field of a task, or plan, that keeps what its file said beyond the plan, by the format of the file.
pub(crate) const KEPT: &str = "kept";

/// The field of a plan that keeps which of the lists of its file it is.
pub(crate) const TAG: &str = "tag";

/// What is noted of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TaskNote {
    /// What is to be done, where the file can say it in a similar way only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// The number of its phase; an empty one for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    /// All that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) depends_on: Option<Vec<TaskId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) needs: Option<BTreeSet<String>>,
    /// Its details, where the file can say them in a similar way only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<String>>,
    /// How many lines each of its details has, where the file has them in one text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lines: Option<Vec<usize>>,
    /// What a task that is open is besides, or one that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<NotedApproval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Box<TaskPolicy>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) extra: Map<String, Value>,
    /// What is noted of the plan, in a file that has no place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Box<PlanNote>>,
}

/// The approval that a task asks for, as it is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NotedApproval {
    /// None, whatever the text of the task seems to ask for.
    None,
    Before,
    After,
}

impl From<Option<ApprovalOf>> for NotedApproval {
    fn from(approval: Option<ApprovalOf>) -> Self {
        match approval {
            None => Self::None,
            Some(ApprovalOf::Before) => Self::Before,
            Some(ApprovalOf::After) => Self::After,
        }
    }
}

impl From<NotedApproval> for Option<ApprovalOf> {
    fn from(noted: NotedApproval) -> Self {
        match noted {
            NotedApproval::None => None,
            NotedApproval::Before => Some(ApprovalOf::Before),
            NotedApproval::After => Some(ApprovalOf::After),
        }
    }
}

/// What is noted of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlanNote {
    /// The format of the file, where others look the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phases: Option<Vec<PhaseSpec>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sequential: Vec<Group>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parallel: Vec<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Policy>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) extra: Map<String, Value>,
}

/// Reads a note; one that cannot be read is left out, which is said.
pub(crate) fn read<N: for<'d> Deserialize<'d> + Default>(
    at: usize,
    note: Value,
    report: &mut Report<'_>,
) -> N {
    serde_json::from_value(note).unwrap_or_else(|error| {
        let help = "planlease wrote it when the file was exported: restore it, or take it out.";
        report.warning(at, format!("this note of planlease cannot be read: {error}"), help);
        N::default()
    })
}

/// The note in a line of Markdown, `<!-- planlease: {…} -->`; `None` if it is none.
pub(crate) fn in_line(line: &str) -> Option<Value> {
    let text = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    let text = text.strip_prefix(NAME)?.trim_start().strip_prefix(':')?;
    serde_json::from_str(text).ok()
}

/// A note as a line of Markdown; `None` if there is nothing to note.
pub(crate) fn line(note: &impl Serialize) -> Option<String> {
    let text = serde_json::to_string(note).ok().filter(|text| text != "{}")?;
    Some(format!("<!-- {NAME}: {} -->", text.replace('>', "\\u003e"))) // So that it holds no end of a comment.
}

/// Whether two texts have the same words: formatting, blanks and brackets do not count.
pub(crate) fn is_similar(one: &str, other: &str) -> bool {
    words(one) == words(other)
}

/// Whether a text has the words of another one at its end.
pub(crate) fn ends_similar(text: &str, end: &str) -> bool {
    words(text).ends_with(&words(end))
}

fn words(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}
