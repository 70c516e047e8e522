//! Tests of the transition table about cancelled attempts.

use proptest::prelude::*;
use uuid::Uuid;

use super::{Change, Refusal, Write, apply, is_allowed};
use crate::{
    LeaseId, OrchestratorId, Revision, WallTime,
    cancel::Then,
    codec::{self, FormatVersion},
    record::{GivenUp, Guard, Role, TaskRecord, Writer},
    spec::OnLost,
    status::TaskStatus,
};

fn write(role: Role, n: i64) -> Write {
    let revision = Revision::from_wire(n).unwrap();
    let guard = match role {
        Role::Owner => Guard::Owner { lease: LeaseId::from_wire(n).unwrap(), revision },
        Role::Worker => {
            Guard::Worker { orchestrator: OrchestratorId::new(format!("w{n}")).unwrap(), revision }
        }
        // As seen by a person: the guard of the plan's owner.
        Role::Operator => {
            Guard::Owner { lease: LeaseId::from_wire(1).unwrap(), revision: Revision::from_wire(1).unwrap() }
        }
    };
    let writer = Writer { who: format!("{role:?}{n}"), role, term: None, guard };
    Write { writer, attempt: None, at: WallTime(n), op_id: Uuid::from_u128(n.unsigned_abs().into()) }
}

fn unowned() -> Write {
    let mut write = write(Role::Operator, 5);
    write.writer.guard = Guard::Unowned;
    write
}

fn pending() -> TaskRecord {
    TaskRecord::new(write(Role::Owner, 1).writer, Uuid::nil())
}

fn started(role: Role, n: i64) -> TaskRecord {
    apply(&pending(), &Change::Start, &write(role, n)).unwrap()
}

fn cancel(then: Then) -> Change {
    Change::Cancel(then, "wrong branch".into())
}

fn cancelled(then: Then) -> TaskRecord {
    apply(&started(Role::Owner, 1), &cancel(then), &write(Role::Operator, 4)).unwrap()
}

#[test]
fn a_cancelled_attempt_is_given_up_and_never_completed() {
    let claimant = write(Role::Owner, 1);
    for then in Then::ALL {
        let asked = cancelled(then);
        assert_eq!((asked.status, asked.claim.is_some()), (TaskStatus::InProgress, true));
        for refused in [Change::Complete(None), Change::Progress("half".into())] {
            let refusal = apply(&asked, &refused, &claimant).unwrap_err();
            assert_eq!(
                refusal,
                Refusal::Cancelled { by: "Operator4".into(), why: "wrong branch".into() },
                "{refused:?}"
            );
        }
        for given_up in [
            Change::Fail("exited with code 1".into()),
            Change::Skip("s".into()),
            Change::Return("r".into()),
            Change::Lose(OnLost::Ask, "l".into()),
            Change::Rest("l".into()),
            Change::GiveUp(GivenUp::Failed, "exit status 7".into()),
            Change::GiveUp(GivenUp::Asks, "exit status 8".into()),
        ] {
            let ended = apply(&asked, &given_up, &claimant).unwrap();
            assert_eq!(ended.status, then.status(), "{given_up:?}");
            assert_eq!((ended.failures, ended.lost, ended.attempt), (0, 0, 1), "{given_up:?}");
            assert!(ended.cancel.is_none() && ended.claim.is_none());
            let why = ended.transitions.last().unwrap().why.clone();
            assert_eq!(why.as_deref(), Some("cancelled by Operator4: wrong branch"));
            assert_eq!(ended.parked.is_some(), then == Then::Fail, "it waits for a person");
            assert_eq!(is_allowed(&asked, &ended), Ok(()));
        }
    }
}

#[test]
fn a_completion_that_was_first_is_not_cancelled() {
    let done = apply(&started(Role::Owner, 1), &Change::Complete(None), &write(Role::Owner, 1)).unwrap();
    for then in Then::ALL {
        let refusal = apply(&done, &cancel(then), &write(Role::Operator, 4)).unwrap_err();
        assert!(matches!(refusal, Refusal::WrongStatus { .. }), "{refusal}");
    }
}

#[test]
fn the_audit_finds_a_cancelled_attempt_that_was_completed() {
    let (asked, by_owner) = (cancelled(Then::Skip), write(Role::Owner, 1));
    let done = apply(&started(Role::Owner, 1), &Change::Complete(None), &by_owner).unwrap();
    assert!(is_allowed(&asked, &done).is_err());
    let forgotten = apply(&started(Role::Owner, 1), &Change::Progress("half".into()), &by_owner).unwrap();
    assert!(is_allowed(&asked, &forgotten).is_err());
}

#[test]
fn without_a_live_process_a_task_is_cancelled_at_once() {
    let operator = write(Role::Operator, 4);
    let status =
        |record: &TaskRecord, then, by: &Write| apply(record, &cancel(then), by).map(|next| next.status);
    assert_eq!(status(&pending(), Then::Skip, &operator), Ok(TaskStatus::Skipped));
    assert_eq!(status(&pending(), Then::Fail, &operator), Ok(TaskStatus::Failed));
    assert!(status(&pending(), Then::Retry, &operator).is_err(), "there is nothing to end");
    assert!(status(&pending(), Then::Skip, &write(Role::Worker, 3)).is_err());
    // Claimed by a person, and by an owner that is gone.
    assert_eq!(status(&started(Role::Operator, 4), Then::Retry, &operator), Ok(TaskStatus::Pending));
    assert_eq!(status(&started(Role::Owner, 1), Then::Retry, &unowned()), Ok(TaskStatus::Pending));
    // By a worker that may live, and by the present owner.
    for record in [started(Role::Worker, 3), started(Role::Owner, 1)] {
        assert_eq!(status(&record, Then::Retry, &operator), Ok(TaskStatus::InProgress));
    }
    let failed = apply(&started(Role::Owner, 1), &Change::Fail("f".into()), &write(Role::Owner, 1)).unwrap();
    let stays = apply(&failed, &cancel(Then::Fail), &operator).unwrap();
    assert!(stays.status == TaskStatus::Failed && stays.parked.is_some(), "it is not retried by itself");
    assert_eq!(is_allowed(&failed, &stays), Ok(()));
    let again = apply(&failed, &cancel(Then::Retry), &operator).unwrap();
    assert_eq!((again.status, again.failures), (TaskStatus::Pending, 0));
}

#[test]
fn only_a_record_with_a_request_has_the_newer_format() {
    let plain = codec::encode(&started(Role::Owner, 1)).unwrap();
    assert!(!String::from_utf8(plain).unwrap().contains("cancel"));
    let asked = cancelled(Then::Retry);
    assert_eq!(asked.v, FormatVersion::CANCELLING);
    let read: TaskRecord = codec::decode(&codec::encode(&asked).unwrap()).unwrap();
    assert_eq!(read, asked);
    let ended = apply(&asked, &Change::Return("r".into()), &write(Role::Owner, 1)).unwrap();
    assert_eq!(ended.v, FormatVersion::default());
}

proptest! {
    /// Whatever is written in whatever order: after a request, the attempt is not completed.
    #[test]
    fn no_path_leads_from_a_request_to_a_completion(
        steps in proptest::collection::vec((0usize..17, 0usize..5), 1..60)
    ) {
        let changes = [
            Change::Start, Change::Progress("p".into()), Change::Complete(None), Change::Fail("f".into()),
            Change::Skip("s".into()), Change::Retry("r".into()), Change::Return("b".into()),
            Change::Lose(OnLost::Retry, "l".into()), Change::Rest("l".into()), Change::Park("p".into()),
            Change::Measure, cancel(Then::Skip), cancel(Then::Fail), cancel(Then::Retry),
            Change::GiveUp(GivenUp::Failed, "g".into()), Change::GiveUp(GivenUp::Skipped, "g".into()),
            Change::GiveUp(GivenUp::Asks, "g".into()),
        ];
        let writes =
            [write(Role::Owner, 1), write(Role::Owner, 2), write(Role::Worker, 3), write(Role::Operator, 4), unowned()];
        let (mut record, mut asked) = (pending(), None);
        for (change, by) in steps {
            let Ok(next) = apply(&record, &changes[change], &writes[by]) else { continue };
            prop_assert_eq!(is_allowed(&record, &next), Ok(()));
            prop_assert!(next.cancel.is_none() || next.status == TaskStatus::InProgress);
            if next.cancel.is_some() {
                asked = Some(next.attempt);
            }
            prop_assert!(next.status != TaskStatus::Completed || asked != Some(next.attempt));
            record = next;
        }
    }
}
