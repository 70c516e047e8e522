//! The request to cancel an attempt, as it is stored, and what its task becomes when the attempt has ended.
//!
//! A request is a change of the task's record. Every later write of that task compares the record, so
//! that one transaction decides between the request and a completion: whichever is stored first counts. A
//! claimant that has not seen the request is refused by the compare, decides again on the record with the
//! request, and may not complete the attempt any more. The claim stands until the claimant has ended, so
//! that the next attempt never runs beside the cancelled one.

use serde::{Deserialize, Serialize};

use crate::{extra::Extra, status::TaskStatus, time::WallTime};

/// What becomes of a task when its attempt is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is skipped: tasks that depend on it may start.
    Skip,
    /// It failed, and waits for a person; it is not retried by itself.
    Fail,
    /// It is pending again. The attempt counts neither as failed nor as lost.
    Retry,
}

impl Then {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Fail, Self::Retry];

    /// The word for it, as stored and as given on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Fail => "fail",
            Self::Retry => "retry",
        }
    }

    /// The status of the task when the attempt has ended.
    #[must_use]
    pub const fn status(self) -> TaskStatus {
        match self {
            Self::Skip => TaskStatus::Skipped,
            Self::Fail => TaskStatus::Failed,
            Self::Retry => TaskStatus::Pending,
        }
    }
}

/// A request to end the present attempt of a task; in its record exactly while the task is in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Who asked for it.
    pub by: String,
    /// When, on the wall clock of the process that wrote it.
    pub at: WallTime,
    /// Why.
    pub why: String,
    /// What becomes of the task.
    pub then: Then,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CancelRequest {
    /// For histories and messages: who cancelled the attempt, and why.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("cancelled by {}: {}", self.by, self.why)
    }
}
