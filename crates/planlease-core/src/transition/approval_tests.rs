//! Approvals and budgets: which changes they refuse, what becomes of a task, and what an older version sees.

use uuid::Uuid;

use super::*;
use crate::{
    LeaseId, OrchestratorId, Revision, WallTime,
    approval::Approved,
    budget::Budget,
    codec::{self, FormatVersion},
    record::{Guard, Writer},
    spec::Policy,
};

fn write(role: Role) -> Write {
    let revision = Revision::from_wire(3).unwrap();
    let guard = match role {
        Role::Owner => Guard::Owner { lease: LeaseId::from_wire(3).unwrap(), revision },
        Role::Worker => Guard::Worker { orchestrator: OrchestratorId::new("w").unwrap(), revision },
        Role::Operator => Guard::Unowned,
    };
    let writer = Writer { who: format!("{role:?}"), role, term: None, guard };
    Write { writer, attempt: None, at: WallTime(5), op_id: Uuid::from_u128(5) }
}

fn fresh(of: Option<ApprovalOf>) -> TaskRecord {
    let mut record = TaskRecord::new(write(Role::Operator).writer, Uuid::nil());
    record.require_approval(of);
    record
}

/// As [`apply`]; whatever is allowed, the audit allows.
fn change(record: &TaskRecord, change: &Change, role: Role) -> Result<TaskRecord, Refusal> {
    let next = apply(record, change, &write(role))?;
    assert_eq!(is_allowed(record, &next), Ok(()), "{change:?}: {record:?}");
    assert_eq!(next.v, next.format());
    Ok(next)
}

fn all(record: TaskRecord, changes: &[(Change, Role)]) -> TaskRecord {
    changes.iter().fold(record, |record, (one, role)| change(&record, one, *role).unwrap())
}

fn approve() -> Change {
    Change::Approve("fine".into())
}

fn complete() -> Change {
    Change::Complete(Some("tagged".into()))
}

/// A task whose result waits for approval, completed by this role.
fn waiting(role: Role) -> TaskRecord {
    all(fresh(Some(ApprovalOf::After)), &[(Change::Start, role), (complete(), role)])
}

#[test]
fn a_start_waits_for_the_approval_of_its_attempt() {
    let record = fresh(Some(ApprovalOf::Before));
    for role in [Role::Owner, Role::Worker, Role::Operator] {
        assert_eq!(change(&record, &Change::Start, role), Err(Refusal::NotApproved { attempt: 1 }));
    }
    let approved = change(&record, &approve(), Role::Operator).unwrap();
    let step = approved.transitions.last().unwrap();
    assert_eq!((step.attempt, step.why.as_deref()), (1, Some("approved: fine")));
    let returned =
        all(approved, &[(Change::Start, Role::Worker), (Change::Return("no time".into()), Role::Worker)]);
    assert_eq!(change(&returned, &Change::Start, Role::Worker), Err(Refusal::NotApproved { attempt: 2 }));
    assert_eq!(returned.awaits(), Some(Awaits::Start(2)), "an approval counts for one attempt");
}

#[test]
fn a_result_waits_and_is_no_process_s_any_more() {
    for role in [Role::Owner, Role::Worker, Role::Operator] {
        let record = waiting(role);
        assert_eq!((record.status, record.awaits()), (TaskStatus::InProgress, Some(Awaits::Result(1))));
        let claim = record.claim.as_ref().unwrap();
        assert_eq!((claim.by.as_str(), &claim.guard), (format!("{role:?}").as_str(), &None));
        assert_eq!(record.notes.as_deref(), Some("tagged"), "its result is kept");
        for other in [
            complete(),
            Change::Progress("more".into()),
            Change::Fail("no".into()),
            Change::Return("no".into()),
            Change::Lose(OnLost::Retry, "gone".into()),
            Change::Rest("gone".into()),
            Change::Start,
            Change::Measure,
        ] {
            for role in [Role::Owner, Role::Worker, Role::Operator] {
                let refused = change(&record, &other, role);
                assert_eq!(refused, Err(Refusal::ResultWaits { attempt: 1 }), "{role:?} {other:?}");
            }
        }
        let done = change(&record, &approve(), Role::Operator).unwrap();
        assert_eq!((done.status, done.awaits()), (TaskStatus::Completed, None));
        assert_eq!(done.notes.as_deref(), Some("tagged"));
        assert_eq!(done.approved().map(|given| given.by.as_str()), Some("Operator"));
    }
}

#[test]
fn only_an_operator_decides() {
    for record in [fresh(Some(ApprovalOf::Before)), waiting(Role::Worker)] {
        for role in [Role::Owner, Role::Worker] {
            for decision in [approve(), Change::Reject(None, "no".into())] {
                assert!(matches!(change(&record, &decision, role), Err(Refusal::NotAllowed { .. })));
            }
        }
    }
    assert!(change(&waiting(Role::Worker), &Change::Skip("s".into()), Role::Owner).is_err());
    assert!(change(&waiting(Role::Worker), &Change::Retry("r".into()), Role::Owner).is_err());
}

#[test]
fn a_rejection_says_what_becomes_of_the_task() {
    let (start, result) = (fresh(Some(ApprovalOf::Before)), waiting(Role::Owner));
    let reject = |then| Change::Reject(then, "no".into());
    for (record, then, status) in [
        (&start, None, TaskStatus::Failed),
        (&start, Some(Then::Fail), TaskStatus::Failed),
        (&start, Some(Then::Skip), TaskStatus::Skipped),
        (&result, None, TaskStatus::Pending),
        (&result, Some(Then::Retry), TaskStatus::Pending),
        (&result, Some(Then::Fail), TaskStatus::Failed),
        (&result, Some(Then::Skip), TaskStatus::Skipped),
    ] {
        let next = change(record, &reject(then), Role::Operator).unwrap();
        assert_eq!(next.status, status, "{then:?}");
        assert_eq!(next.parked.is_some(), status == TaskStatus::Failed);
        let why = next.transitions.last().unwrap().why.clone().unwrap();
        assert_eq!(why, "rejected by Operator: no");
        assert!(!next.result_waits() && next.claim.is_none());
    }
    let again = change(&result, &reject(None), Role::Operator).unwrap();
    assert_eq!(again.error.as_deref(), Some("rejected by Operator: no"), "the next attempt is given it");
    assert_eq!(change(&start, &reject(Some(Then::Retry)), Role::Operator), Err(Refusal::NothingToRetry));
    assert_eq!(change(&start, &reject(None), Role::Operator).unwrap().failures, 0);
}

#[test]
fn a_decision_is_about_one_attempt() {
    let of = |attempt| Write { attempt: Some(attempt), ..write(Role::Operator) };
    let stale = |given, present| Err(Refusal::StaleAttempt { given, present });
    let start = fresh(Some(ApprovalOf::Before));
    assert!(apply(&start, &approve(), &of(1)).is_ok(), "the attempt that would start");
    assert_eq!(apply(&start, &approve(), &of(2)), stale(2, 1));
    let again = all(
        waiting(Role::Worker),
        &[
            (Change::Reject(None, "no".into()), Role::Operator),
            (Change::Start, Role::Worker),
            (complete(), Role::Worker),
        ],
    );
    assert_eq!(apply(&again, &approve(), &of(1)), stale(1, 2));
    assert!(apply(&again, &approve(), &of(2)).is_ok());
}

#[test]
fn a_second_decision_is_refused_with_the_first() {
    for record in [fresh(Some(ApprovalOf::Before)), waiting(Role::Owner)] {
        let approved = change(&record, &approve(), Role::Operator).unwrap();
        let again = change(&approved, &approve(), Role::Operator).unwrap_err();
        assert!(again.to_string().contains("attempt 1 was approved by Operator already"), "{again}");
        let plain = change(&fresh(None), &approve(), Role::Operator).unwrap_err();
        assert_eq!(plain.to_string(), "it does not wait for approval");
    }
}

#[test]
fn what_was_rejected_is_not_called_approved() {
    let second_attempt_is_rejected = [
        (approve(), Role::Operator),
        (Change::Start, Role::Worker),
        (Change::Fail("x".into()), Role::Worker),
        (Change::Retry("again".into()), Role::Operator),
        (Change::Reject(None, "no".into()), Role::Operator),
    ];
    let rejected = all(fresh(Some(ApprovalOf::Before)), &second_attempt_is_rejected);
    let refused = change(&rejected, &approve(), Role::Operator).unwrap_err();
    assert_eq!(refused.to_string(), "it does not wait for approval");
}

#[test]
fn a_result_that_waits_is_cancelled_at_once() {
    for role in [Role::Owner, Role::Operator] {
        for then in Then::ALL {
            let next = change(&waiting(Role::Worker), &Change::Cancel(then, "no".into()), role).unwrap();
            assert_eq!((next.status, next.cancel.is_some()), (then.status(), false));
        }
    }
    let cancelled = all(
        fresh(Some(ApprovalOf::After)),
        &[(Change::Start, Role::Worker), (Change::Cancel(Then::Skip, "no".into()), Role::Operator)],
    );
    assert!(matches!(change(&cancelled, &complete(), Role::Worker), Err(Refusal::Cancelled { .. })));
}

#[test]
fn an_edit_decides_nothing_about_a_result_that_waits() {
    let mut record = waiting(Role::Owner);
    record.require_approval(None);
    assert!(record.result_waits() && record.v == FormatVersion::APPROVAL);
    let done = change(&record, &approve(), Role::Operator).unwrap();
    assert_eq!((done.status, done.v), (TaskStatus::Completed, FormatVersion::default()));
    let mut before = fresh(Some(ApprovalOf::Before));
    before.require_approval(None);
    assert!(change(&before, &Change::Start, Role::Worker).is_ok());
    let mut running = all(fresh(None), &[(Change::Start, Role::Worker)]);
    running.require_approval(Some(ApprovalOf::After));
    assert!(change(&running, &complete(), Role::Worker).unwrap().result_waits());
}

/// What version 2 of the format does not know, it must not act on.
#[test]
fn an_older_version_cannot_read_a_task_with_an_approval() {
    let records = [
        fresh(Some(ApprovalOf::Before)),
        all(fresh(Some(ApprovalOf::Before)), &[(approve(), Role::Operator), (Change::Start, Role::Worker)]),
        waiting(Role::Worker),
        all(waiting(Role::Worker), &[(approve(), Role::Operator)]),
    ];
    for record in records {
        let bytes = codec::encode(&record).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["v"], 3, "{value}");
        assert_eq!(codec::decode::<TaskRecord>(&bytes).unwrap(), record);
    }
    assert_eq!(fresh(None).v, FormatVersion::default());
}

#[test]
fn the_audit_finds_a_way_around_an_approval() {
    let start = fresh(Some(ApprovalOf::Before));
    let begun = change(&fresh(None), &Change::Start, Role::Worker).unwrap();
    let begun = TaskRecord { approval: start.approval.clone(), ..begun };
    assert!(is_allowed(&start, &begun).is_err());
    let mut forged = start.clone();
    forged.writer = write(Role::Worker).writer;
    forged.approval.as_mut().unwrap().given =
        Some(Approved { attempt: 1, by: "w".into(), at: WallTime(0), why: "me".into() });
    assert!(is_allowed(&start, &forged).is_err());
    let running = all(fresh(Some(ApprovalOf::After)), &[(Change::Start, Role::Worker)]);
    let plain = all(fresh(None), &[(Change::Start, Role::Worker), (complete(), Role::Worker)]);
    let done = TaskRecord { approval: running.approval.clone(), ..plain };
    assert!(is_allowed(&running, &done).is_err());
}

fn bounded(max_attempts: u32, budget: &str) -> TaskRecord {
    let mut record = fresh(None);
    record.set_bounds(&Policy { max_attempts, budget: budget.parse().unwrap(), ..Policy::default() });
    record
}

fn spend(amount: &str) -> Change {
    Change::Spend(amount.parse().unwrap(), None)
}

#[test]
fn an_attempt_above_the_budget_is_cancelled() {
    let begun = all(bounded(0, "10"), &[(Change::Start, Role::Worker), (spend("9.5"), Role::Worker)]);
    assert!(begun.cancel.is_none());
    let exact = change(&begun, &spend("10"), Role::Worker).unwrap();
    assert!(exact.cancel.is_none(), "all of it may be spent");
    let over = change(&begun, &spend("10.000001"), Role::Worker).unwrap();
    assert_eq!(over.cancel.as_ref().map(|request| request.why.as_str()), Some("spent 10.000001 of 10"));
    assert!(matches!(change(&over, &complete(), Role::Worker), Err(Refusal::Cancelled { .. })));
    let ended = change(&over, &Change::Fail("stopped".into()), Role::Worker).unwrap();
    assert_eq!(ended.status, TaskStatus::Failed);
    assert!(ended.parked.unwrap().contains("cancelled by its budget: spent 10.000001 of 10"));
}

#[test]
fn what_is_spent_adds_up_over_attempts_until_a_person_looks() {
    let first = all(
        bounded(0, "10"),
        &[
            (Change::Start, Role::Worker),
            (spend("6"), Role::Worker),
            (Change::Lose(OnLost::Retry, "gone".into()), Role::Owner),
        ],
    );
    let second = all(first, &[(Change::Start, Role::Worker), (spend("4"), Role::Worker)]);
    assert_eq!(second.budget.as_ref().map(|budget| budget.spent_in_all()), Some("10".parse().unwrap()));
    let parked = change(&second, &Change::Fail("boom".into()), Role::Worker).unwrap();
    assert_eq!(parked.parked.as_deref(), Some("spent 10 of 10 (budget); last: boom"));
    let again = change(&parked, &Change::Retry("go on".into()), Role::Operator).unwrap();
    assert_eq!(again.budget_used_up(), None);
    assert!(change(&again, &Change::Start, Role::Worker).is_ok());
    let less = change(&second, &spend("3"), Role::Worker).unwrap_err();
    assert!(less.to_string().contains("attempt 2 has reported 4 already"), "{less}");
    assert!(change(&second, &spend("5"), Role::Owner).is_err(), "only its claimant reports");
}

#[test]
fn each_end_of_the_last_attempt_parks_the_task() {
    for (end, role) in [
        (Change::Fail("boom".into()), Role::Worker),
        (Change::Return("no time".into()), Role::Worker),
        (Change::Lose(OnLost::Retry, "gone".into()), Role::Owner),
        (Change::Rest("gone".into()), Role::Owner),
    ] {
        let attempt = [(Change::Start, Role::Worker), (end.clone(), role)];
        let first = all(bounded(2, "0"), &attempt);
        assert!(first.parked.is_none(), "{end:?}");
        let back = match first.status {
            TaskStatus::Failed => all(first, &[(Change::Retry("automatic".into()), Role::Owner)]),
            _ => first,
        };
        let last = all(back, &attempt);
        assert_eq!(last.status, TaskStatus::Failed, "{end:?}");
        assert!(last.parked.as_ref().unwrap().contains("started 2 times (max_attempts = 2)"), "{last:?}");
        let again = all(last, &[(Change::Retry("go on".into()), Role::Operator), attempt[0].clone()]);
        assert!(again.parked.is_none() && again.attempt == 3);
    }
    let done = all(bounded(1, "0"), &[(Change::Start, Role::Worker), (complete(), Role::Worker)]);
    assert_eq!((done.status, done.parked), (TaskStatus::Completed, None));
}

#[test]
fn a_stored_budget_out_of_bounds_is_not_read() {
    let mut value = serde_json::to_value(bounded(1, "2.5")).unwrap();
    assert_eq!(value["budget"]["budget"], 2.5);
    value["budget"]["budget"] = (-1).into();
    assert!(codec::decode::<TaskRecord>(&serde_json::to_vec(&value).unwrap()).is_err());
    assert_eq!(Budget::default().used_up(9), None, "no bound");
}
