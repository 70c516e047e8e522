//! `plan diff` and `plan update`: what a file changes in a plan.

use planlease::{
    PlanView,
    core::{PlanName, Revision, TaskId, WallTime, edit::Edit, spec::PlanSpec, transition::TaskStatus},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Table, plain};

/// See the module.
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
        };
        let (old, new) = (&*view.spec, &edit.spec);
        let added = edit.added.iter().map(|id| task(new, id, What::Added, &[]));
        let changed = edit.changed.iter().map(|one| task(new, &one.task, What::Changed, &one.fields));
        let removed = edit.removed.iter().map(|id| task(old, id, What::Removed, &[]));
        let kept = edit.kept.iter().map(|id| task(old, id, What::Kept, &[]));
        Self {
            plan: view.name.clone(),
            file: file.to_owned(),
            in_step: edit.is_empty() || revision.is_some(),
            tasks: added.chain(changed).chain(removed).chain(kept).collect(),
            fields: edit.fields.clone(),
            revision,
        }
    }
}

impl Document for EditShown {
    const SCHEMA: Option<&'static str> = Some("planlease.edit.v1");

    fn table(&self, _now: WallTime) -> String {
        let Self { plan, file, .. } = self;
        let file = plain(file);
        let mut text = match (self.in_step, self.revision) {
            (true, None) => format!("{plan} is as {file} says\n"),
            (true, Some(revision)) => format!("{plan} is as {file} says since revision {revision}\n"),
            (false, _) => format!("{plan} is not as {file} says\n"),
        };
        if !self.fields.is_empty() {
            text += &format!("the plan itself: {}\n", self.fields.join(", "));
        }
        if self.tasks.is_empty() {
            return text;
        }
        let mut table = Table::new(["", "TASK", "STATUS", "WHAT", "DESCRIPTION"]);
        for task in &self.tasks {
            let (sign, what) = match task.what {
                What::Added => ("+", "is new".to_owned()),
                What::Removed => ("-", "is not in the file".to_owned()),
                What::Changed => ("~", task.fields.join(", ")),
                What::Kept => ("=", "is not in the file, but stays".to_owned()),
            };
            table.row([
                Cell::text(sign),
                Cell::text(task.task.as_str()),
                Cell::text(task.status.map_or_else(|| "-".to_owned(), |status| status.to_string())),
                Cell::text(what),
                Cell::text(&task.description),
            ]);
        }
        text + "\n" + &table.render("")
    }
}
