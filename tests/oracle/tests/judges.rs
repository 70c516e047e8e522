//! The judges, judged: each accepts what can have happened, and finds what cannot.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use planlease_core::{
    PlanName, Revision, TaskId,
    record::{Guard, Role, TaskRecord, Writer},
};
use planlease_oracle::{
    Journal,
    history::TaskWrite,
    journal::{Reply, What},
    order,
    reconcile::reconcile,
    search,
};
use proptest::prelude::*;
use uuid::Uuid;

fn plan() -> PlanName {
    PlanName::new("p").unwrap()
}

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn at(revision: u64) -> Revision {
    Revision::from_wire(i64::try_from(revision).unwrap()).unwrap()
}

fn op(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn writer(name: &str) -> Writer {
    Writer { who: name.to_owned(), role: Role::Owner, term: None, guard: Guard::Unowned }
}

/// A write of task `1` by `a`, as the history has it. Its `op_id` is the number of its revision.
fn write(revision: u64, before: Option<u64>) -> TaskWrite {
    let record = TaskRecord::new(writer("a"), op(u128::from(revision)));
    TaskWrite {
        revision: at(revision),
        plan: plan(),
        task: task("1"),
        record,
        before: before.map(at),
        gone: None,
    }
}

/// A journal whose clock the test sets.
struct Teller {
    journal: Journal,
    now: Arc<AtomicU64>,
}

impl Teller {
    fn new() -> Self {
        let now: Arc<AtomicU64> = Arc::default();
        let clock = Arc::clone(&now);
        Self { journal: Journal::new(move || Duration::from_secs(clock.load(Ordering::Relaxed))), now }
    }

    /// A call between two moments, and its answer; none if it was never answered.
    fn call(&self, what: What, began: u64, ended: u64, reported: Option<Reply>) {
        self.now.store(began, Ordering::Relaxed);
        let entered = self.journal.call("a", &plan(), what);
        self.now.store(ended, Ordering::Relaxed);
        if let Some(reported) = reported {
            entered.reported(reported);
        }
    }

    fn write(&self, seen: u64, began: u64, ended: u64, reported: Option<Reply>) {
        let what = What::Write { task: task("1"), writer: writer("a"), seen: Some(at(seen)) };
        self.call(what, began, ended, reported);
    }

    fn read(&self, began: u64, ended: u64, revision: u64) {
        self.call(What::Read(task("1")), began, ended, Some(Reply::Record(Some(at(revision)))));
    }
}

fn committed(revision: u64) -> Option<Reply> {
    Some(Reply::Committed(op(u128::from(revision)), at(revision)))
}

fn history() -> Vec<TaskWrite> {
    vec![write(2, None), write(5, Some(2)), write(7, Some(5))]
}

#[test]
fn an_acknowledged_write_is_in_the_history_once_at_its_revision() {
    let reported = Teller::new();
    reported.write(2, 1, 2, committed(5));
    reported.write(5, 3, 4, committed(7));
    let settlement = reconcile(&history()[1..], &reported.journal.calls());
    assert_eq!((settlement.committed, settlement.violations.len()), (2, 0), "{:?}", settlement.violations);
    for broken in [
        vec![write(5, Some(2))], // The second is lost.
        vec![
            write(5, Some(2)),
            write(7, Some(5)),
            TaskWrite { record: write(5, None).record, ..write(8, Some(7)) },
        ], // The first happened twice.
        vec![write(5, Some(2)), TaskWrite { record: write(7, None).record, ..write(6, Some(5)) }], // Elsewhere.
    ] {
        let settlement = reconcile(&broken, &reported.journal.calls());
        assert!(!settlement.violations.is_empty(), "{broken:?}");
    }
}

#[test]
fn a_refused_write_is_not_in_the_history() {
    let reported = Teller::new();
    reported.write(2, 1, 2, Some(Reply::Refused("conflict".to_owned(), None)));
    assert!(reconcile(&[], &reported.journal.calls()).violations.is_empty());
    let broken = reconcile(&[write(5, Some(2))], &reported.journal.calls());
    assert!(broken.violations[0].contains("no client got an answer to write"), "{:?}", broken.violations);
}

#[test]
fn an_unknown_outcome_is_resolved_by_its_op_id() {
    let reported = Teller::new();
    reported.write(2, 1, 2, Some(Reply::Unknown(op(5))));
    reported.write(5, 3, 4, Some(Reply::Unknown(op(9))));
    let settlement = reconcile(&[write(5, Some(2))], &reported.journal.calls());
    assert_eq!((settlement.unknown_carried_out, settlement.unknown_never), (1, 1));
    assert!(settlement.violations.is_empty(), "{:?}", settlement.violations);
    // Another write than the one that was named: it was sent again under another name.
    let broken = reconcile(&[write(6, Some(2))], &reported.journal.calls());
    assert_eq!(broken.violations.len(), 1, "{:?}", broken.violations);
}

#[test]
fn an_unanswered_call_explains_one_write_on_what_it_saw() {
    let reported = Teller::new();
    reported.write(2, 1, 2, None);
    assert!(reconcile(&[write(5, Some(2))], &reported.journal.calls()).violations.is_empty());
    assert_eq!(reconcile(&[write(5, Some(3))], &reported.journal.calls()).violations.len(), 1);
    let theirs = TaskWrite { record: TaskRecord::new(writer("b"), op(5)), ..write(5, Some(3)) };
    assert!(reconcile(&[theirs], &reported.journal.calls()).violations.is_empty(), "another writer's");
}

#[test]
fn a_stale_read_after_an_answer_is_found() {
    for (began, ended, revision, wrong) in [(3, 4, 5, 0), (3, 4, 2, 1), (1, 2, 2, 0), (3, 4, 7, 0)] {
        let reported = Teller::new();
        reported.write(2, 1, 2, committed(5));
        reported.read(began, ended, revision);
        let found = order::check(&history(), &reported.journal.calls());
        assert_eq!(found.len(), wrong, "a read of {revision} at {began}: {found:?}");
    }
}

/// One revision is not one moment, as the property below has found.
#[test]
fn a_read_that_was_answered_before_the_write_began_is_found() {
    let reported = Teller::new();
    reported.read(1, 2, 5);
    reported.write(2, 3, 4, committed(5));
    assert_eq!(order::check(&history(), &reported.journal.calls()).len(), 1);
}

#[test]
fn a_record_without_a_writer_is_found() {
    let reported = Teller::new();
    reported.read(1, 2, 3);
    assert!(order::check(&history(), &reported.journal.calls())[0].contains("did not write it"));
}

/// Found by seed 401282 of the simulation: the task was edited out of its plan, and a read that said so was
/// called impossible.
#[test]
fn a_record_is_there_until_it_is_deleted() {
    let mut writes = history();
    writes.last_mut().unwrap().gone = Some(at(9));
    let last = writes.last().unwrap().revision.get();
    let read = |shown: Option<u64>, began, ended| {
        let reported = Teller::new();
        reported.call(What::ReadPlan, 1, 2, Some(Reply::Plan(at(9), [].into())));
        reported.call(What::Read(task("1")), began, ended, Some(Reply::Record(shown.map(at))));
        let calls = reported.journal.calls();
        (order::check(&writes, &calls).len(), search::check(&writes, &calls, &plan(), &task("1")))
    };
    assert_eq!(read(None, 3, 4), (0, Some(true)));
    assert_eq!(read(Some(last), 1, 4), (0, Some(true)), "an earlier question may have that answer");
    assert_eq!(read(Some(last), 3, 4).0, 1, "who asked after it was known may not");
    let reported = Teller::new();
    reported.call(What::ReadPlan, 1, 2, Some(Reply::Plan(at(9), [(task("1"), at(last))].into())));
    assert_eq!(order::check(&writes, &reported.journal.calls()).len(), 1);
}

#[test]
fn a_plan_that_mixes_two_moments_is_found() {
    let mut writes = history();
    writes.push(TaskWrite { task: task("2"), ..write(3, None) });
    let read = |one, other| {
        let reported = Teller::new();
        let records = [(task("1"), at(one)), (task("2"), at(other))].into();
        reported.call(What::ReadPlan, 1, 2, Some(Reply::Plan(at(6), records)));
        order::check(&writes, &reported.journal.calls()).len()
    };
    assert_eq!((read(5, 3), read(7, 3), read(2, 3)), (0, 1, 1));
}

proptest! {
    /// The check with a witness and the search without one: what the first accepts, the second can put in an
    /// order; and histories that really happened are accepted by both.
    #[test]
    fn the_two_judges_of_order_agree(
        steps in prop::collection::vec((any::<bool>(), 0..4_u64, 0..4_u64), 1..10),
        twist in prop::option::of((0..10_usize, 1..12_u64)),
    ) {
        let reported = Teller::new();
        let mut writes = vec![write(1, None)];
        // Each call takes effect at its own moment, and begins and ends somewhere around it.
        for (index, (writes_it, before, after)) in steps.iter().enumerate() {
            let moment = 10 + 3 * u64::try_from(index).unwrap();
            let present = writes.last().unwrap().revision.get();
            let shown = match twist {
                Some((twisted, revision)) if twisted == index => revision,
                _ => present,
            };
            if *writes_it {
                writes.push(write(present + 1, Some(present)));
                reported.write(present, moment - before, moment + after, committed(present + 1));
            } else {
                reported.read(moment - before, moment + after, shown);
            }
        }
        let accepted = order::check(&writes, &reported.journal.calls()).is_empty();
        let ordered = search::check(&writes, &reported.journal.calls(), &plan(), &task("1"));
        prop_assert!(twist.is_some() || accepted, "it happened");
        prop_assert!(!accepted || ordered == Some(true), "the witness is an order");
    }
}
