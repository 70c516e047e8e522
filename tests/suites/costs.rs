//! What the hot paths cost, in allocations and bytes: the same on every machine. A bound stands a tenth above
//! what was counted when it was set; a change that needs more raises it, and says why.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(clippy::print_stdout, reason = "what is measured is printed")]

use std::{hint::black_box, ops::RangeInclusive, sync::Arc};

use allocation_counter::measure;
use futures_util::future::join_all;
use planlease::RawSnapshot;
use planlease_core::{
    LeaseId, PlanName, Revision, TaskId, TermNumber, WallTime,
    change::{Entry, KeyChange, RawChangeSet},
    codec, definition,
    keys::{Key, PlanKey},
    record::{Guard, Role, TaskRecord, Writer},
    spec::{PlanSpec, TaskSpec},
    transition::{self, Change, Write},
};
use planlease_tests::{
    backend::Backend,
    test_env::{TestEnv, acquired, committed},
};
use planlease_watcher::Store;
use uuid::Uuid;

fn revision(n: i64) -> Revision {
    Revision::from_wire(n).unwrap()
}

fn write() -> Write {
    let guard = Guard::Owner { lease: LeaseId::from_wire(7).unwrap(), revision: revision(5) };
    let who = "host-1/orchestrator".to_owned();
    let writer = Writer { who, role: Role::Owner, term: Some(TermNumber(3)), guard };
    Write { writer, attempt: None, at: WallTime(1_700_000_000_000), op_id: Uuid::from_u128(1) }
}

/// A task that has been started.
fn record() -> TaskRecord {
    let pending = TaskRecord::new(write().writer, Uuid::nil());
    transition::apply(&pending, &Change::Start, &write()).unwrap()
}

fn plan() -> PlanName {
    PlanName::new("plan").unwrap()
}

fn task(n: usize) -> TaskId {
    TaskId::new(format!("task-{n}")).unwrap()
}

/// A plan as it was imported, of tasks that depend on nothing.
fn fresh(tasks: usize) -> RawSnapshot {
    let specs = (0..tasks).map(|n| TaskSpec::new(task(n), "what is to be done"));
    stored(specs.collect(), |_| TaskRecord::new(write().writer, Uuid::nil()))
}

/// A plan whose tasks depend on three earlier ones each, as those of the benchmarks do, and have all been
/// started.
fn started(tasks: usize) -> RawSnapshot {
    stored(depending(tasks), |_| record())
}

/// The same with its first half completed, and nothing of the other one started.
fn half_done(tasks: usize) -> RawSnapshot {
    let fresh = TaskRecord::new(write().writer, Uuid::nil());
    let done = transition::apply(&record(), &Change::Complete(None), &write()).unwrap();
    stored(depending(tasks), |n| if n < tasks / 2 { done.clone() } else { fresh.clone() })
}

fn depending(tasks: usize) -> Vec<TaskSpec> {
    let specs = (0..tasks).map(|n| {
        let mut on: Vec<_> = [1, 7, 1 + n / 2].into_iter().filter_map(|back| n.checked_sub(back)).collect();
        on.sort_unstable();
        on.dedup();
        TaskSpec {
            depends_on: on.into_iter().map(task).collect(),
            ..TaskSpec::new(task(n), "what is to be done")
        }
    });
    specs.collect()
}

/// `record`: of the task with that number.
fn stored(tasks: Vec<TaskSpec>, record: impl Fn(usize) -> TaskRecord) -> RawSnapshot {
    let spec = PlanSpec { title: "large".into(), tasks, ..PlanSpec::default() };
    let entry = |value| Entry { value, modified: revision(9), created: revision(9), version: 1, lease: None };
    let tasks = spec.tasks.iter().enumerate().map(|(n, task)| {
        (Key::Plan(plan(), PlanKey::Task(task.id.clone())), entry(codec::encode(&record(n)).unwrap()))
    });
    let mut entries: Vec<_> = tasks.collect();
    let (head, parts) = definition::encode_spec(&spec).unwrap();
    entries.push((Key::Plan(plan(), PlanKey::Spec), entry(head)));
    let part = |(n, part)| (Key::Plan(plan(), PlanKey::SpecPart(n)), entry(part));
    entries.extend((1..).zip(parts).map(part));
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    RawSnapshot { revision: revision(9), entries }
}

/// Another revision of one task's record.
fn change(n: i64) -> RawChangeSet {
    let next = transition::apply(&record(), &Change::Progress(n.to_string()), &write()).unwrap();
    let value = codec::encode(&next).unwrap();
    let entry = Entry { value, modified: revision(n), created: revision(9), version: 2, lease: None };
    let key = Key::Plan(plan(), PlanKey::Task(task(77)));
    RawChangeSet { revision: revision(n), changes: vec![KeyChange { key, entry: Some(entry) }] }
}

/// Fails if something is counted outside of its bounds: above them it costs more than it did, below them they
/// are worth nothing.
fn within(what: &str, counted: u64, bounds: RangeInclusive<u64>) {
    println!("measured: {what}: {counted}");
    assert!(bounds.contains(&counted), "{what}: {counted}, not within {bounds:?}");
}

#[test]
fn an_update_decides_and_encodes_in_few_allocations() {
    let (record, write) = (record(), write());
    let cost = measure(|| {
        let next = transition::apply(&record, &Change::Progress("half".into()), &write).unwrap();
        black_box(codec::encode(&next).unwrap());
    });
    within("allocations", cost.count_total, 5..=11);
    within("bytes", cost.bytes_total, 500..=1_070);
}

#[test]
fn a_record_is_read_in_few_allocations() {
    let value = codec::encode(&record()).unwrap();
    within("size", value.len() as u64, 300..=560);
    let cost = measure(|| drop(black_box(codec::decode::<TaskRecord>(&value).unwrap())));
    within("allocations", cost.count_total, 4..=8);
    within("bytes", cost.bytes_total, 300..=640);
}

#[test]
fn a_watchers_memory_grows_with_the_tasks_alone() {
    for tasks in [1_000, 10_000] {
        // A started task has its claim's limit (24 bytes) and the time that it has spent (16 bytes) besides.
        // Each task has what it needs, its last progress, and pointers to its cancellation, approval, budget.
        for (list, bytes, allocations) in
            [(fresh(tasks), 500..=1_100, 8..=10), (started(tasks), 800..=1_400, 10..=24)]
        {
            let mut store = None;
            let cost = measure(|| store = Some(Store::load(&list)));
            within("bytes held per task", u64::try_from(cost.bytes_current).unwrap() / tasks as u64, bytes);
            within("allocations per task", cost.count_total / tasks as u64, allocations);
            drop(store);
        }
    }
}

#[test]
fn a_changes_cost_does_not_depend_on_the_plans_size() {
    for tasks in [1_000, 10_000] {
        let mut store = Store::load(&started(tasks));
        let before = store.snapshot().clone(); // As long as a reader has the one before.
        let change = change(10);
        let cost = measure(|| drop(black_box(store.apply(&change))));
        // A path through the tree of tasks is copied; that of a plan ten times as large is some levels
        // longer.
        within("allocations", cost.count_total, 20..=48);
        within("bytes", cost.bytes_total, 2_000..=4_950);
        drop(before);
    }
}

#[test]
fn ready_tasks_are_found_without_allocation() {
    let store = Store::load(&half_done(1_000));
    let snapshot = store.snapshot();
    let plan = snapshot.plan(&plan()).unwrap();
    // Task 500 waits for none of those that are left; each of the others for the one before it.
    let ready = task(500);
    let cost = measure(|| assert!(black_box(plan.ready()).eq([&ready])));
    within("allocations", cost.count_total, 0..=0);
}

/// All that this side does for an update, connection and all: 64 are in flight, and travel together. How they
/// fall into batches is not the same each time, so these bounds are wide.
#[test]
fn an_update_in_flight_with_others_allocates_little() {
    const ROUNDS: usize = 20;
    const IN_FLIGHT: usize = 64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_env, owner, mut tasks) = runtime.block_on(async {
        let env = TestEnv::on(Arc::new(Backend::Embedded.start().await), "costs").await;
        let specs = (0..IN_FLIGHT).map(|n| TaskSpec::new(task(n), "what is to be done"));
        let spec = PlanSpec { title: "costs".into(), tasks: specs.collect(), ..PlanSpec::default() };
        env.coordinator().await.admin().import(&plan(), &spec, |_| {}).await.unwrap();
        let owner = acquired(&env.session("owner").await, &plan()).await;
        let tasks = owner.authority().claim(IN_FLIGHT, &[]).await.unwrap().tasks;
        (env, owner, tasks)
    });
    let authority = owner.authority();
    let mut round = |n: usize| {
        let change = Change::Progress(n.to_string());
        let outcomes = runtime.block_on(join_all(tasks.iter().map(|task| authority.update(task, &change))));
        tasks = outcomes.into_iter().map(|outcome| committed(outcome.unwrap())).collect();
    };
    round(0); // Buffers have their size then.
    let cost = measure(|| (1..=ROUNDS).for_each(&mut round));
    let updates = (ROUNDS * IN_FLIGHT) as u64;
    within("allocations", cost.count_total / updates, 10..=36);
    within("bytes", cost.bytes_total / updates, 5_000..=18_000);
}
