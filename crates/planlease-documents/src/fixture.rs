//! A plan in the middle of its life, of fixed values, for tests of how things are shown.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use planlease::{PlanView, TaskView, WorktreeView};
use planlease_core::{
    Generation, HostName, LeaseId, OrchestratorId, PlanName, Revision, TaskId, WallTime, WorktreeName,
    late::{LateResult, Refuser},
    orphan::Alive,
    record::{
        CandidateRecord, ClaimLimit, Guard, Halt, HaltRecord, Role, TaskRecord, WorktreeRecord,
        WorktreeState, Writer,
    },
    spec::{OnLost, PhaseSpec, PlanSpec, Source, TaskSpec},
    term::{Candidate, Queue, Successor, succeed},
    transition::{Change, TaskStatus, Write, apply},
    view::{Definition, Halts, Parts},
};
use uuid::Uuid;

/// The moment at which it is looked at.
pub(super) const NOW: WallTime = WallTime(1_764_000_000_000);

/// So many seconds before [`NOW`].
fn ago(seconds: i64) -> WallTime {
    WallTime(NOW.0 - seconds * 1000)
}

fn revision(n: i64) -> Revision {
    Revision::from_wire(n).unwrap()
}

fn lease(n: i64) -> LeaseId {
    LeaseId::from_wire(n).unwrap()
}

fn candidate(n: i64, name: &str, since: WallTime) -> Candidate {
    let record = CandidateRecord::new(OrchestratorId::new(name).unwrap(), "host-1", 42, since);
    Candidate { lease: lease(n), joined: revision(n), record: Some(record) }
}

/// An owner in its second term, a waiter, and an unmanaged candidate.
pub(super) fn line() -> Queue {
    let owner = candidate(20, "ci-1", ago(200));
    let waiting = candidate(21, "ci-2", ago(90));
    let unmanaged = Candidate { lease: lease(22), joined: revision(22), record: None };
    let first = successor(&candidate(10, "ci-0", ago(900)));
    let first = succeed(None, Generation(1), &first, ago(900)).term;
    let term = succeed(Some(&first), Generation(1), &successor(&owner), ago(200)).term;
    Queue::new(vec![owner, waiting, unmanaged], Some((revision(23), term)))
}

fn successor(candidate: &Candidate) -> Successor {
    Successor {
        record: candidate.record.clone().unwrap(),
        lease: candidate.lease,
        guard: Some(candidate.joined),
    }
}

/// What the first owner's command said of an attempt that was over.
pub(super) fn late() -> LateResult {
    let change = Change::Complete(Some("tagged as well".into()));
    let write = Write { attempt: Some(1), ..write(60) };
    LateResult::of(&change, &write, Refuser::AuthorityLost).unwrap()
}

fn write(seconds_ago: i64) -> Write {
    let guard = Guard::Owner { lease: lease(20), revision: revision(20) };
    let term = line().term.map(|(_, term)| term.number);
    let writer = Writer { who: "ci-1".into(), role: Role::Owner, term, guard };
    Write { writer, attempt: None, at: ago(seconds_ago), op_id: Uuid::nil() }
}

fn task(id: &str, changes: &[(i64, Change)]) -> TaskView {
    let id = TaskId::new(id).unwrap();
    let mut record = TaskRecord::new(write(900).writer, Uuid::nil());
    for (seconds, change) in changes {
        record = apply(&record, change, &write(*seconds)).unwrap();
    }
    let changes = i64::try_from(changes.len()).unwrap();
    TaskView { id, revision: revision(30 + changes), record }
}

fn spec() -> PlanSpec {
    let phase = |number: &str, name: &str| PhaseSpec {
        number: number.into(),
        name: name.into(),
        ..PhaseSpec::default()
    };
    let task = |id: &str, phase: &str, depends_on: &[&str]| TaskSpec {
        phase: Some(phase.into()),
        depends_on: depends_on.iter().map(|id| TaskId::new(id).unwrap()).collect(),
        ..TaskSpec::new(TaskId::new(id).unwrap(), format!("Do {id}"))
    };
    PlanSpec {
        title: "Release 1.4".into(),
        source: Some(Source { path: "release.md".into(), sha256: "ab".repeat(32), location: None }),
        phases: vec![phase("1", "Build"), phase("2b", "Ship")],
        tasks: vec![
            task("1.1", "1", &[]),
            task("1.2", "1", &["1.1"]),
            task("1.10", "1", &["1.1"]),
            task("2.1", "2b", &["1.2", "1.10"]),
            task("2.2", "2b", &[]),
        ],
        ..PlanSpec::default()
    }
}

/// The plan: one task of each kind.
pub(super) fn plan() -> PlanView {
    let tasks = [
        task("1.1", &[(190, Change::Start), (180, Change::Complete(Some("tagged".into())))]),
        task("1.2", &[(170, Change::Start), (60, Change::Progress("half of\nit".into()))]),
        task("1.10", &[(170, Change::Start), (120, Change::Lose(OnLost::Ask, "ci-0 is gone".into()))]),
        task("2.1", &[]),
        task("2.2", &[(100, Change::Skip("not needed".into()))]),
    ];
    view(spec(), tasks, line())
}

/// The plan, defined like this.
pub(super) fn view(spec: PlanSpec, tasks: impl IntoIterator<Item = TaskView>, line: Queue) -> PlanView {
    let definition = Definition::new(revision(10), revision(10), spec);
    let mut parts = Parts::default();
    (parts.tasks, parts.queue) = (tasks.into_iter().collect(), Arc::new(line));
    PlanView::new(PlanName::new("release").unwrap(), revision(40), definition, parts)
}

/// The plan with other halts.
fn halted(plan: PlanView, halts: Halts) -> PlanView {
    let mut plan = plan;
    plan.change(plan.revision(), |parts| parts.halts = halts);
    plan
}

/// The plan with another definition.
pub(super) fn redefined(plan: PlanView, change: impl FnOnce(&mut PlanSpec)) -> PlanView {
    let mut spec = PlanSpec::clone(plan.spec());
    change(&mut spec);
    plan.with_definition(Definition::new(revision(10), revision(10), spec))
}

/// The plan with another record of a task.
pub(super) fn with_record(plan: PlanView, task: &TaskId, change: impl FnOnce(&mut TaskRecord)) -> PlanView {
    let (mut plan, mut task) = (plan.clone(), plan.tasks()[task].clone());
    change(&mut task.record);
    plan.change(plan.revision(), |parts| parts.put_task(Arc::new(task)));
    plan
}

/// The plan as it is at its end, without an owner: one task failed for good, the others are done.
pub(super) fn ended_with_a_failure() -> PlanView {
    let done = |id| task(id, &[(190, Change::Start), (180, Change::Complete(None))]);
    let mut failed = task("2.1", &[(100, Change::Start), (90, Change::Fail("boom".into()))]);
    failed.record.failures = 9;
    let tasks = [done("1.1"), done("1.2"), done("1.10"), failed, done("2.2")];
    view(spec(), tasks, Queue::new(Vec::new(), None))
}

/// What the claims of a plan hang on, of which only the owner is there.
pub(super) fn alive(view: &PlanView) -> Alive {
    let owner = view.queue().guard().unwrap_or(Guard::Unowned);
    Alive { owner, workers: BTreeSet::new(), limits: BTreeMap::new() }
}

/// The plan, cancelled while its owner worked, which was killed.
pub(super) fn abandoned() -> PlanView {
    let (at, halt) = paused().halts().paused.clone().unwrap();
    let closed = Some((at, HaltRecord { how: Halt::Cancelled, why: "enough".into(), ..halt }));
    let left = view(spec(), plan().tasks().values().cloned(), Queue::new(Vec::new(), None));
    halted(left, Halts { paused: None, closed })
}

/// The plan without an owner, of which 1.10 was put back and may start.
pub(super) fn ready_and_unowned() -> PlanView {
    let left = view(spec(), plan().tasks().values().cloned(), Queue::new(Vec::new(), None));
    with_record(left, &TaskId::new("1.10").unwrap(), |record| {
        (record.status, record.parked, record.error) = (TaskStatus::Pending, None, None);
    })
}

/// The plan, of which an operator has claimed 2.1 for an hour, 20 minutes ago.
pub(super) fn claimed_by_an_operator() -> PlanView {
    let writer = Writer { who: "ann@desk".into(), role: Role::Operator, term: None, guard: Guard::Unowned };
    with_record(plan(), &TaskId::new("2.1").unwrap(), |record| {
        *record = apply(record, &Change::Start, &Write { writer, ..write(1_200) }).unwrap();
        record.claim.as_mut().unwrap().limit = Some(ClaimLimit { lease: lease(30), seconds: 3_600 });
    })
}

/// A plan of this many tasks that all wait for the first.
pub(super) fn wide(tasks: usize) -> PlanView {
    let first = TaskId::new("1").unwrap();
    let ids = (2..=tasks).map(|n| TaskId::new(n.to_string()).unwrap());
    let others = ids.map(|id| TaskSpec { depends_on: vec![first.clone()], ..TaskSpec::new(id, "work") });
    let mut spec = PlanSpec { title: "Wide".into(), ..PlanSpec::default() };
    spec.tasks = std::iter::once(TaskSpec::new(first.clone(), "first")).chain(others).collect();
    let tasks: Vec<_> = spec.tasks.iter().map(|spec| task(spec.id.as_str(), &[])).collect();
    view(spec, tasks, line())
}

/// The plan, paused.
pub(super) fn paused() -> PlanView {
    let halt = HaltRecord {
        v: Default::default(),
        how: Halt::Paused,
        by: "me".into(),
        at: ago(60),
        why: "lunch".into(),
        extra: planlease_core::Extra::default(),
    };
    halted(plan(), Halts { paused: Some((revision(39), halt)), closed: None })
}

/// A worktree that the owner made.
pub(super) fn worktree(name: &str, state: WorktreeState) -> WorktreeView {
    let record = WorktreeRecord {
        v: Default::default(),
        id: Uuid::nil(),
        state,
        path: format!("/srv/trees/{name}"),
        repository: "/srv/repo/.git".into(),
        branch: format!("work/{name}"),
        base: "0123456789abcdef".repeat(2),
        plan: PlanName::new("release").unwrap(),
        task: Some(TaskId::new("1.2").unwrap()),
        token: line().term.map(|(_, term)| term.token()),
        guard: Some(Guard::Owner { lease: lease(20), revision: revision(20) }),
        by: "ci-1".into(),
        since: ago(90),
        why: (state == WorktreeState::Quarantined).then(|| "1 changed\nfile".into()),
        op_id: Uuid::nil(),
        extra: planlease_core::Extra::default(),
    };
    let (host, name) = (HostName::new("host-1").unwrap(), WorktreeName::new(name).unwrap());
    WorktreeView { host, name, created: revision(30), revision: revision(31), record }
}
