//! What is said when something cannot be done: what happened, what it means, what to do. Three lines at most.

pub(crate) mod library;
pub(crate) mod worktree;

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use planlease_documents::{Document as _, ErrorView, Style, escape_json};

use crate::{exit::Exit, messages};

const ERROR: Style = Style::BoldRed;

/// Whether errors are printed as JSON, since the output is.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Whether errors are printed as JSON from now on.
pub(crate) fn print_as_json(wanted: bool) {
    AS_JSON.store(wanted, Ordering::Relaxed);
}

/// Whether errors are printed as JSON.
pub(crate) fn is_json() -> bool {
    AS_JSON.load(Ordering::Relaxed)
}

/// Why the program does not end with [`Exit::Done`], for a person.
#[derive(Debug)]
#[must_use]
pub(crate) struct Failure {
    exit: Exit,
    /// `None`: everything is said already.
    what: Option<String>,
    meaning: Option<String>,
    remedy: Option<String>,
}

impl Failure {
    /// What happened, as a sentence without a full stop.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: Some(what.into()), meaning: None, remedy: None }
    }

    /// What that means: what was changed, who is affected.
    pub(crate) fn meaning(self, meaning: impl Into<String>) -> Self {
        Self { meaning: Some(meaning.into()), ..self }
    }

    /// What to do.
    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// The same, with this before what happened.
    pub(crate) fn after(self, context: &str) -> Self {
        Self { what: self.what.map(|what| format!("{context}{what}")), ..self }
    }

    /// The same with the store that was looked into, if something was not found there: it may be the wrong
    /// one.
    pub(crate) fn in_store(self, store: impl FnOnce() -> Option<String>) -> Self {
        if self.exit != Exit::NoSuchPlan || self.meaning.is_some() {
            return self;
        }
        let meaning = store().map(|store| format!("The command looked in {store}."));
        Self { meaning, ..self }
    }

    /// The same for a command that changes nothing: a request that was not answered is then no more than
    /// that.
    pub(crate) fn of_reading(self) -> Self {
        if self.exit != Exit::OutcomeUnknown {
            return self;
        }
        let what =
            self.what.map(|what| what.replace(": the request may or may not have been carried out", ""));
        Self {
            exit: Exit::Unreachable,
            what,
            meaning: Some("Nothing was changed; this command only reads.".to_owned()),
            remedy: Some(
                "Try it again, with a longer --timeout; `planlease doctor` tests each endpoint.".to_owned(),
            ),
        }
    }

    /// A failure about which everything is said already.
    pub(crate) fn said(exit: Exit) -> Self {
        Self { exit, what: None, meaning: None, remedy: None }
    }

    /// The operating system refused something that has no status of its own.
    pub(crate) fn system(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Unexpected, format!("{what}: {error}"))
    }

    /// Standard output did not take what was printed.
    pub(crate) fn output_lost(why: &str) -> Self {
        Self::new(Exit::OutputLost, format!("standard output cannot be written: {why}"))
            .meaning("Only output is lost: what the command has changed stays changed.")
            .remedy("Make room, or print to another file; a closed standard output counts as /dev/null.")
    }

    /// The command line or the settings are wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// A value cannot be turned into JSON. Our own types all can.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        Self::new(Exit::Unexpected, format!("cannot write JSON: {error}"))
    }

    /// The status to end with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened, without what it means.
    pub(crate) fn what(&self) -> &str {
        self.what.as_deref().unwrap_or_default()
    }

    /// The lines, without colours.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        [&self.what, &self.meaning, &self.remedy].into_iter().filter_map(Option::as_deref)
    }

    /// Shows it on standard error. That nothing reads it is no reason to fail otherwise.
    pub(crate) fn report(&self) -> Exit {
        if is_json() {
            if let Some(line) = self.json_line() {
                messages::tell_last(&(line + "\n"));
            }
            return self.exit;
        }
        let lines = self.lines().enumerate().map(|(n, line)| match n {
            0 => format!("{ERROR}error:{ERROR:#} {line}\n"),
            _ => format!("  {line}\n"),
        });
        messages::tell_last(&lines.collect::<String>());
        self.exit
    }

    /// The error as an object in one line; `None` if everything is said.
    fn json_line(&self) -> Option<String> {
        let error = ErrorView::new(self.exit.name(), self.exit.code(), self.what.clone()?)
            .meaning(self.meaning.clone())
            .remedy(self.remedy.clone());
        let lines = error.lines().unwrap_or_default();
        lines.into_iter().next().map(|line| escape_json(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_without_an_answer_has_changed_nothing() {
        let unanswered = || {
            Failure::new(
                Exit::OutcomeUnknown,
                "etcd did not answer: the request may or may not have been carried out: late",
            )
        };
        let read = unanswered().of_reading();
        assert_eq!((read.exit(), read.what()), (Exit::Unreachable, "etcd did not answer: late"));
        assert!(read.lines().all(|line| !line.contains("carried out")), "{read:?}");
        let other = Failure::new(Exit::Blocked, "x").of_reading();
        assert_eq!(other.exit(), Exit::Blocked);
    }
}
