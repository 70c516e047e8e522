//! What is said when something cannot be done: what happened, what it means, what to do. Three lines at most.

pub(crate) mod library;
pub(crate) mod worktree;

use std::io;

use planlease_documents::Style;

use crate::{exit::Exit, messages};

const ERROR: Style = Style::BoldRed;

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

    /// The same with the store that was looked into, if something was not found there: it may be the wrong
    /// one.
    pub(crate) fn in_store(self, store: impl FnOnce() -> Option<String>) -> Self {
        if self.exit != Exit::NoSuchPlan || self.meaning.is_some() {
            return self;
        }
        let meaning = store().map(|store| format!("The command looked in {store}."));
        Self { meaning, ..self }
    }

    /// A failure about which everything is said already.
    pub(crate) fn said(exit: Exit) -> Self {
        Self { exit, what: None, meaning: None, remedy: None }
    }

    /// The operating system refused something that has no status of its own.
    pub(crate) fn system(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Unexpected, format!("{what}: {error}"))
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
    #[cfg(test)]
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
        let lines = self.lines().enumerate().map(|(n, line)| match n {
            0 => format!("{ERROR}error:{ERROR:#} {line}\n"),
            _ => format!("  {line}\n"),
        });
        messages::tell_last(&lines.collect::<String>());
        self.exit
    }
}
