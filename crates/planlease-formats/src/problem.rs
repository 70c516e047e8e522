//! What is said about a plan file: problems with their places, all at once, in bounded number.

use std::fmt;

use crate::text::Text;

/// The most problems of each severity that are listed; the rest is counted. More would not be read.
const MAX_LISTED: usize = 100;

/// Whether a plan file can be used in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but it may not mean what its author thinks it means.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong with a plan file, and where.
///
/// Shown as `file:line:column: severity: message`, which editors and terminals turn into a link; the
/// alternate form (`{:#}`) adds the help on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used in spite of it.
    pub severity: Severity,
    /// The path as given to the parser.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What it means, what to do.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, line, column, message, help } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        match help {
            Some(help) if f.alternate() => write!(f, "\n  help: {help}"),
            _ => Ok(()),
        }
    }
}

/// All problems of a file that cannot be used: errors, and the warnings found on the way.
///
/// Shown one per line, without the helps unless in the alternate form (`{:#}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// In the order of the file; at least one error, at most 100 of each severity.
    pub listed: Vec<Problem>,
    /// How many more there are.
    pub left_out: usize,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.listed.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more problems"),
        }
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { listed: vec![problem], left_out: 0 }
    }
}

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
