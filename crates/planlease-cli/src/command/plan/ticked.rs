//! `--ticked`: how tasks count whose boxes are ticked in the plan file.

use clap::{Args, ValueEnum};
use planlease::core::{TaskId, counted};
use planlease_formats::Parsed;

use crate::{confirm, failure::Failure, output};

/// The flag.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct TickedArgs {
    /// How tasks count whose boxes are ticked [default: done if others are open; else ask on a terminal, or
    /// pending]
    #[arg(long, value_name = "HOW")]
    ticked: Option<Ticked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ticked {
    /// Recorded as done
    Done,
    /// Pending like all others: `run` does them again
    Pending,
    /// Ask on the terminal
    Ask,
}

/// The most ids that are named in a message.
const MAX_NAMED: usize = 20;

impl TickedArgs {
    /// Whether these ticked tasks are recorded as done. Reports on standard error what they count as, unless
    /// it was said.
    ///
    /// # Errors
    /// If it is to be asked and there is no terminal.
    pub(crate) fn are_done(self, file: &str, parsed: &Parsed, ticked: &[&TaskId]) -> Result<bool, Failure> {
        if ticked.is_empty() {
            return Ok(false);
        }
        match self.ticked {
            Some(Ticked::Done) => return Ok(true),
            Some(Ticked::Pending) => return Ok(false),
            Some(Ticked::Ask) if !confirm::can_ask() => {
                return Err(Failure::usage("--ticked ask needs a terminal, and there is none")
                    .meaning("Nothing was changed.")
                    .remedy("Say --ticked done or --ticked pending."));
            }
            _ => {}
        }
        let what =
            format!("{file}: {}: {}", counted(ticked.len(), "ticked task"), named(ticked.iter().copied()));
        if self.ticked.is_none() && parsed.is_partly_ticked() {
            output::tell(&format!("{what}, recorded as done (--ticked pending: to be done)"));
            return Ok(true);
        }
        if confirm::can_ask() {
            return confirm::yes_or_no(&format!("{what}. Record as done?"));
        }
        output::tell(&format!(
            "{what}\n  help: Ticked tasks count as pending, so that `run` does them again: --ticked done records them \
             as done, --ticked pending says that this is meant."
        ));
        Ok(false)
    }

    /// Whether they are, as far as that is decided without a person.
    pub(crate) fn are_done_unasked(self, parsed: &Parsed) -> bool {
        match self.ticked {
            Some(how) => how == Ticked::Done,
            None => parsed.is_partly_ticked(),
        }
    }

    /// The same, of all ticked tasks of a file.
    pub(crate) fn of_file_are_done(self, file: &str, parsed: &Parsed) -> Result<bool, Failure> {
        self.are_done(file, parsed, &parsed.spec.ticked().map(|task| &task.id).collect::<Vec<_>>())
    }
}

/// The ids of tasks, for a message: at most the first 20.
pub(crate) fn named<'a>(tasks: impl IntoIterator<Item = &'a TaskId>) -> String {
    let mut tasks = tasks.into_iter();
    let mut names: Vec<&str> = tasks.by_ref().take(MAX_NAMED).map(TaskId::as_str).collect();
    if tasks.next().is_some() {
        names.push("…");
    }
    names.join(", ")
}
