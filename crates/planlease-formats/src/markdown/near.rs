//! What resembles a task or a phase and is written as none: an error, unless the plan has that task
//! elsewhere.

use std::collections::HashSet;

use crate::{
    checkbox::{self, Checkbox, Found, Mark},
    draft::Draft,
    report::Report,
};

/// A line that resembles a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubtful<'a> {
    pub(super) at: usize,
    pub(super) number: &'a str,
    pub(super) doubt: Doubt,
}

/// Why a line is no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Its box, or the mark of the list, is written in another way.
    Box,
    /// Its box has a mark of other checklists.
    Mark(Mark),
    /// It has no box.
    NoBox,
    /// It has a box, and its number is written in another way.
    Number,
    /// It is a heading.
    Heading,
    /// It is a row of a table.
    Row,
    /// It is indented, and no task is above.
    Indented,
    /// It is indented below a task that it is no part of.
    Nested,
}

impl Doubt {
    /// What is wrong with the box of this line.
    pub(super) fn of_box(line: &str) -> Self {
        match checkbox::read(line) {
            Found::Box(Checkbox {
                mark: mark @ (Mark::Begun | Mark::Dash | Mark::Dropped | Mark::Blocked),
                ..
            }) => Self::Mark(mark),
            _ => Self::Box,
        }
    }

    /// Whether a number that the plan has makes a mention of the line, rather than a task.
    fn may_be_mention(self) -> bool {
        matches!(self, Self::NoBox | Self::Number | Self::Heading | Self::Row | Self::Nested)
    }

    fn message(self) -> &'static str {
        match self {
            Self::Box => "this looks like a task, but its box is none",
            Self::Mark(Mark::Dash | Mark::Dropped) => {
                "this box says that the task is dropped, or begun; a box here says open or done"
            }
            Self::Mark(Mark::Blocked) => {
                "this box says that the task is blocked; a box here says open or done"
            }
            Self::Mark(_) => "this box says that the task is begun; a box here says open or done",
            Self::NoBox => "this looks like a task, but it has no box",
            Self::Number => {
                "this looks like a task, but its number is not at the beginning, or not one of a task"
            }
            Self::Heading => "this looks like a task, but it is a heading",
            Self::Row => "this looks like a task, but it is a row of a table",
            Self::Indented => "this looks like a task, but it is indented",
            Self::Nested => "this looks like a task, but it is indented below another one",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Box => {
                "Write `- [ ] ` for what is to be done and `- [x] ` for what is done; other marks are not known."
            }
            Self::Mark(Mark::Dash | Mark::Dropped) => {
                "Write `- [ ] ` if it is still to be done; take the line out if it is not, or put it into a comment."
            }
            Self::Mark(_) => {
                "Write `- [ ] `: how far a task is, the plan knows. Or read the file with `--format markdown`, which knows this mark."
            }
            Self::NoBox => {
                "Write `- [ ] ` in front of the number, or put the number into backticks if it is none of a task."
            }
            Self::Number => "Write `- [ ] 1.1 What to do`, with a number of two or three parts.",
            Self::Heading => {
                "Write `- [ ] ` in place of the `#`; a heading above tasks has no number, or the one that theirs begin \
                 with."
            }
            Self::Row => "Write `- [ ] 1.1 What to do`, on a line of its own outside of the table.",
            Self::Indented => "A task begins at the left margin: move it there.",
            Self::Nested => {
                "Move it to the left margin to make a task of it; the number of a step begins with that of its task."
            }
        }
    }
}

/// Reports each line that resembles a task, unless it mentions a task of the plan.
pub(super) fn judge(doubtful: Vec<Doubtful<'_>>, draft: &mut Draft, report: &mut Report<'_>) {
    let known: HashSet<&str> = draft.spec.tasks.iter().map(|task| task.id.as_str()).collect();
    let sections: HashSet<&str> =
        known.iter().filter_map(|id| id.rsplit_once('.')).map(|(section, _)| section).collect();
    for Doubtful { at, number, doubt } in doubtful {
        let is_section = doubt == Doubt::Heading && sections.contains(number);
        if doubt.may_be_mention() && known.contains(number) || is_section {
            continue;
        }
        draft.missing.ids.insert(number.to_owned());
        report.error(at, doubt.message(), doubt.help());
    }
}

/// A line that seems to begin a phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct StrayPhase<'a> {
    pub(super) at: usize,
    pub(super) number: &'a str,
    /// The level of the heading, if it is one.
    pub(super) level: Option<usize>,
    pub(super) is_reported: bool,
}

impl StrayPhase<'_> {
    /// Whether this task below seems to be one of that phase. Text is less sure to be meant as a heading.
    pub(super) fn is_to_blame_for(&self, task: Option<&str>) -> bool {
        let is_of_it = task.is_none_or(|task| task.split('.').next() == Some(self.number));
        !self.is_reported && (self.level.is_some() || is_of_it)
    }

    pub(super) fn message(&self, phase_level: usize) -> String {
        let number = self.number;
        match self.level {
            Some(level) if level != phase_level => {
                format!(
                    "phase {number} is a heading of level {level}, and the phases of this plan are of level {phase_level}"
                )
            }
            _ => format!("this seems to begin phase {number}, and is no heading of a phase"),
        }
    }

    pub(super) fn help(&self, phase_level: usize) -> String {
        let marks = "#".repeat(phase_level);
        format!(
            "The tasks below would belong to another phase, or to none: write `{marks} Phase {}: Name`.",
            self.number
        )
    }
}
