//! `plan diff` and `plan update`: what a file changes in a plan.

use planlease::{
    PlanView,
    core::{
        PlanName, Revision, TaskId, WallTime,
        edit::Edit,
        spec::{PlanSpec, TaskSpec},
        transition::TaskStatus,
    },
};
use planlease_formats::Parsed;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, Table, command_line, plain,
    plan_file::{FileProblem, problems},
    unreadable::{UnreadableView, views},
};

/// An edit of a plan: what it changes, or changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EditShown {
    plan: PlanName,
    file: String,
    /// Whether the plan is as the file says: it was before, or is now.
    in_step: bool,
    /// What is done about each task that differs.
    tasks: Vec<TaskEdit>,
    /// What differs in the plan itself.
    fields: Vec<String>,
    /// Since when the plan is so, if this command did it.
    revision: Option<Revision>,
    /// The file that the plan was made of, if it seems to be another one.
    other_source: Option<String>,
    /// The tasks that are ticked in the file and pending in the plan.
    ticked: Vec<TaskId>,
    /// Of these, the ones that this command recorded as done.
    recorded_as_done: Vec<TaskId>,
    /// What the author of the file should know.
    warnings: Vec<FileProblem>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TaskEdit {
    task: TaskId,
    what: What,
    /// Where it stands; nothing for a new one.
    status: Option<TaskStatus>,
    /// What is defined differently.
    fields: Vec<String>,
    description: String,
    /// The command that runs, if the task has one.
    command: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum What {
    Added,
    Removed,
    Changed,
    /// It is not in the file, and stays, since it was begun, or one that was begun depends on it.
    Kept,
}

impl EditShown {
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
        let (old, new) = (&*view.spec(), &edit.spec);
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
    /// done.
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

impl Document for EditShown {
    const SCHEMA: Option<&'static str> = Some("planlease.edit.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, _now: WallTime) -> String {
        let Self { plan, file, .. } = self;
        let file = plain(file);
        let mut text = match (self.in_step, self.revision) {
            (true, None) => format!("{plan} is as {file} says\n"),
            (true, Some(revision)) => format!("{plan} is as {file} says since revision {revision}\n"),
            (false, _) => format!("{plan} is not as {file} says\n"),
        };
        if let Some(source) = &self.other_source {
            text += &format!("the plan was made of another file: {}\n", plain(source));
        }
        let ids = |tasks: &[TaskId]| tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
        if !self.recorded_as_done.is_empty() {
            text += &format!("ticked in the file, and recorded as done: {}\n", ids(&self.recorded_as_done));
        } else if !self.ticked.is_empty() {
            text += &format!("ticked in the file, and pending in the plan: {}\n", ids(&self.ticked));
        }
        if !self.fields.is_empty() {
            text += &format!("the plan itself: {}\n", self.fields.join(", "));
        }
        if self.tasks.is_empty() {
            return text;
        }
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["", "TASK", "STATUS", "WHAT", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["", "TASK", "STATUS", "WHAT", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let (sign, what) = match task.what {
                What::Added => ("+", "is new".to_owned()),
                What::Removed => ("-", "is not in the file".to_owned()),
                What::Changed => ("~", task.fields.join(", ")),
                What::Kept => ("=", "is not in the file, but stays".to_owned()),
            };
            let cells = [
                Cell::text(sign),
                Cell::text(task.task.as_str()),
                Cell::text(task.status.map_or_else(|| "-".to_owned(), |status| status.to_string())),
                Cell::text(what),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        text + "\n" + &table.render("")
    }
}
