//! A plan as read from a file, not checked yet, with the places of what may turn out to be wrong.

use std::collections::BTreeSet;

use planlease_core::spec::PlanSpec;

/// What a reader of a format hands on. Places are offsets into the text, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) spec: PlanSpec,
    /// Where the title stands.
    pub(crate) title: usize,
    /// Where the plan's policy stands.
    pub(crate) policy: usize,
    /// One for each phase of the plan, in the same order.
    pub(crate) phases: Vec<usize>,
    /// One for each task of the plan, in the same order.
    pub(crate) tasks: Vec<TaskPlaces>,
    /// What could not be read as tasks.
    pub(crate) missing: Missing,
    /// How this format wants a task to be written, for a plan without any.
    pub(crate) how_to_write_a_task: &'static str,
}

/// Where the parts of one task stand.
#[derive(Debug)]
pub(crate) struct TaskPlaces {
    pub(crate) id: usize,
    pub(crate) phase: usize,
    pub(crate) description: usize,
    pub(crate) command: usize,
    pub(crate) policy: usize,
    /// One for each dependency of the task, in the same order.
    pub(crate) depends_on: Vec<usize>,
}

impl TaskPlaces {
    /// All parts in one place, with so many dependencies.
    pub(crate) fn at(at: usize, depends_on: usize) -> Self {
        let depends_on = vec![at; depends_on];
        Self { id: at, phase: at, description: at, command: at, policy: at, depends_on }
    }
}

/// What the file has but the draft has not, because of errors that were reported. Nothing that refers to it
/// is complained about.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// The tasks whose ids are known.
    pub(crate) ids: BTreeSet<String>,
    /// There is a task whose id is not known.
    pub(crate) nameless: bool,
    /// There is a phase.
    pub(crate) phases: bool,
}

impl Missing {
    /// Whether a task of this id may be among it.
    pub(crate) fn may_be(&self, id: &str) -> bool {
        self.nameless || self.ids.contains(id)
    }

    /// Whether no task is among it.
    pub(crate) fn has_no_task(&self) -> bool {
        !self.nameless && self.ids.is_empty()
    }
}
