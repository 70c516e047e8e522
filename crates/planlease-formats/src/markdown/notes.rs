//! Keeps the notes about the order of execution with the plan, once all its tasks and phases are known.
//!
//! They become extras, in a form that a program can read:
//!
//! | note | kept as |
//! | --- | --- |
//! | of tasks, in a phase | `sequential` or `parallel` of the phase: `[{"tasks": ["2.1", "2.2"], "reason": "…"}]` |
//! | of tasks, elsewhere | the same of the plan |
//! | of phases | `sequential` or `parallel` of the plan: `[{"phases": ["1", "2"], "reason": "…"}]` |
//! | of a pipeline start | `pipeline_start` of the phase: `{"after": "1.3"}` |

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
};

use planlease_core::{
    TaskId,
    spec::{MAX_TASKS, PhaseSpec},
};
use serde_json::{Value, json};

use super::note::{self, Note, Subject};
use crate::{draft::Draft, problem::Report};

/// A note where it was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) at: usize,
    /// The place of the phase that it is in.
    pub(super) phase: Option<usize>,
    pub(super) text: Text<'a>,
}

/// What follows the label of a note.
#[derive(Debug)]
pub(super) enum Text<'a> {
    Execution(&'a str),
    PipelineStart(&'a str),
}

/// Keeps all notes that make sense, and warns of the others.
pub(super) fn keep(found: &[Found<'_>], draft: &mut Draft, report: &mut Report<'_>) {
    if found.is_empty() {
        return;
    }
    let names = Names::new(draft);
    let mut room = MAX_TASKS; // Notes may name tasks again and again; together no more than a plan may have.
    for found in found {
        match found.text {
            Text::Execution(text) => match names.resolve(text, room) {
                Ok(resolved) => {
                    room -= resolved.names.len();
                    keep_order(&resolved, found.phase, draft);
                }
                Err(Unclear::NoOrder) => {} // A note for people.
                Err(unclear) => {
                    if matches!(unclear, Unclear::TooLong) {
                        room = 0; // Counting that far for each further note would take long.
                    }
                    report.warning(found.at, unclear.message(), HOW_TO_WRITE_A_NOTE);
                }
            },
            Text::PipelineStart(text) => {
                let task = note::pipeline_start(text).filter(|task| names.has_task(task));
                match (task, found.phase) {
                    (Some(task), Some(phase)) => {
                        let extra = &mut draft.spec.phases[phase].extra;
                        extra.insert("pipeline_start".into(), json!({ "after": task }));
                    }
                    _ => report.warning(
                        found.at,
                        "this pipeline-start is not understood",
                        "It stands in a phase and names a task of the plan, as `when 1.3 completes`.",
                    ),
                }
            }
        }
    }
}

const HOW_TO_WRITE_A_NOTE: &str = "Write it as `Tasks 2.1-2.6 are [SEQUENTIAL] - reason`, or with `Phases` or \
                                   `[PARALLEL]`; it is kept and shown, and does not change what is scheduled.";

fn keep_order(resolved: &Resolved<'_>, phase: Option<usize>, draft: &mut Draft) {
    let Resolved { note, names } = resolved;
    let key = match note.subject {
        Subject::Tasks => "tasks",
        Subject::Phases => "phases",
    };
    let mut value = json!({ key: names });
    if let Some(reason) = note.reason {
        value["reason"] = Value::from(reason);
    }
    let extra = match (note.subject, phase) {
        (Subject::Tasks, Some(phase)) => &mut draft.spec.phases[phase].extra,
        _ => &mut draft.spec.extra,
    };
    super::push(extra, note.order.key(), value);
}

/// A note whose names are those of the plan.
struct Resolved<'a> {
    note: Note<'a>,
    names: Vec<String>,
}

/// Why a note cannot be kept.
enum Unclear {
    NoOrder,
    NamesNothing,
    Unknown(String),
    TooLong,
}

impl Unclear {
    fn message(&self) -> String {
        match self {
            Self::NoOrder | Self::NamesNothing => {
                "this note does not say which tasks or phases it means".into()
            }
            Self::Unknown(name) => format!("this note is about {name}, which the plan does not have"),
            Self::TooLong => format!("the notes of this plan name more than {MAX_TASKS} tasks"),
        }
    }
}

/// The names of a plan's tasks and phases, in order.
struct Names {
    tasks: BTreeSet<TaskId>,
    phases: Vec<String>,
    phase_places: HashMap<String, usize>,
}

impl Names {
    fn new(draft: &Draft) -> Self {
        let phases: Vec<String> =
            draft.spec.phases.iter().map(|PhaseSpec { number, .. }| number.clone()).collect();
        Self {
            tasks: draft.spec.tasks.iter().map(|task| task.id.clone()).collect(),
            phase_places: phases.iter().cloned().enumerate().map(|(i, number)| (number, i)).collect(),
            phases,
        }
    }

    fn has_task(&self, text: &str) -> bool {
        TaskId::new(text).is_ok_and(|id| self.tasks.contains(&id))
    }

    fn resolve<'a>(&self, text: &'a str, room: usize) -> Result<Resolved<'a>, Unclear> {
        let note = note::execution(text).ok_or(Unclear::NoOrder)?;
        let mut names = Vec::new();
        for &(first, last) in &note.ranges {
            match note.subject {
                Subject::Tasks => self.tasks_between(first, last, room, &mut names)?,
                Subject::Phases => self.phases_between(first, last, room, &mut names)?,
            }
        }
        if names.is_empty() { Err(Unclear::NamesNothing) } else { Ok(Resolved { note, names }) }
    }

    fn tasks_between(
        &self,
        first: &str,
        last: &str,
        room: usize,
        names: &mut Vec<String>,
    ) -> Result<(), Unclear> {
        let known = |text: &str| {
            let id = TaskId::new(text).ok().filter(|id| self.tasks.contains(id));
            id.ok_or_else(|| Unclear::Unknown(format!("task {text}")))
        };
        let (first, last) = (known(first)?, known(last)?);
        if first > last {
            return Err(Unclear::NamesNothing); // Also what the map would not take.
        }
        for id in self.tasks.range((Bound::Included(first), Bound::Included(last))) {
            if names.len() >= room {
                return Err(Unclear::TooLong);
            }
            names.push(id.as_str().to_owned());
        }
        Ok(())
    }

    fn phases_between(
        &self,
        first: &str,
        last: &str,
        room: usize,
        names: &mut Vec<String>,
    ) -> Result<(), Unclear> {
        let known = |number: &str| {
            let place = self.phase_places.get(number).copied();
            place.ok_or_else(|| Unclear::Unknown(format!("phase {number}")))
        };
        let between = self.phases.get(known(first)?..=known(last)?).ok_or(Unclear::NamesNothing)?;
        if names.len() + between.len() > room {
            return Err(Unclear::TooLong);
        }
        names.extend_from_slice(between);
        Ok(())
    }
}
