//! The table of transitions, and what it makes of records.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    LeaseId, OrchestratorId, Revision, TermNumber, WallTime,
    record::{Claim, ClaimLimit, Guard, TRANSITIONS_KEPT, Writer},
};

fn writer(role: Role, n: i64) -> Writer {
    let revision = Revision::from_wire(n).unwrap();
    let guard = match role {
        Role::Owner => Guard::Owner { lease: LeaseId::from_wire(n).unwrap(), revision },
        Role::Worker => {
            Guard::Worker { orchestrator: OrchestratorId::new(format!("w{n}")).unwrap(), revision }
        }
        Role::Operator => Guard::Unowned,
    };
    Writer { who: format!("{role:?}{n}"), role, term: Some(TermNumber(n.unsigned_abs())), guard }
}

fn write(role: Role, n: i64) -> Write {
    Write {
        writer: writer(role, n),
        attempt: None,
        at: WallTime(n),
        op_id: Uuid::from_u128(n.unsigned_abs().into()),
    }
}

fn fresh() -> TaskRecord {
    TaskRecord::new(writer(Role::Owner, 1), Uuid::nil())
}

fn changes() -> Vec<Change> {
    vec![
        Change::Start,
        Change::Progress("p".into()),
        Change::Complete(None),
        Change::Fail("f".into()),
        Change::Skip("s".into()),
        Change::Retry("r".into()),
        Change::Return("b".into()),
        Change::Lose(OnLost::Retry, "l".into()),
        Change::Lose(OnLost::Fail, "l".into()),
        Change::Lose(OnLost::Ask, "l".into()),
        Change::Park("p".into()),
        Change::Measure,
        Change::Rest("l".into()),
    ]
}

/// A record in the given status whose claim, if any, is that of owner 1.
fn in_status(status: TaskStatus) -> TaskRecord {
    let by_owner = write(Role::Owner, 1);
    let started = apply(&fresh(), &Change::Start, &by_owner).unwrap();
    let change = match status {
        TaskStatus::Pending => return fresh(),
        TaskStatus::InProgress => return started,
        TaskStatus::Completed => Change::Complete(None),
        TaskStatus::Failed => Change::Fail("f".into()),
        TaskStatus::Skipped => Change::Skip("s".into()),
    };
    apply(&started, &change, &by_owner).unwrap()
}

/// An older process goes on with what a newer one has begun.
#[test]
fn what_a_newer_version_said_stays_through_a_change() {
    let by_owner = write(Role::Owner, 1);
    let mut newer = serde_json::to_value(in_status(TaskStatus::InProgress)).unwrap();
    for place in ["", "/claim", "/transitions/0"] {
        newer.pointer_mut(place).unwrap()["shade"] = "blue".into();
    }
    let newer: TaskRecord = serde_json::from_value(newer).unwrap();
    let older = apply(&newer, &Change::Progress("half".into()), &by_owner).unwrap();
    let kept = serde_json::to_value(&older).unwrap();
    for place in ["/shade", "/claim/shade", "/transitions/0/shade"] {
        assert_eq!(kept.pointer(place), Some(&"blue".into()), "{place}: {kept}");
    }
}

#[test]
fn the_whole_table() {
    let mut table = String::new();
    for (name, write) in [
        ("claimant", write(Role::Owner, 1)),
        ("later owner", write(Role::Owner, 2)),
        ("worker", write(Role::Worker, 3)),
        ("operator", write(Role::Operator, 4)),
    ] {
        for status in TaskStatus::ALL {
            let allowed: Vec<String> = changes()
                .iter()
                .filter_map(|change| {
                    let next = apply(&in_status(status), change, &write).ok()?;
                    Some(format!("{} → {}", change.verb(), next.status))
                })
                .collect();
            table += &format!("{name}, {status}: {}\n", allowed.join(", "));
        }
    }
    insta::assert_snapshot!(table, @r"
    claimant, pending: start → in_progress, skip → skipped, park → failed
    claimant, in_progress: report progress of → in_progress, complete → completed, fail → failed, skip → skipped, return → pending, recover → pending, recover → failed, recover → failed, measure → in_progress, recover → failed
    claimant, completed: 
    claimant, failed: skip → skipped, retry → pending, park → failed
    claimant, skipped: retry → pending
    later owner, pending: start → in_progress, skip → skipped, park → failed
    later owner, in_progress: fail → failed, skip → skipped, recover → pending, recover → failed, recover → failed, recover → failed
    later owner, completed: 
    later owner, failed: skip → skipped, retry → pending, park → failed
    later owner, skipped: retry → pending
    worker, pending: start → in_progress
    worker, in_progress: 
    worker, completed: 
    worker, failed: 
    worker, skipped: 
    operator, pending: start → in_progress, skip → skipped
    operator, in_progress: report progress of → in_progress, complete → completed, fail → failed, skip → skipped, retry → pending, return → pending, recover → pending, recover → failed, recover → failed
    operator, completed: retry → pending
    operator, failed: skip → skipped, retry → pending
    operator, skipped: retry → pending
    ");
}

#[test]
fn an_expired_claim_can_be_lost_by_any_role() {
    let by_operator =
        apply(&in_status(TaskStatus::Pending), &Change::Start, &write(Role::Operator, 4)).unwrap();
    let limit = ClaimLimit { lease: LeaseId::from_wire(9).unwrap(), seconds: 60 };
    let mut limited = by_operator.clone();
    limited.claim.as_mut().unwrap().limit = Some(limit);
    let lose = |on_lost| Change::Lose(on_lost, "over".into());
    for (role, n) in [(Role::Owner, 1), (Role::Worker, 3), (Role::Operator, 5)] {
        let write = write(role, n);
        let status = |on_lost| apply(&limited, &lose(on_lost), &write).unwrap().status;
        assert_eq!(
            [OnLost::Retry, OnLost::Fail, OnLost::Ask].map(status),
            [TaskStatus::Pending, TaskStatus::Failed, TaskStatus::Failed]
        );
        assert_eq!(
            apply(&by_operator, &lose(OnLost::Retry), &write).is_ok(),
            role == Role::Owner,
            "{role:?}"
        );
        assert_eq!(is_allowed(&limited, &apply(&limited, &lose(OnLost::Retry), &write).unwrap()), Ok(()));
    }
}

#[test]
fn a_late_result_of_an_attempt_that_is_over_is_refused() {
    let mut late = write(Role::Owner, 1);
    late.attempt = Some(1);
    let first = in_status(TaskStatus::InProgress);
    let returned = apply(&first, &Change::Return("x".into()), &late).unwrap();
    let second = apply(&returned, &Change::Start, &write(Role::Owner, 1)).unwrap();
    assert_eq!(
        apply(&second, &Change::Complete(None), &late),
        Err(Refusal::StaleAttempt { given: 1, present: 2 })
    );
}

/// A task that was in progress elsewhere when its plan was imported.
#[test]
fn an_unclaimed_task_is_ended_by_owner_or_operator() {
    let mut imported = in_status(TaskStatus::InProgress);
    imported.claim = Some(Claim { guard: Some(Guard::Import), ..imported.claim.unwrap() });
    for (role, may) in [(Role::Owner, true), (Role::Operator, true), (Role::Worker, false)] {
        let done = apply(&imported, &Change::Complete(None), &write(role, 9));
        assert_eq!(done.is_ok(), may, "{role:?}: {done:?}");
    }
    let recovered = apply(&imported, &Change::Lose(OnLost::Retry, "gone".into()), &write(Role::Owner, 9));
    assert_eq!(recovered.map(|record| record.status), Ok(TaskStatus::Pending));
}

#[test]
fn a_lost_attempt_is_not_a_failed_one() {
    let lost = apply(
        &in_status(TaskStatus::InProgress),
        &Change::Lose(OnLost::Retry, "host gone".into()),
        &write(Role::Owner, 2),
    )
    .unwrap();
    assert_eq!((lost.status, lost.lost, lost.failures, lost.attempt), (TaskStatus::Pending, 1, 0, 1));
    let asked = apply(
        &in_status(TaskStatus::InProgress),
        &Change::Lose(OnLost::Ask, "host gone".into()),
        &write(Role::Owner, 2),
    )
    .unwrap();
    assert!(asked.parked.is_some() && asked.failures == 0);
    let rests = Change::Rest("host gone".into());
    let rests = apply(&in_status(TaskStatus::InProgress), &rests, &write(Role::Owner, 2)).unwrap();
    assert_eq!((rests.status, rests.lost, rests.failures), (TaskStatus::Failed, 1, 0));
    assert!(rests.parked.is_none() && !rests.lost_for_good && rests.claim.is_none());
    let again = Change::Retry("looked".into());
    let by_person = apply(&rests, &again, &write(Role::Operator, 4)).unwrap();
    assert_eq!(by_person.lost, 0, "a person has looked");
    assert_eq!(apply(&rests, &again, &write(Role::Owner, 2)).unwrap().lost, 1);
}

#[test]
fn an_operators_return_restores_the_tasks_full_time() {
    let spent = TaskRecord { spent_ms: 9_000, ..in_status(TaskStatus::Failed) };
    let again = |role| apply(&spent, &Change::Retry("again".into()), &write(role, 1)).unwrap();
    assert_eq!((again(Role::Owner).spent_ms, again(Role::Operator).spent_ms), (9_000, 0));
    assert_eq!(again(Role::Operator).first_started_at, None);
}

#[test]
fn the_record_remembers_a_bounded_number_of_transitions() {
    let mut record = fresh();
    for _ in 0..TRANSITIONS_KEPT {
        record = apply(&record, &Change::Start, &write(Role::Owner, 1)).unwrap();
        record = apply(&record, &Change::Return("again".into()), &write(Role::Owner, 1)).unwrap();
    }
    assert_eq!(record.transitions.len(), TRANSITIONS_KEPT);
    assert_eq!(record.transitions.last().map(|t| t.to), Some(TaskStatus::Pending));
}

proptest! {
    /// What the table allows, the audit allows: they cannot disagree about a history.
    #[test]
    fn the_audit_accepts_every_path_through_the_table(
        steps in proptest::collection::vec((0usize..12, 0usize..4), 1..60)
    ) {
        let writes =
            [write(Role::Owner, 1), write(Role::Owner, 2), write(Role::Worker, 3), write(Role::Operator, 4)];
        let mut record = fresh();
        for (change, by) in steps {
            if let Ok(next) = apply(&record, &changes()[change], &writes[by]) {
                prop_assert_eq!(is_allowed(&record, &next), Ok(()));
                record = next;
            }
        }
    }
}
