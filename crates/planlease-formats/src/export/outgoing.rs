//! A plan and its tasks on their way into a file.

use planlease_core::{
    TaskId,
    spec::{PlanSpec, TaskSpec},
};
use serde_json::Value;

use crate::{
    format::Format,
    note::{PlanNote, TaskNote},
    progress::State,
};

/// A plan on its way into a file.
pub(super) struct Outgoing<'a> {
    pub(super) format: Format,
    pub(super) spec: &'a PlanSpec,
    /// In the order in which they are written.
    pub(super) tasks: Vec<Task<'a>>,
    pub(super) note: PlanNote,
    /// Whether details are only noted: what they say would be read as something else.
    pub(super) hides_steps: bool,
}

/// A task on its way into a file.
pub(super) struct Task<'a> {
    pub(super) spec: &'a TaskSpec,
    pub(super) state: State,
    /// All that it waits for, whatever the reason.
    pub(super) waits: Vec<TaskId>,
    /// What its own file said of it beyond the plan, if that had the same format.
    pub(super) kept: Option<&'a Value>,
    /// Whether that file's own words for dependencies and priorities still say what the plan says.
    pub(super) is_verbatim: bool,
    pub(super) note: TaskNote,
}
