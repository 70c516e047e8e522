//! Makes dependencies of what the lines of a plan state about them, once all its tasks and phases are known.
//!
//! What names a task of the plan is a dependency; what names a phase, one on all its tasks; what names a
//! step, one on the step's task. A statement that cannot be understood is an error, or a warning where it may
//! be prose.

use std::collections::{BTreeMap, HashMap, HashSet};

use planlease_core::{
    TaskId,
    spec::{MAX_DEPENDENCIES, MAX_TASKS},
};

use super::{
    depends::{Fault, Named, Stated, Target},
    notes,
};
use crate::{draft::Draft, report::Report};

/// A statement where it was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The offset of the text that it is in.
    pub(super) base: usize,
    pub(super) subject: Subject,
    pub(super) stated: Stated<'a>,
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The task at this place of the plan.
    Task(usize),
    /// The phase at this place of the plan; `has_tasks`: some of them stand above, so that one of these may
    /// be meant.
    Phase { place: usize, has_tasks: bool },
}

const HOW_TO_WRITE_IT: &str = "Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.";

/// Gives each task what it waits for; what phases wait for is added to the notes. `steps`: the tasks of the
/// numbered steps.
pub(super) fn resolve<'a>(
    found: Vec<Found<'a>>,
    steps: &HashMap<&'a str, usize>,
    draft: &mut Draft,
    notes: &mut Vec<notes::Found<'a>>,
    report: &mut Report<'_>,
) {
    let tasks: HashMap<TaskId, usize> =
        draft.spec.tasks.iter().enumerate().map(|(place, task)| (task.id.clone(), place)).collect();
    let phases: HashMap<String, usize> =
        draft.spec.phases.iter().enumerate().map(|(place, phase)| (phase.number.clone(), place)).collect();
    let mut in_phase = vec![Vec::new(); phases.len()];
    for (place, task) in draft.spec.tasks.iter().enumerate() {
        if let Some(phase) = task.phase.as_ref().and_then(|phase| phases.get(phase)) {
            in_phase[*phase].push(place);
        }
    }
    let mut names = Names { tasks, steps, phases, in_phase, room: MAX_TASKS };
    let mut waits: BTreeMap<usize, Vec<(TaskId, usize)>> = BTreeMap::new();
    for Found { base, subject, stated } in found {
        if let Some(fault) = stated.fault {
            let known = |named: &Named<'_>| match named.target {
                Target::Task(text) => TaskId::new(text).is_ok_and(|id| names.tasks.contains_key(&id)),
                Target::Phases(..) => true,
            };
            let names_task = match fault {
                Fault::Unknown { .. } => stated.names.iter().all(known),
                _ => stated.names.iter().any(known),
            };
            if report_fault(fault, base + stated.at, names_task, report) {
                continue;
            }
        }
        if let Some(at) = stated.lost {
            report_fault(Fault::NamesNothing, base + at, false, report);
        }
        for Named { target, at } in stated.names {
            let at = base + at;
            match subject {
                Subject::Task(task) => match names.resolve(target, task, draft) {
                    Ok(ids) => waits.entry(task).or_default().extend(ids.into_iter().map(|id| (id, at))),
                    Err(message) => {
                        let help = "Name the tasks by their numbers, with commas between them.";
                        report.error(at, message, help);
                    }
                },
                Subject::Phase { has_tasks: true, .. } if matches!(target, Target::Task(_)) => {
                    let message =
                        "this dependency is not in a task, so that it is not clear which task waits";
                    report.error(at, message, HOW_TO_WRITE_IT);
                }
                Subject::Phase { place, .. } => {
                    notes.push(notes::Found { at, phase: Some(place), text: notes::Text::After(target) });
                }
            }
        }
    }
    for (task, waits) in waits {
        let mut seen = HashSet::new();
        let once = waits.into_iter().filter(|(id, _)| seen.insert(id.clone()));
        (draft.spec.tasks[task].depends_on, draft.tasks[task].depends_on) = once.unzip();
    }
}

/// Reports what is wrong with a statement; whether nothing of it is to be used.
fn report_fault(fault: Fault<'_>, at: usize, names_task: bool, report: &mut Report<'_>) -> bool {
    match fault {
        Fault::Unclosed => report.error(
            at,
            "the bracket of this dependency is never closed",
            "Close it in the same paragraph, or put the words into backticks if they are no dependency.",
        ),
        Fault::Conditional => report.error(
            at,
            "this dependency has a condition",
            "A task waits for all the tasks that it names: list these, as `(depends: 1.1, 1.2)`, or put the words into \
             backticks if they are no dependency.",
        ),
        Fault::NamesNothing => {
            report.warning(at, "this names no task of the plan, so that nothing waits for it", HOW_TO_WRITE_IT);
        }
        Fault::Prose if names_task => report.warning(at, "this is not read as a dependency", HOW_TO_WRITE_IT),
        Fault::Denied if names_task => {
            report.warning(at, "this denies a dependency, and none is read here", HOW_TO_WRITE_IT);
        }
        Fault::Unknown { word, meant: Some(meant) } => {
            let meant = meant.replace("pre req", "prereq");
            let message = format!("`{word}` is not known, so that nothing waits for what it names");
            report.error(at, message, format!("Did you mean `{meant}`? {HOW_TO_WRITE_IT}"));
        }
        Fault::Unknown { word, meant: None } if names_task => {
            let message = format!("`{word}` is no word of a dependency, so that nothing waits for what it names");
            report.warning(at, message, HOW_TO_WRITE_IT);
        }
        Fault::Prose | Fault::Denied | Fault::Unknown { .. } => {}
    }
    true
}

/// What the names in statements stand for.
struct Names<'s, 'a> {
    tasks: HashMap<TaskId, usize>,
    steps: &'s HashMap<&'a str, usize>,
    /// The places of the phases.
    phases: HashMap<String, usize>,
    /// The tasks of each phase.
    in_phase: Vec<Vec<usize>>,
    /// How many more tasks may be looked at by their phases: together no more than a plan may have.
    room: usize,
}

impl Names<'_, '_> {
    /// The tasks that a name of a dependency of `task` stands for.
    fn resolve(&mut self, target: Target<'_>, task: usize, draft: &Draft) -> Result<Vec<TaskId>, String> {
        match target {
            Target::Task(text) => {
                let id = TaskId::new(text).map_err(|error| error.to_string())?;
                let step_of = self.steps.get(text).filter(|_| !self.tasks.contains_key(&id));
                Ok(match step_of {
                    Some(same) if *same == task => Vec::new(), // The order of its own steps.
                    Some(&other) => vec![draft.spec.tasks[other].id.clone()],
                    None => vec![id],
                })
            }
            Target::Phases(first, last) => self.of_phases(first, last, task, draft),
        }
    }

    fn of_phases(
        &mut self,
        first: &str,
        last: &str,
        task: usize,
        draft: &Draft,
    ) -> Result<Vec<TaskId>, String> {
        let tasks = &draft.spec.tasks;
        let place = |number: &str| {
            self.phases.get(number).copied().ok_or_else(|| format!("there is no phase {number}"))
        };
        let mut found = Vec::new();
        for place in place(first)?..=place(last)? {
            let number = draft.spec.phases[place].number.as_str();
            let of_phase = &self.in_phase[place];
            self.room = self.room.saturating_sub(of_phase.len());
            // The phase that the task is in cannot be meant as a whole: the tasks with its number are.
            let is_own = tasks[task].phase.as_deref() == Some(number);
            let is_meant = |other: &&usize| {
                let id = tasks[**other].id.as_str();
                !is_own
                    || **other != task && id.strip_prefix(number).is_some_and(|rest| rest.starts_with('.'))
            };
            found.extend(of_phase.iter().filter(is_meant).map(|&other| tasks[other].id.clone()));
            if found.len() > MAX_DEPENDENCIES || self.room == 0 {
                return Err(format!(
                    "this names more tasks than the {MAX_DEPENDENCIES} that one may wait for"
                ));
            }
        }
        match found.is_empty() {
            true => Err(format!("no other task is in phase {first}")),
            false => Ok(found),
        }
    }
}
