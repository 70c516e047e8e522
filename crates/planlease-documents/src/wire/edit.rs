//! `plan diff` and `plan update`: what a file changes in a plan.

use planlease::{
    PlanView,
    core::{
        PlanName, Revision, TaskId,
        edit::Edit,
        spec::{PlanSpec, TaskSpec},
        transition::TaskStatus,
    },
};
use planlease_formats::Parsed;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    plan_file::{FileProblem, problems},
    unreadable::{UnreadableView, views},
};

/// An edit of a plan: what it changes, or changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EditView {
    pub(crate) plan: PlanName,
    pub(crate) file: String,
    /// Whether the plan is as the file says: it was before, or is now.
    pub(crate) in_step: bool,
    /// What is done about each task that differs.
    pub(crate) tasks: Vec<TaskEdit>,
    /// What differs in the plan itself.
    pub(crate) fields: Vec<String>,
    /// Since when the plan is so, if this command did it.
    pub(crate) revision: Option<Revision>,
    /// The file that the plan was made of, if it seems to be another one.
    pub(crate) other_source: Option<String>,
    /// The tasks that are ticked in the file and pending in the plan.
    pub(crate) ticked: Vec<TaskId>,
    /// Of these, the ones that this command recorded as done, or would record with `--dry-run`.
    pub(crate) recorded_as_done: Vec<TaskId>,
    /// What the author of the file should know.
    pub(crate) warnings: Vec<FileProblem>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TaskEdit {
    pub(crate) task: TaskId,
    pub(crate) what: What,
    /// Where it stands; nothing for a new one.
    pub(crate) status: Option<TaskStatus>,
    /// What is defined differently.
    pub(crate) fields: Vec<String>,
    pub(crate) description: String,
    /// The command that runs, if the task has one.
    pub(crate) command: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Added,
    Removed,
    Changed,
    /// It is not in the file, and stays, since it was begun, or one that was begun depends on it.
    Kept,
}

impl EditView {
    /// `revision`: since when it is so, if it was done.
    #[must_use]
    pub fn new(view: &PlanView, file: &str, edit: &Edit, revision: Option<Revision>) -> Self {
        let task = |specs: &PlanSpec, task: &TaskId, what, fields: &[String]| TaskEdit {
            task: task.clone(),
            what,
            status: view.status(task),
            fields: fields.to_vec(),
            description: specs.task(task).map(|task| task.description.clone()).unwrap_or_default(),
            command: specs.task(task).and_then(|task| task.command.clone()),
        };
        let (old, new) = (view.spec(), &edit.spec);
        let added = edit.added.iter().map(|id| task(new, id, What::Added, &[]));
        let changed = edit.changed.iter().map(|one| task(new, &one.task, What::Changed, &one.fields));
        let removed = edit.removed.iter().map(|id| task(old, id, What::Removed, &[]));
        let kept = edit.kept.iter().map(|id| task(old, id, What::Kept, &[]));
        Self {
            plan: view.name().clone(),
            file: file.to_owned(),
            in_step: edit.is_empty() || revision.is_some(),
            tasks: added.chain(changed).chain(removed).chain(kept).collect(),
            fields: edit.fields.clone(),
            revision,
            other_source: None,
            ticked: Vec::new(),
            recorded_as_done: Vec::new(),
            warnings: Vec::new(),
            unreadable: views(view.unreadable()),
        }
    }

    /// With what the file says besides the definition. `recorded`: the tasks that this command recorded as
    /// done, or would.
    #[must_use]
    pub fn with_file(self, view: &PlanView, parsed: &Parsed, recorded: Vec<TaskId>) -> Self {
        let source = view.spec().source.as_ref().filter(|_| !view.spec().has_origin_of(&parsed.spec));
        let added =
            |task: &&TaskSpec| view.status(&task.id).is_none_or(|status| status == TaskStatus::Pending);
        Self {
            other_source: source.map(|source| source.full_path().to_owned()),
            ticked: parsed.spec.ticked().filter(added).map(|task| task.id.clone()).collect(),
            recorded_as_done: recorded,
            warnings: problems(&parsed.warnings),
            ..self
        }
    }
}

impl Document for EditView {
    const SCHEMA: Option<&'static str> = Some("planlease.edit.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}
