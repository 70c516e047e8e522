//! What a task has found out, and the output of its command.

use serde::{Deserialize, Serialize};

use crate::codec::{self, FormatVersion};

/// What a task has found out, and what its command wrote (`findings/{task}`). Each is written without the
/// other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Of which attempt.
    pub attempt: u32,
    /// The findings, empty if there are none; cut in the middle if they were larger than
    /// [`crate::codec::MAX_FINDINGS`]. Before `output` was, a command's output was kept here.
    pub text: String,
    /// How long they were before they were cut, in bytes.
    pub bytes: u64,
    /// Where the whole of them is, if it is kept elsewhere: a path or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the command of the last attempt wrote that wrote anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputRecord>,
}

/// What the command of an attempt wrote to its standard output and standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Of which attempt.
    pub attempt: u32,
    /// The text; cut in the middle if it was larger than [`crate::codec::MAX_FINDINGS`].
    pub text: String,
    /// How long it was before it was cut, in bytes.
    pub bytes: u64,
}

impl OutputRecord {
    /// The output of an attempt, cut to the size that is kept.
    #[must_use]
    pub fn new(attempt: u32, text: &str) -> Self {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        Self { attempt, text: codec::shorten(text, codec::MAX_FINDINGS), bytes }
    }
}

impl FindingsRecord {
    /// The findings of an attempt, cut to the size that is kept.
    #[must_use]
    pub fn new(attempt: u32, text: &str) -> Self {
        let OutputRecord { attempt, text, bytes } = OutputRecord::new(attempt, text);
        Self { v: FormatVersion::default(), attempt, text, bytes, reference: None, output: None }
    }

    /// A command's output without findings.
    #[must_use]
    pub fn of_output(output: OutputRecord) -> Self {
        Self { output: Some(output.clone()), ..Self::new(output.attempt, "") }
    }

    /// What there is to read: the findings, or else the command's output.
    #[must_use]
    pub fn readable(&self) -> OutputRecord {
        match &self.output {
            Some(output) if self.text.is_empty() && self.reference.is_none() => output.clone(),
            _ => OutputRecord { attempt: self.attempt, text: self.text.clone(), bytes: self.bytes },
        }
    }
}
