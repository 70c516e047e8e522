//! Writes a plan as a file of another tool.
//!
//! What the tool has words for is said in them: dependencies, priorities, how far tasks are. What the plan's
//! own file said beyond the plan is put back, as far as the format is the same. The text is read back as long
//! as that gives another plan; what is missing then is noted for planlease beside the tool's own fields.

mod beads;
mod json;
mod markdown;
mod missing;
mod outgoing;
mod taskmaster;

use std::collections::BTreeMap;

use self::outgoing::{Outgoing, Task};
use crate::{
    draft::Draft,
    format::Format,
    note::{KEPT, PlanNote, TaskNote},
    progress::State,
    read,
    report::Report,
    text::Text,
};
use planlease_core::{
    TaskId,
    graph::Graph,
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
};

/// How often a text is read back: what its own fields do not say is translated first, then noted.
const PASSES: usize = 4;

/// What a file is called whose name is not known: no plan has such a title.
const UNKNOWN: &str = "\u{fffd}";

/// A plan as a file of this format, its tasks in these states; `None` for a format that is not written.
#[must_use]
pub fn export(format: Format, spec: &PlanSpec, status: &BTreeMap<TaskId, TaskStatus>) -> Option<String> {
    let write = match format {
        Format::Checklist => markdown::write,
        Format::Taskmaster => taskmaster::write,
        Format::Beads => beads::write,
        _ => return None,
    };
    let mut plan = Outgoing::new(format, spec, status);
    let mut written = write(&plan);
    for _ in 0..PASSES {
        if !plan.complete(&written) {
            break;
        }
        written = write(&plan);
    }
    Some(written)
}

impl<'a> Outgoing<'a> {
    fn new(format: Format, spec: &'a PlanSpec, status: &BTreeMap<TaskId, TaskStatus>) -> Self {
        let graph = Graph::new(spec);
        let task = |task: &'a TaskSpec| {
            let kept = task.extra.get(KEPT).and_then(|kept| kept.get(format.name()));
            let status = status.get(&task.id).copied().unwrap_or(TaskStatus::Pending);
            Task {
                spec: task,
                state: State::of(task, status),
                waits: graph.waits(&task.id).iter().map(|wait| wait.on.clone()).collect(),
                kept,
                is_verbatim: kept.is_some(),
                note: TaskNote::default(),
            }
        };
        let mut tasks: Vec<Task<'_>> = spec.tasks.iter().map(task).collect();
        if !spec.in_file_order {
            tasks.sort_by(|one, other| one.spec.id.cmp(&other.spec.id));
        }
        // Others write Markdown as well: how to read it has to be said.
        let is_marked = format == Format::Checklist;
        let note = PlanNote { format: is_marked.then(|| format.name().to_owned()), ..PlanNote::default() };
        Self { format, spec, tasks, note, hides_steps: false }
    }

    /// Notes what is missing if the text is read; whether that changes the text.
    fn complete(&mut self, written: &str) -> bool {
        match self.read(written) {
            Some(read) => missing::note(self, &read),
            None => self.secure(),
        }
    }

    /// Keeps what a text was refused for from being read: details, then what texts say of dependencies and
    /// approvals. Whether that changes the text.
    fn secure(&mut self) -> bool {
        if !std::mem::replace(&mut self.hides_steps, true) {
            return true;
        }
        let mut is_new = false;
        for task in self.tasks.iter_mut().filter(|task| task.note.depends_on.is_none()) {
            task.note.depends_on = Some(task.waits.clone());
            is_new = true;
        }
        for task in self.tasks.iter_mut().filter(|task| task.note.approval.is_none()) {
            task.note.approval = Some(task.spec.approval.into());
            is_new = true;
        }
        is_new
    }

    /// The plan that the text gives; `None` if it is refused.
    fn read(&self, written: &str) -> Option<Draft> {
        // Its own file gives a plan its title again; of another one the name is not known.
        let is_own = self.tasks.iter().any(|task| task.kept.is_some());
        let path = self.spec.source.as_ref().filter(|_| is_own).map_or(UNKNOWN, |source| &source.path);
        let text = Text::decode(path, written.as_bytes()).ok()?;
        let mut report = Report::new(&text);
        let (draft, _) = read::draft(self.format, None, path, &text, &mut report).ok()?;
        report.finish().ok().map(|_| draft)
    }
}

#[cfg(test)]
mod tests;
