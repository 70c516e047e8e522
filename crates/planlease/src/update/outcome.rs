//! What became of an update.

use planlease_core::{
    TaskId, pool::PoolWait, record::HaltRecord, steering::CordonRecord, transition, view::TaskView,
};
use uuid::Uuid;

use crate::{counts::Fate, error::AuthorityLoss};

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

impl Outcome {
    /// As which it is counted.
    pub(crate) fn fate(&self) -> Fate {
        match self {
            Self::Committed(_) => Fate::Committed,
            Self::Refused(_) => Fate::Refused,
            Self::Unknown { .. } => Fate::Unknown,
        }
    }
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
    /// The fleet is paused: nothing is started in this namespace.
    FleetPaused(Box<HaltRecord>),
    /// The worker is cordoned: it claims no new task.
    Cordoned(Box<CordonRecord>),
    /// As many of the plan's tasks are in progress as may be (`max_in_progress`).
    Full(u32),
    /// The task uses a pool that has too few permits left, or is not defined.
    Pool(Box<PoolWait>),
    /// The plan has no such task, or is gone.
    NoSuchTask,
}

/// What became of an all-or-nothing batch.
#[derive(Clone, Debug)]
#[must_use = "a batch may have been refused"]
pub enum BatchOutcome {
    /// All of it was carried out, exactly once, at one revision. The records that it wrote, in the order of
    /// the requests; one that was written over since is the present record.
    Committed(Vec<TaskView>),
    /// Nothing of it was carried out, and never will be: these tasks are in the way, at least one.
    Refused(Vec<(TaskId, Refused)>),
    /// etcd did not answer in time: all of it was carried out, or will be, or nothing of it. The `op_id` of
    /// any of its records shows it later.
    Unknown {
        /// Identifies the write of the first task.
        op_id: Uuid,
        /// What happened to the request.
        reason: String,
    },
}
