//! Whether what was read makes a plan, and where to point if not. The rules are the core's; here are the
//! places.

use std::collections::BTreeMap;

use planlease_core::{
    TaskId,
    graph::GraphError,
    soundness::SpecError,
    spec::{MAX_TASKS, MAX_TEXT},
};

use crate::{draft::Draft, report::Report};

/// Reports everything that is wrong with the plan itself, rather than with how it is written.
pub(crate) fn check(draft: &Draft, report: &mut Report<'_>) {
    texts(draft, report);
    phases(draft, report);
    let mut places = Places::new(draft);
    for problem in draft.spec.problems() {
        match problem {
            SpecError::Graph(GraphError::UnknownDependency { unknown, .. })
                if draft.missing.may_be(unknown.as_str()) => {}
            SpecError::NoTasks if !draft.missing.has_no_task() => {}
            problem if report.lists_errors() => {
                report.error(places.of(&problem), problem.to_string(), help(&problem, draft));
            }
            _ => {} // Searching the places of thousands of them would take long, and the list has no room.
        }
    }
}

/// Bounds the texts that no task carries; those of tasks are bounded by the core.
fn texts(draft: &Draft, report: &mut Report<'_>) {
    let help = "Shorten it; long texts belong into files of their own.";
    let mut bound = |at, what: &str, text: &str| {
        if text.len() > MAX_TEXT {
            let message = format!("the {what} has {} bytes; at most {MAX_TEXT} are allowed", text.len());
            report.error(at, message, help);
        }
    };
    bound(draft.title, "title", &draft.spec.title);
    for (phase, &at) in draft.spec.phases.iter().zip(&draft.phases) {
        bound(at, "name of the phase", &phase.name);
        for criterion in &phase.verification {
            bound(at, "verification of the phase", criterion);
        }
    }
}

/// Checks that phases have different numbers and that each task is in one of them.
fn phases(draft: &Draft, report: &mut Report<'_>) {
    let mut known = BTreeMap::new();
    for (phase, &at) in draft.spec.phases.iter().zip(&draft.phases) {
        if phase.number.trim().is_empty() {
            report.error(at, "the number of the phase is empty", "Give it one, such as \"1\" or \"2b\".");
        } else if known.insert(phase.number.as_str(), at).is_some() {
            let message = format!("phase {} is defined more than once", phase.number);
            report.error(at, message, "Give each phase a number of its own.");
        }
    }
    if draft.missing.phases {
        return;
    }
    for (task, places) in draft.spec.tasks.iter().zip(&draft.tasks) {
        if let Some(phase) = task.phase.as_deref().filter(|phase| !known.contains_key(phase)) {
            let message = format!("task {} is in phase {phase:?}, which the plan does not have", task.id);
            report.error(
                places.phase,
                message,
                "Define the phase, or put the task into one that is defined.",
            );
        }
    }
}

/// What a problem means, what to do about it.
fn help(problem: &SpecError, draft: &Draft) -> String {
    match problem {
        SpecError::NoTasks => format!("There would be nothing to do. {}", draft.how_to_write_a_task),
        SpecError::TooManyTasks { .. } => format!("Split it into plans of at most {MAX_TASKS} tasks."),
        SpecError::DuplicateTask { .. } => "Give each task an id of its own.".into(),
        SpecError::TextTooLong { .. } => "Shorten it; long texts belong into files of their own.".into(),
        SpecError::EmptyCommand { .. } => {
            "Name the program and its arguments, or leave the command out for that of the orchestrator.".into()
        }
        SpecError::DurationTooLong { .. } => "Durations are in seconds; 0 stands for no limit.".into(),
        SpecError::Graph(GraphError::UnknownDependency { unknown, .. }) => unknown_dependency(unknown, draft),
        SpecError::Graph(GraphError::Cycle { .. }) => {
            "Each waits for the next, so that none of them could ever start: take one of these dependencies out, or a note about the order.".into()
        }
        SpecError::Graph(GraphError::UnknownInNote { .. }) => {
            "Name tasks by their ids, and phases by their numbers.".into()
        }
        _ => "See docs/plan-file.md.".into(),
    }
}

fn unknown_dependency(unknown: &TaskId, draft: &Draft) -> String {
    let text = unknown.as_str();
    if draft.spec.phases.iter().any(|phase| phase.number == text) {
        return format!("{text} is a phase, and only tasks can be waited for: name its tasks one by one.");
    }
    let is_range = text.contains(['-', '–', ' ']);
    if is_range {
        return "Name the tasks one by one, with commas between them.".into();
    }
    "It could never start. Correct the id, or take the dependency out.".into()
}

/// Where the tasks of a plan stand, by id.
struct Places<'a> {
    draft: &'a Draft,
    /// The tasks of each id, in the order of the file: more than one if it is defined more than once.
    by_id: BTreeMap<&'a TaskId, Vec<usize>>,
    /// How often a duplicate of this id was asked for.
    duplicates: BTreeMap<TaskId, usize>,
}

impl<'a> Places<'a> {
    fn new(draft: &'a Draft) -> Self {
        let mut by_id: BTreeMap<&TaskId, Vec<usize>> = BTreeMap::new();
        for (i, task) in draft.spec.tasks.iter().enumerate() {
            by_id.entry(&task.id).or_default().push(i);
        }
        Self { draft, by_id, duplicates: BTreeMap::new() }
    }

    /// Where to point for this problem. Problems are to be asked for in the order in which the core lists
    /// them.
    fn of(&mut self, problem: &SpecError) -> usize {
        match problem {
            SpecError::DuplicateTask { task } => {
                let seen = self.duplicates.entry(task.clone()).or_default();
                *seen += 1; // The core complains about the second one first.
                let nth = *seen;
                self.tasks(task).nth(nth).map_or(0, |i| self.draft.tasks[i].id)
            }
            SpecError::TextTooLong { task, .. } => self.first(task, |i| self.draft.tasks[i].description),
            SpecError::EmptyCommand { task } => self.first(task, |i| self.draft.tasks[i].command),
            SpecError::DurationTooLong { task: Some(task), .. } => {
                self.first(task, |i| self.draft.tasks[i].policy)
            }
            SpecError::DurationTooLong { task: None, .. } => self.draft.policy,
            SpecError::Graph(GraphError::UnknownDependency { task, unknown }) => {
                self.dependency(task, unknown)
            }
            SpecError::Graph(GraphError::Cycle { cycle }) => {
                let next = cycle.get(1).unwrap_or(&cycle[0]); // A cycle has at least one task.
                self.dependency(&cycle[0], next)
            }
            _ => 0,
        }
    }

    fn tasks(&self, id: &TaskId) -> impl Iterator<Item = usize> {
        self.by_id.get(id).into_iter().flatten().copied()
    }

    fn first(&self, id: &TaskId, place: impl Fn(usize) -> usize) -> usize {
        self.tasks(id).next().map_or(0, place)
    }

    /// Where the first task says that it depends on the second.
    fn dependency(&self, task: &TaskId, on: &TaskId) -> usize {
        let stated = |i: usize| {
            let nth = self.draft.spec.tasks[i].depends_on.iter().position(|id| id == on)?;
            self.draft.tasks[i].depends_on.get(nth).copied()
        };
        self.tasks(task).find_map(stated).unwrap_or_else(|| self.first(task, |i| self.draft.tasks[i].id))
    }
}
