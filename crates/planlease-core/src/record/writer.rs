//! Who writes a record, and by what authority.

use serde::{Deserialize, Serialize};

use crate::{
    id::{LeaseId, OrchestratorId},
    revision::{Revision, TermNumber},
};

/// What a transaction compares besides the record itself: the right by which it writes.
///
/// Compared in the same transaction as the write, so that a process that lost its authority can believe what
/// it likes and still writes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The owner's key (`owner/{lease}`) still has this create revision.
    Owner {
        /// The owner's session.
        lease: LeaseId,
        /// Create revision of its key.
        revision: Revision,
    },
    /// The worker's registration still has this create revision.
    Worker {
        /// The worker.
        orchestrator: OrchestratorId,
        /// Create revision of its registration.
        revision: Revision,
    },
    /// The plan has no owner and an empty queue.
    Unowned,
    /// The record was made together with its plan; only imports write so. Behind a claim: what it names was
    /// never here, so that the task is an orphan from the beginning.
    Import,
}

/// Who wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The orchestrator's, worker's or person's name.
    pub who: String,
    /// In what part.
    pub role: Role,
    /// Under which ownership, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<TermNumber>,
    /// By what right.
    pub guard: Guard,
}

/// The role of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The plan's owner, or a process that it delegated to.
    Owner,
    /// A worker that claims tasks of plans which it does not own.
    Worker,
    /// A person, by the command line.
    Operator,
}
