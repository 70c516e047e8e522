//! Collects the problems of one file while it is read, in bounded number.

use crate::{
    problem::{Problem, Problems, Severity},
    text::Text,
};

/// The most problems of each severity that are listed; the rest is counted. More would not be read.
const MAX_LISTED: usize = 100;

/// Collects the problems of one file while it is read.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    text: &'a Text<'a>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    left_out: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(text: &'a Text<'a>) -> Self {
        Self { text, errors: Vec::new(), warnings: Vec::new(), left_out: 0 }
    }

    /// Notes what makes the file unusable. `at` is an offset into the text, in bytes.
    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), help.into());
    }

    /// Notes what its author should know. `at` is an offset into the text, in bytes.
    pub(crate) fn warning(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, at, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, at: usize, message: String, help: String) {
        let list = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() >= MAX_LISTED {
            self.left_out += 1;
            return;
        }
        list.push(self.text.problem(severity, at, message, Some(help)));
    }

    /// Whether errors are still listed. If not, one is noted without working out what to say.
    pub(crate) fn lists_errors(&mut self) -> bool {
        let room = self.errors.len() < MAX_LISTED;
        if !room {
            self.left_out += 1;
        }
        room
    }

    /// The warnings and how many more there are, if there was no error; else all problems.
    pub(crate) fn finish(mut self) -> Result<(Vec<Problem>, usize), Problems> {
        if !self.errors.is_empty() {
            return Err(self.into_problems());
        }
        self.warnings.sort_by_key(|problem| (problem.line, problem.column));
        Ok((self.warnings, self.left_out))
    }

    /// Everything noted so far.
    pub(crate) fn into_problems(self) -> Problems {
        let mut listed = self.errors;
        listed.extend(self.warnings);
        listed.sort_by_key(|problem| (problem.line, problem.column));
        Problems { listed, left_out: self.left_out }
    }
}
