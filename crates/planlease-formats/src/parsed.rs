//! A plan file that could be read.

use std::collections::BTreeMap;

use planlease_core::{TaskId, spec::PlanSpec};

use crate::{format::Format, problem::Problem};

/// A plan file that could be read, and what its author should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The format that it was read in.
    pub format: Format,
    /// The plan: sound, see [`PlanSpec::problems`].
    pub spec: PlanSpec,
    /// What may not mean what its author thinks it means. Warnings only, in the order of the file; at most
    /// 100.
    pub warnings: Vec<Problem>,
    /// How many more warnings there are.
    pub left_out: usize,
    /// What became of the boxes, or entries, of the file.
    pub counts: Counts,
    /// The boxes of planlease's own format that are no tasks; at most 100 of them.
    pub others: Vec<Other>,
    /// The file and the line of each task, in the order of the plan's tasks.
    pub places: Vec<Place>,
}

/// A box that is no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// The line, from 1.
    pub line: usize,
    /// Why it is none, for people.
    pub reason: &'static str,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path as given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// How many boxes a file has, and what became of them. For files that are no checklists: how many tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many there are, outside of code and comments; counted for itself.
    pub in_file: usize,
    /// How many tasks were read.
    pub tasks: usize,
    /// How many were read as something else: steps of tasks, criteria of phases, boxes outside of phases.
    pub others: usize,
    /// How many stand in code and comments.
    pub in_code: usize,
}

impl Counts {
    /// Whether every box is accounted for.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.in_file == self.tasks + self.others
    }
}

impl Parsed {
    /// Why each task whose box is ticked counts as done: `ticked in tasks.md:12`.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<TaskId, String> {
        let ticked = self.spec.tasks.iter().zip(&self.places).filter(|(task, _)| task.is_ticked());
        ticked
            .map(|(task, Place { file, line })| (task.id.clone(), format!("ticked in {file}:{line}")))
            .collect()
    }

    /// Whether some boxes are ticked and others are not: the file says how far its work is.
    #[must_use]
    pub fn is_partly_ticked(&self) -> bool {
        let ticked = self.spec.ticked().count();
        ticked > 0 && ticked < self.spec.tasks.len()
    }
}
