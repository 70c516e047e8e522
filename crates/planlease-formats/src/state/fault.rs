//! What is wrong with a state file, and what that leads to: a refusal, or, if the caller wants what can be
//! had, a loss that is reported.

use crate::{
    problem::{Problem, Problems, Severity},
    report::Report,
    text::Text,
};

/// How strictly a state file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A file with a mistake is refused.
    #[default]
    Strict,
    /// What can be had of it is taken, and what is left out is reported.
    Lenient,
}

/// Collects what is wrong with one file.
#[derive(Debug)]
pub(crate) struct Faults<'a> {
    text: &'a Text<'a>,
    report: Report<'a>,
    mode: Mode,
    /// Whether what the caller may give up is offered.
    offers_loss: bool,
    refused: bool,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(text: &'a Text<'a>, mode: Mode) -> Self {
        Self { text, report: Report::new(text), mode, offers_loss: true, refused: false }
    }

    /// Of a plan file, which is read whole or not at all.
    pub(crate) fn of_plan_file(text: &'a Text<'a>) -> Self {
        Self { offers_loss: false, ..Self::new(text, Mode::Strict) }
    }

    /// Nothing can be made of the file, however lenient.
    pub(crate) fn fatal(&mut self, at: usize, message: impl Into<String>, help: &str) {
        self.refused = true;
        self.report.error(at, message, help);
    }

    /// The file is refused, or, if the caller is lenient, something of it is given up: `loss` says what.
    pub(crate) fn salvageable(&mut self, at: usize, message: impl Into<String>, help: &str, loss: &str) {
        match self.mode {
            Mode::Strict if !self.offers_loss => self.fatal(at, message, help),
            Mode::Strict => self.fatal(at, message, &format!("{help} With --lenient, {loss}.")),
            Mode::Lenient => self.report.warning(at, format!("{}: {loss}", message.into()), help),
        }
    }

    /// What its owner should know; nothing is given up.
    pub(crate) fn note(&mut self, at: usize, message: impl Into<String>, help: &str) {
        self.report.warning(at, message, help);
    }

    /// Whether what is wrong is left out rather than refused.
    pub(crate) fn is_lenient(&self) -> bool {
        self.mode == Mode::Lenient
    }

    /// Line and column, from 1.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        self.text.position(at)
    }

    /// The warnings if the file is not refused, else all that is wrong.
    pub(crate) fn finish(self) -> Result<Vec<Problem>, Problems> {
        let refused = self.refused;
        let problems = self.report.into_problems();
        if refused {
            return Err(problems);
        }
        debug_assert!(problems.listed.iter().all(|problem| problem.severity == Severity::Warning));
        Ok(problems.listed)
    }
}
