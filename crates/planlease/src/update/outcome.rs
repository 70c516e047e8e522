//! What became of an update.

use planlease_core::{record::HaltRecord, transition, view::TaskView};
use uuid::Uuid;

use crate::error::AuthorityLoss;

/// What became of an update. One of three; "probably" is not among them.
#[derive(Clone, Debug)]
#[must_use = "an update may have been refused"]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub enum Outcome {
    /// It was carried out, exactly once; this is the record now.
    Committed(TaskView),
    /// It was not carried out and never will be.
    Refused(Refused),
    /// etcd did not answer in time: it was carried out, or will be, or never. The record's `op_id` shows it
    /// later.
    Unknown {
        /// Identifies the write in the record and in the history.
        op_id: Uuid,
        /// What happened to the request.
        reason: String,
    },
}

/// Why an update was not carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// The record was changed since it was seen; this is it now.
    Conflict(Box<TaskView>),
    /// The transition table does not allow it; this is the record.
    NotAllowed(transition::Refusal, Box<TaskView>),
    /// The authority is lost. Also if the session was over before anything was sent: what other operations
    /// report as [`crate::Error::AuthorityLost`].
    AuthorityLost(AuthorityLoss),
    /// A task that it depends on was changed since it was seen, or is not done; or the plan was paused
    /// meanwhile.
    Dependency,
    /// The plan is paused, cancelled or archived: nothing is started.
    Halted(Box<HaltRecord>),
    /// As many of the plan's tasks are in progress as may be (`max_in_progress`).
    Full(u32),
    /// The plan has no such task, or is gone.
    NoSuchTask,
}
