//! Results that came too late: refused, so that nothing changes by them, and kept, so that the work behind
//! them is not lost without a trace.
//!
//! Processes report them that have lost their authority, so their record gives no claim to anything: it is
//! shown to people, and decides nothing.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    codec::{self, FormatVersion},
    extra::Extra,
    record::{Guard, Role, TaskRecord},
    revision::TermNumber,
    time::WallTime,
    transition::{Change, Refusal, TaskStatus, Write},
};

/// How many late results of one task are kept, the last ones.
pub const LATE_KEPT: usize = 16;

/// How much is kept of what one says, in bytes.
const MAX_SAID: usize = 1024;

/// The late results of a task (`late/{task}`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// At most the last [`LATE_KEPT`], oldest first.
    pub results: Vec<LateResult>,
    /// Identifies the write: the proof that it happened when its answer got lost.
    pub op_id: Uuid,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A result that was refused because its attempt was over, or its authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateResult {
    /// When it was reported, on the reporter's wall clock.
    pub at: WallTime,
    /// The reporter.
    pub by: String,
    /// Under which term, if it was by an owner's right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<TermNumber>,
    /// Of which attempt; absent if it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What the task would have become: completed or failed.
    pub status: TaskStatus,
    /// Its notes or its error, cut to 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Why it was refused.
    pub refused: String,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What refused a result, with the record that it met.
#[derive(Clone, Copy, Debug)]
pub enum Refuser<'a> {
    /// The reporter's authority is lost.
    AuthorityLost,
    /// The transition table, given this record.
    Table(&'a Refusal, &'a TaskRecord),
}

impl LateResult {
    /// What is to be kept of a refused change. `None` if it is no result; if an operator reported it, who has
    /// the answer before them; if the task was never begun; or if the same right has said the same before,
    /// which is an answer asked for twice.
    #[must_use]
    pub fn of(change: &Change, write: &Write, refuser: Refuser<'_>) -> Option<Self> {
        let (status, said) = match change {
            Change::Complete(notes) => (TaskStatus::Completed, notes.as_deref()),
            Change::Fail(error) => (TaskStatus::Failed, Some(error.as_str())),
            _ => return None,
        };
        if write.writer.role == Role::Operator || write.writer.guard == Guard::Unowned {
            return None;
        }
        let refused = match refuser {
            Refuser::AuthorityLost => "the authority to report it was lost".to_owned(),
            Refuser::Table(_, record) if record.attempt == 0 => return None,
            Refuser::Table(Refusal::WrongStatus { .. }, record)
                if record.status == status && record.writer.guard == write.writer.guard =>
            {
                return None;
            }
            // It says so again.
            Refuser::Table(Refusal::ResultWaits { .. }, record)
                if record.writer.guard == write.writer.guard && status == TaskStatus::Completed =>
            {
                return None;
            }
            Refuser::Table(refusal, _) => refusal.to_string(),
        };
        Some(Self {
            at: write.at,
            by: write.writer.who.clone(),
            term: write.writer.term,
            attempt: write.attempt,
            status,
            said: said.map(|said| codec::shorten(said, MAX_SAID)),
            refused,
            extra: Extra::default(),
        })
    }

    /// Whether it says nothing that the other one did not: its reporter repeats itself.
    fn repeats(&self, other: &Self) -> bool {
        (&self.by, self.term, self.attempt, self.status, &self.said)
            == (&other.by, other.term, other.attempt, other.status, &other.said)
    }
}

impl LateRecord {
    /// The record with one more result. `None` if the last one says the same.
    #[must_use]
    pub fn with(before: Option<Self>, result: LateResult, op_id: Uuid) -> Option<Self> {
        let new =
            || Self { v: FormatVersion::default(), results: Vec::new(), op_id, extra: Extra::default() };
        let mut record = before.unwrap_or_else(new);
        if record.results.last().is_some_and(|last| result.repeats(last)) {
            return None;
        }
        record.results.push(result);
        let excess = record.results.len().saturating_sub(LATE_KEPT);
        record.results.drain(..excess);
        record.op_id = op_id;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LeaseId, Revision, record::Writer};

    fn write(role: Role, lease: i64, attempt: Option<u32>) -> Write {
        let guard = match role {
            Role::Operator => Guard::Unowned,
            Role::Owner | Role::Worker => Guard::Owner {
                lease: LeaseId::from_wire(lease).unwrap(),
                revision: Revision::from_wire(5).unwrap(),
            },
        };
        let writer = Writer { who: "alice".into(), role, term: Some(TermNumber(2)), guard };
        Write { writer, attempt, at: WallTime(7), op_id: Uuid::nil() }
    }

    fn record(status: TaskStatus, attempt: u32) -> TaskRecord {
        let mut record = TaskRecord::new(write(Role::Owner, 9, None).writer, Uuid::nil());
        (record.status, record.attempt) = (status, attempt);
        record
    }

    #[test]
    fn an_operators_result_is_never_kept() {
        for (role, guard) in
            [(Role::Operator, write(Role::Owner, 9, None).writer.guard), (Role::Worker, Guard::Unowned)]
        {
            let mut write = write(role, 9, Some(1));
            write.writer.guard = guard;
            assert!(
                LateResult::of(&Change::Complete(None), &write, Refuser::AuthorityLost).is_none(),
                "{write:?}"
            );
        }
    }

    #[test]
    fn only_results_of_ended_claims_or_attempts_are_kept() {
        use Change::{Complete, Fail, Progress};
        let stale = Refusal::StaleAttempt { given: 1, present: 2 };
        let wrong = Refusal::WrongStatus { verb: "complete", status: TaskStatus::Completed };
        let (begun, done) = (record(TaskStatus::InProgress, 2), record(TaskStatus::Completed, 1));
        let never = record(TaskStatus::Pending, 0);
        let of = |change: &Change, role, lease, refuser| {
            LateResult::of(change, &write(role, lease, Some(1)), refuser).map(|late| late.status)
        };
        let (completed, failed) = (Some(TaskStatus::Completed), Some(TaskStatus::Failed));
        assert_eq!(of(&Complete(None), Role::Owner, 1, Refuser::AuthorityLost), completed);
        assert_eq!(of(&Fail("x".into()), Role::Worker, 1, Refuser::AuthorityLost), failed);
        assert_eq!(of(&Complete(None), Role::Worker, 1, Refuser::Table(&stale, &begun)), completed);
        assert_eq!(of(&Complete(None), Role::Worker, 1, Refuser::Table(&wrong, &done)), completed);
        // The same authority, the same result: it was reported twice.
        assert_eq!(of(&Complete(None), Role::Owner, 9, Refuser::Table(&wrong, &done)), None);
        // The same right, another result: its deadline had been first.
        assert_eq!(of(&Fail("x".into()), Role::Owner, 9, Refuser::Table(&wrong, &done)), failed);
        assert_eq!(of(&Complete(None), Role::Owner, 1, Refuser::Table(&wrong, &never)), None);
        assert_eq!(of(&Complete(None), Role::Operator, 1, Refuser::Table(&wrong, &done)), None);
        assert_eq!(of(&Progress("x".into()), Role::Owner, 1, Refuser::AuthorityLost), None);
    }

    #[test]
    fn so_many_are_kept_and_none_twice() {
        let late = |attempt| {
            let change = Change::Complete(Some("n".repeat(9000)));
            LateResult::of(&change, &write(Role::Worker, 1, Some(attempt)), Refuser::AuthorityLost).unwrap()
        };
        let mut record = LateRecord::with(None, late(0), Uuid::nil()).unwrap();
        assert_eq!(LateRecord::with(Some(record.clone()), late(0), Uuid::nil()), None);
        for attempt in 1..40 {
            record = LateRecord::with(Some(record), late(attempt), Uuid::nil()).unwrap();
        }
        let kept: Vec<u32> = record.results.iter().filter_map(|late| late.attempt).collect();
        assert_eq!(kept, (24..40).collect::<Vec<u32>>());
        assert!(codec::encode(&record).is_ok());
    }
}
