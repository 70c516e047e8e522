//! What tasks have found out: written, shown, listed.

use planlease::List;
use planlease_core::{
    PlanName, TaskId,
    record::{FindingsRecord, OutputRecord},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    unreadable::{UnreadableView, views},
};

/// `findings write`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingsWritten {
    /// The plan.
    pub plan: PlanName,
    /// The task.
    pub task: TaskId,
    /// The attempt that they are of.
    pub attempt: u32,
    /// How long they are.
    pub bytes: usize,
    /// Where the whole of them is, if it is elsewhere.
    pub reference: Option<String>,
}

impl Document for FindingsWritten {
    const SCHEMA: Option<&'static str> = Some("planlease.findings_written.v1");
}

/// `findings read`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingsView {
    pub(crate) plan: PlanName,
    #[serde(flatten)]
    pub(crate) findings: Listed,
    /// What the task stored, or what its command wrote if it stored nothing.
    pub(crate) text: String,
    /// What the command wrote, if it was run by an orchestrator.
    pub(crate) output: Option<Output>,
}

/// What the command of an attempt wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    pub(crate) attempt: u32,
    /// How long it was before its middle was cut out.
    pub(crate) bytes: u64,
    pub(crate) text: String,
}

impl From<OutputRecord> for Output {
    fn from(OutputRecord { attempt, text, bytes }: OutputRecord) -> Self {
        Self { attempt, bytes, text }
    }
}

impl FindingsView {
    /// Of a task.
    #[must_use]
    pub fn new(plan: PlanName, task: TaskId, found: FindingsRecord) -> Self {
        let (text, output) = (found.readable().text, found.output.clone().map(Output::from));
        Self { plan, findings: Listed::new(task, &found), text, output }
    }
}

impl Document for FindingsView {
    const SCHEMA: Option<&'static str> = Some("planlease.findings.v1");
}

/// `findings list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingsList {
    pub(crate) plan: PlanName,
    pub(crate) findings: Vec<Listed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FindingsListed")]
pub(crate) struct Listed {
    /// The task, or the name under which an import has kept it.
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    /// How long it was before it was cut.
    pub(crate) bytes: u64,
    /// Whether its middle is left out.
    pub(crate) cut: bool,
    /// Where the whole of it is, if it is kept elsewhere.
    pub(crate) reference: Option<String>,
    /// Whether what the command wrote is kept.
    #[serde(rename = "has_output")]
    pub(crate) output: bool,
}

impl Listed {
    fn new(task: TaskId, found: &FindingsRecord) -> Self {
        let OutputRecord { attempt, text, bytes } = found.readable();
        let kept = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let (output, reference) = (found.output.is_some(), found.reference.clone());
        Self { task, attempt, bytes, cut: kept < bytes, reference, output }
    }
}

impl FindingsList {
    /// Of all tasks that have some.
    #[must_use]
    pub fn new(plan: PlanName, found: List<(TaskId, FindingsRecord)>) -> Self {
        let unreadable = views(&found.unreadable);
        let findings = found.into_iter().map(|(task, found)| Listed::new(task, &found));
        Self { plan, findings: findings.collect(), unreadable }
    }
}

impl Document for FindingsList {
    const SCHEMA: Option<&'static str> = Some("planlease.findings_list.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.findings_listed.v1", &self.findings, &self.unreadable)
    }
}
