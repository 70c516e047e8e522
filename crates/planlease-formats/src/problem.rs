//! What is said about a plan file: problems with their places, all at once, in bounded number.

use std::fmt;

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
