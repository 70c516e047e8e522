//! What is stored: one type per kind of key. All are JSON; see [`crate::codec`] for the bytes.
//!
//! A reader keeps what it does not know ([`Extra`]) and writes it back, so that an older process does not
//! drop the fields of a newer one. What is written once, or written whole by each writer ([`Writer`],
//! [`TermEnd`], [`ImportRecord`]), needs no such place. A change that an older reader must not ignore raises
//! the format version.

mod approval;
mod budget;
mod findings;
mod halt;
mod worktree;
mod writer;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    findings::{FindingsRecord, OutputRecord},
    halt::{Halt, HaltRecord},
    worktree::{WorktreeRecord, WorktreeState},
    writer::{Guard, Role, Writer},
};
use crate::{
    approval::Approval,
    budget::Budget,
    cancel::CancelRequest,
    codec::{self, FormatVersion},
    extra::Extra,
    id::{LeaseId, OrchestratorId},
    offer::{Load, Offer},
    pool::Permits,
    revision::{FencingToken, Generation, Revision, TermNumber},
    status::TaskStatus,
    time::WallTime,
    trace::{self, TraceContext},
};

/// How many of a task's last transitions its record remembers. The full history is etcd's own, until
/// compaction.
pub const TRANSITIONS_KEPT: usize = 16;

/// The state of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Where the task stands.
    pub status: TaskStatus,
    /// How often it was started, lost attempts included; 0 before the first start.
    #[serde(default)]
    pub attempt: u32,
    /// How many attempts ended in failure since the last retry by a person.
    #[serde(default)]
    pub failures: u32,
    /// How many attempts were lost with their claimant since the last retry by a person.
    #[serde(default)]
    pub lost: u32,
    /// Who works on it; there exactly while the task is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The request to end the present attempt, if there is one: it cannot be completed any more. A record
    /// with it has a format of its own, [`FormatVersion::CANCELLING`]; see [`TaskRecord::set_cancel`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Box<CancelRequest>>,
    /// The approval that the task needs, if its plan asks for one. A record with it has a format of its own,
    /// [`FormatVersion::APPROVAL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<Approval>>,
    /// What it has used up of its budget, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<Budget>>,
    /// What the present attempt last said about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// What was said at its completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Why it failed, last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// Whether its last attempt was lost, and its policy says that it must not run twice: only an operator
    /// can reset it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost_for_good: bool,
    /// Set if the task waits for a person's decision, with what to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// What the attempt before the present one said last of its progress, if it said anything: what was lost
    /// or failed is not all in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_progress: Option<String>,
    /// Set if it was given up by its policy, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
    /// When the first attempt started, since a person last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_started_at: Option<WallTime>,
    /// How much of its total time (`total_deadline_s`) is used up, in milliseconds: measured by its plan's
    /// owners, each by its own monotonic clock, and stored with what they write. Absent where nothing was
    /// measured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spent_ms: u64,
    /// When the present attempt, or the last one, started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<WallTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WallTime>,
    /// Who wrote this record, and by what right.
    pub writer: Writer,
    /// Identifies the write: the proof that it happened when its answer got lost.
    pub op_id: Uuid,
    /// The last changes of status, oldest first; at most [`TRANSITIONS_KEPT`].
    #[serde(default, deserialize_with = "codec::shrunk", skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<TransitionRecord>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl TaskRecord {
    /// A new task, as an import writes it.
    #[must_use]
    pub fn new(writer: Writer, op_id: Uuid) -> Self {
        Self {
            v: FormatVersion::default(),
            status: TaskStatus::Pending,
            attempt: 0,
            failures: 0,
            lost: 0,
            claim: None,
            cancel: None,
            approval: None,
            budget: None,
            progress: None,
            notes: None,
            error: None,
            skip_reason: None,
            lost_for_good: false,
            parked: None,
            last_progress: None,
            given_up: None,
            first_started_at: None,
            spent_ms: 0,
            started_at: None,
            ended_at: None,
            writer,
            op_id,
            transitions: Vec::new(),
            extra: Extra::default(),
        }
    }
}

impl TaskRecord {
    /// How much of its total time is used up, as far as that is stored.
    #[must_use]
    pub fn spent(&self) -> Duration {
        Duration::from_millis(self.spent_ms)
    }

    /// Sets or removes the request to end the present attempt, with the format that belongs to it.
    pub fn set_cancel(&mut self, request: Option<CancelRequest>) {
        if request.is_some() || self.cancel.is_some() {
            self.cancel = request.map(Box::new);
            self.v = self.format();
        }
    }

    /// The format of what it says: the first that a version has to know in order to act on it.
    pub(crate) fn format(&self) -> FormatVersion {
        match (&self.approval, &self.cancel) {
            (Some(_), _) => FormatVersion::APPROVAL,
            (None, Some(_)) => FormatVersion::CANCELLING,
            (None, None) => FormatVersion::default(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a task was given up by its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenUp {
    /// It failed for good.
    Failed,
    /// It failed, and a person decides whether for good.
    Asks,
    /// It was left out, since one that it waited for had failed for good.
    Skipped,
}

/// One change of a task's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionRecord {
    /// When, on the writer's wall clock.
    pub at: WallTime,
    /// From which status.
    pub from: TaskStatus,
    /// To which.
    pub to: TaskStatus,
    /// Of which attempt.
    pub attempt: u32,
    /// By whom.
    pub by: String,
    /// Under which ownership, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<TermNumber>,
    /// Why, if there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Who works on a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The orchestrator, worker or person.
    pub by: String,
    /// What must exist for the claim to stand. `None` for a claim by an operator: it stands until it is
    /// ended, or until its `limit` has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// How long a claim without a guard stands. `None` for one of an older version: until an operator ends
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<ClaimLimit>,
    /// The permits of pools that it has, if the task uses any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<Box<Permits>>,
    /// Under which ownership it was made, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<TermNumber>,
    /// Since when.
    pub since: WallTime,
    /// The span of the attempt, if its claimant traces: shown, and never decided by.
    #[serde(default, deserialize_with = "trace::lenient", skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<TraceContext>>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Claim {
    /// A claim since now.
    #[must_use]
    pub fn new(by: String, guard: Option<Guard>, term: Option<TermNumber>, since: WallTime) -> Self {
        Self { by, guard, limit: None, permits: None, term, since, trace: None, extra: Extra::default() }
    }
}

/// The time limit of a claim: a lease that nothing renews by itself, so that etcd measures the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimLimit {
    /// The claim stands as long as this lease exists.
    pub lease: LeaseId,
    /// How long that was to be, in seconds, from the claim or its last progress report.
    pub seconds: u64,
}

/// The value of a key in the queue for a plan (`owner/{lease}`). Only planlease's candidates write it; an
/// unmanaged candidate (`etcdctl elect`) has whatever value it likes and is seen as one without a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Who.
    pub orchestrator: OrchestratorId,
    /// On which host.
    pub host: String,
    /// As which process, for people.
    pub pid: u32,
    /// Waiting since.
    pub since: WallTime,
    /// How many can have the lock at a time, if more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permits: Option<u32>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CandidateRecord {
    /// A candidate of this version.
    #[must_use]
    pub fn new(orchestrator: OrchestratorId, host: impl Into<String>, pid: u32, since: WallTime) -> Self {
        let host = host.into();
        Self {
            v: FormatVersion::default(),
            orchestrator,
            host,
            pid,
            since,
            permits: None,
            extra: Extra::default(),
        }
    }
}

/// The present ownership of a plan, or the last one (`term`), and one of its past ones (`terms/{n}`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Which ownership of the plan.
    pub number: TermNumber,
    /// The store's life in which it began.
    pub generation: Generation,
    /// Who owns.
    pub owner: CandidateRecord,
    /// The owner's session.
    pub lease: LeaseId,
    /// Create revision of the owner's key; `None` if the key was made by the same transaction as this record,
    /// and so has this record's revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Revision>,
    /// Since when.
    pub since: WallTime,
    /// How it ended; `None` while no process has recorded it. The owner may be gone all the same: its key
    /// shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TermEnd>,
    /// The span in which it was acquired, if its owner traces: the next term's span links to it.
    #[serde(default, deserialize_with = "trace::lenient", skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<TraceContext>>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl TermRecord {
    /// The token that resources outside etcd are shown during this term.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        FencingToken { generation: self.generation, term: self.number }
    }
}

/// How a term came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermEnd {
    /// When, on the wall clock of who wrote it.
    pub at: WallTime,
    /// How.
    #[serde(flatten)]
    pub how: Ending,
}

/// How an ownership ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// The owner let go.
    Clean,
    /// The owner let go in favour of the named one, which was waiting.
    HandedOver {
        /// The successor.
        to: OrchestratorId,
    },
    /// The owner's session ended without a release; said by the successor.
    Unclean,
    /// An operator ended it.
    Forced {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// Who a process is: lives as long as its session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// On which host.
    pub host: String,
    /// As which process, for people: nothing is decided by it.
    pub pid: u32,
    /// The boot of the host, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Of which planlease.
    pub version: String,
    /// What its user says about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where it can be reached, if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it runs, if it is an orchestrator that runs commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// How loaded it is; some seconds old at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Its session.
    pub lease: LeaseId,
    /// Since when.
    pub started_at: WallTime,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Which store this is (`store`): written by the first process, and again after elections and by operators
/// who adopt it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// The store's life.
    pub generation: Generation,
    /// The etcd cluster that the store belongs to, in hex. A difference means: restored or copied.
    pub cluster_id: String,
    /// Since when.
    pub created_at: WallTime,
    /// The cluster's raft term when this was written; see [`crate::life`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft_term: Option<u64>,
    /// How many entries the cluster's log had, just before this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft_index: Option<u64>,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Marks a plan whose import is under way; lives on the importer's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Who imports.
    pub by: String,
    /// Since when.
    pub since: WallTime,
}
