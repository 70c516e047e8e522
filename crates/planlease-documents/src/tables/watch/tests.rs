//! How changes look, in words and as JSON: what people and programs rely on.

use std::sync::Arc;

use planlease::RawSnapshot;
use planlease_core::{
    FencingToken, OrchestratorId, Revision, TaskId,
    approval::{Approval, ApprovalOf, Approved},
    budget::Budget,
    cancel::{CancelRequest, Then},
    change::Entry,
    codec, definition,
    keys::{Key, PlanKey},
    record::TaskRecord,
    term::Queue,
};
use planlease_watcher::{Change, OwnershipChange, Store};

use super::*;
use crate::{
    fixture::{NOW, line, plan, with_record},
    printable::Printable,
    tables::tabular::{Format, text},
};

fn layout() -> Layout {
    Layout::new("/planlease", &planlease::core::Namespace::default())
}

fn shown<D: Tabular>(format: Format, document: &D) -> String {
    Printable::styled(&text(format, document, NOW).unwrap(), false).as_str().to_owned()
}

fn revision(n: i64) -> Revision {
    Revision::from_wire(n).unwrap()
}

fn set(changes: Vec<Change>) -> ChangesInWords {
    ChangesInWords::new(&ChangeSet { revision: revision(41), resynced: false, changes }, &layout())
}

fn name() -> PlanName {
    plan().name().clone()
}

fn task(id: &str, before: Option<&str>) -> Change {
    let view = |id: &str| Arc::new(plan().tasks()[&TaskId::new(id).unwrap()].clone());
    Change::Task { plan: name(), task: view(id), before: before.map(view) }
}

fn ownership(what: OwnershipChange) -> Change {
    Change::Ownership { plan: name(), what, queue: Arc::new(line()) }
}

fn owner() -> (OrchestratorId, FencingToken) {
    let line = line();
    let (_, term) = line.owner().unwrap();
    (term.owner.orchestrator.clone(), term.token())
}

/// The store that holds the plan.
fn store() -> Store {
    let view = plan();
    let (head, _) = definition::encode_spec(view.spec()).unwrap();
    let tasks = view.tasks().values();
    let tasks = tasks
        .map(|task| (PlanKey::Task(task.id.clone()), codec::encode(&task.record).unwrap(), task.revision));
    let line: Queue = line();
    let (written, term) = line.term.clone().unwrap();
    let mut keys =
        vec![(PlanKey::Spec, head, revision(3)), (PlanKey::Term, codec::encode(&term).unwrap(), written)];
    keys.extend(tasks);
    let mut entries: Vec<(Key, Entry)> = keys
        .into_iter()
        .map(|(key, value, at)| {
            let entry = Entry { value, modified: at, created: at, version: 1, lease: None };
            (Key::Plan(view.name().clone(), key), entry)
        })
        .collect();
    for candidate in line.candidates() {
        let value =
            candidate.record.as_ref().map(|record| codec::encode(record).unwrap()).unwrap_or_default();
        let (at, lease) = (candidate.joined, candidate.lease);
        let entry = Entry { value, modified: at, created: at, version: 1, lease: Some(lease) };
        entries.push((Key::Plan(view.name().clone(), PlanKey::Owner(lease)), entry));
    }
    Store::load(&RawSnapshot { revision: revision(40), entries })
}

#[test]
fn changes_of_tasks_in_words() {
    let changes = vec![
        task("1.2", Some("2.1")),
        task("1.2", Some("1.2")),
        task("1.1", Some("1.2")),
        task("1.10", Some("1.2")),
        task("2.2", Some("2.1")),
        task("2.1", None),
        task("2.1", Some("1.2")),
    ];
    insta::assert_snapshot!(shown(Format::Table, &set(changes)), @r"
    2025-11-24 15:57:10Z      41  release  1.2 started by ci-1 (attempt 1)
    2025-11-24 15:57:10Z      41  release  1.2: half of it
    2025-11-24 15:57:00Z      41  release  1.1 completed by ci-1: tagged
    2025-11-24 15:58:00Z      41  release  1.10 waits for a decision: ci-0 is gone; look at what it has done, then retry or skip it
    2025-11-24 15:58:20Z      41  release  2.2 skipped by ci-1: not needed
    2025-11-24 15:57:10Z      41  release  2.1 added
    2025-11-24 15:57:10Z      41  release  2.1 pending again, by ci-1
    ");
}

#[test]
fn an_attempt_that_goes_on_is_never_an_empty_line() {
    let id = TaskId::new("1.2").unwrap();
    let running = with_record(plan(), &id, |record| record.progress = None).tasks()[&id].record.clone();
    let changed = |change: &dyn Fn(&mut TaskRecord)| {
        let mut record = running.clone();
        change(&mut record);
        record
    };
    let spent = |amount: &str, text: Option<&str>| {
        changed(&|record: &mut TaskRecord| {
            let (budget, spent) = ("25".parse().unwrap(), amount.parse().unwrap());
            record.budget = Some(Box::new(Budget { budget, spent, ..Budget::default() }));
            record.progress = text.map(str::to_owned);
        })
    };
    let cancelled = changed(&|record: &mut TaskRecord| {
        let (by, why, extra) = ("ann".into(), "wrong branch".into(), planlease_core::Extra::default());
        record.set_cancel(Some(CancelRequest { by, at: NOW, why, then: Then::Retry, extra }));
    });
    let view = |record: &TaskRecord| {
        let plan = with_record(plan(), &id, |present| *present = record.clone());
        Arc::new(plan.tasks()[&id].clone())
    };
    let (some, more) = (spent("12.5", None), spent("13", Some("half of it")));
    let changes = [(&running, &cancelled), (&running, &some), (&some, &more), (&running, &running)];
    let change = |(before, now): (&TaskRecord, &TaskRecord)| Change::Task {
        plan: name(),
        task: view(now),
        before: Some(view(before)),
    };
    let text = shown(Format::Table, &set(changes.into_iter().map(change).collect()));
    let said: Vec<&str> = text.lines().map(|line| line.split_once("1.2").unwrap().1).collect();
    let wanted = [
        " is cancelled by ann: wrong branch; becomes pending when the attempt has ended",
        " has spent 12.5 of 25",
        " has spent 13 of 25: half of it",
        " goes on",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn an_approval_in_words_has_its_reason() {
    let id = TaskId::new("2.1").unwrap();
    let approval = |given| Approval { of: Some(ApprovalOf::Before), given, ..Approval::default() };
    let view = |given: Option<Approved>| {
        let plan = with_record(plan(), &id, |record| record.approval = Some(Box::new(approval(given))));
        Arc::new(plan.tasks()[&id].clone())
    };
    let given = Approved { attempt: 1, by: "ci-1".into(), at: NOW, why: "read it".into() };
    let change = Change::Task { plan: name(), task: view(Some(given)), before: Some(view(None)) };
    let text = shown(Format::Table, &set(vec![change]));
    assert!(text.ends_with("2.1 may start: approved by ci-1: read it\n"), "{text}");
}

#[test]
fn changes_of_the_ownership_in_words() {
    let (owner, token) = owner();
    let to = OrchestratorId::new("ci-2").unwrap();
    let waiting = line().candidates()[1].clone();
    let unmanaged = line().candidates()[2].clone();
    let (by, reason) = ("ann@desk".to_owned(), "host is\nreplaced".to_owned());
    let changes = vec![
        ownership(OwnershipChange::Acquired { owner: owner.clone(), token }),
        ownership(OwnershipChange::Released { owner: owner.clone(), token }),
        ownership(OwnershipChange::HandedOver { owner: owner.clone(), token, to }),
        ownership(OwnershipChange::Expired { owner: owner.clone(), token }),
        ownership(OwnershipChange::Forced { owner, token, by, reason }),
        ownership(OwnershipChange::Waiting(waiting)),
        ownership(OwnershipChange::Left(unmanaged)),
        ownership(OwnershipChange::Amended),
    ];
    insta::assert_snapshot!(shown(Format::Table, &set(changes)), @r"
    2025-11-24 15:56:40Z      41  release  ownership acquired by ci-1, token 1.2
    -                         41  release  ownership released by ci-1, token 1.2
    -                         41  release  ownership handed over by ci-1 to ci-2, token 1.2
    -                         41  release  ownership of ci-1 expired with its session, token 1.2
    -                         41  release  ownership of ci-1 forced to end by ann@desk: host is replaced, token 1.2
    2025-11-24 15:58:30Z      41  release  ci-2 joined the queue
    -                         41  release  an unmanaged candidate (lease 16) left the queue
    -                         41  release  the record of the term was rewritten
    ");
}

#[test]
fn everything_else_in_words() {
    let state = store().snapshot().plan(&name()).unwrap().clone();
    let key = Key::Plan(name(), PlanKey::Term);
    let changes = vec![
        Change::PlanAppeared(Arc::clone(&state)),
        Change::Redefined(Arc::clone(&state)),
        Change::PlanGone { plan: name() },
        Change::Findings { plan: name(), task: TaskId::new("1.1").unwrap(), revision: Some(revision(41)) },
        Change::Unreadable { key: key.clone(), reason: Some("bad \x1b[2J".into()) },
        Change::Unreadable { key, reason: None },
    ];
    insta::assert_snapshot!(shown(Format::Table, &set(changes)), @r"
    -                         41  release  imported: Release 1.4, 5 tasks
    -                         41  release  was edited: Release 1.4, 5 tasks
    -                         41  release  was deleted
    -                         41  release  1.1 has output
    -                         41  release  /planlease/v1/default/plans/release/term cannot be read: bad �[2J
    -                         41  release  /planlease/v1/default/plans/release/term is gone or can be read again
    ");
}

#[test]
fn a_gap_is_reported_even_if_nothing_differs() {
    let closed = ChangeSet { revision: revision(41), resynced: true, changes: Vec::new() };
    let closed = ChangesInWords::new(&closed, &layout());
    insta::assert_snapshot!(shown(Format::Table, &closed), @"-                         41  the history was compacted meanwhile; what differs since then:");
    insta::assert_snapshot!(shown(Format::Jsonl, &closed), @r#"{"schema":"planlease.changes.v1","revision":41,"resynced":true,"changes":[]}"#);
}

#[test]
fn changes_as_json() {
    let (owner, token) = owner();
    let forced = OwnershipChange::Forced { owner, token, by: "ann@desk".into(), reason: "stuck".into() };
    let changes = vec![
        task("1.1", Some("1.2")),
        ownership(forced),
        Change::PlanGone { plan: name() },
        Change::Unreadable { key: Key::Plan(name(), PlanKey::Term), reason: Some("bad".into()) },
    ];
    let lines = shown(Format::Jsonl, &set(changes.clone()));
    assert_eq!(lines.lines().count(), 1);
    insta::assert_snapshot!(shown(Format::Json, &set(changes)));
}

#[test]
fn a_snapshot_has_everything_that_changes_build_upon() {
    let store = store();
    let plans = || store.snapshot().plans().map(AsRef::as_ref);
    let snapshot = SnapshotView::new(store.snapshot(), plans());
    insta::assert_snapshot!(shown(Format::Table, &snapshot), @"2025-11-24 16:00:00Z      40  release  3 of 5 tasks ended; owned by ci-1 on host-1 (process 42), for 3m20s, token 1.2");
    insta::assert_snapshot!(shown(Format::Json, &snapshot));
}
