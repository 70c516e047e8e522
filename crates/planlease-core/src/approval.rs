//! The approval of a task by a person: what a plan asks for, as it is stored, and what a task waits for.
//!
//! The record says what is asked for, and not only the definition: a change is decided on the record, and its
//! transaction compares it. So one transaction decides between an approval and whatever happens to the task
//! at the same moment, an edit of the plan included, which writes the record. A record with an approval has
//! a format of its own, [`FormatVersion::APPROVAL`](crate::codec::FormatVersion::APPROVAL): an older version
//! cannot read it, and so neither starts nor completes the task.

use serde::{Deserialize, Serialize};

use crate::{extra::Extra, time::WallTime};

/// What a person has to approve of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalOf {
    /// Each attempt, before it starts.
    Before,
    /// The result of each attempt: the task is completed when it is approved.
    After,
}

impl ApprovalOf {
    /// The word for it, as stored and as plan files have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl std::fmt::Display for ApprovalOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The approval that a task needs, and how far it is; in the record of each task whose plan asks for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What has to be approved. `None` if the plan was edited and does not ask for it any more, while a
    /// result waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<ApprovalOf>,
    /// The result of the present attempt, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<WaitingResult>,
    /// The last approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Approved>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A result that waits for approval. What was said of it is in the record's notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingResult {
    /// Who completed the attempt.
    pub by: String,
    /// When, on the wall clock of the process that wrote it.
    pub at: WallTime,
}

/// An approval: of one attempt, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Of which attempt.
    pub attempt: u32,
    /// Who approved it.
    pub by: String,
    /// When, on the wall clock of the process that wrote it.
    pub at: WallTime,
    /// Why.
    pub why: String,
}

/// What of a task waits for an approval, and of which attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The start of this attempt.
    Start(u32),
    /// The result of this attempt.
    Result(u32),
}

impl Awaits {
    /// The attempt.
    #[must_use]
    pub const fn attempt(self) -> u32 {
        match self {
            Self::Start(attempt) | Self::Result(attempt) => attempt,
        }
    }
}
