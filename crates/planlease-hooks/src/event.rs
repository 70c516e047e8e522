//! Which events a change of the store is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    PlanName, PlanState, Revision, TaskId,
    spec::Policies,
    standing::{Standing, standing},
    view::{PlanView, TaskView},
};
use planlease_watcher::{Change, ChangeSet, OwnershipChange, Snapshot};
use schemars::JsonSchema;
use serde::Serialize;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum EventKind {
    /// Every task of a plan is completed or skipped.
    #[serde(rename = "plan.finished")]
    PlanFinished,
    /// Every task of a plan has ended, and at least one failed for good.
    #[serde(rename = "plan.failed")]
    PlanFailed,
    /// A plan has tasks left, and does not go on without a person.
    #[serde(rename = "plan.stuck")]
    PlanStuck,
    /// A task of a plan waits for a decision.
    #[serde(rename = "plan.needs_decision")]
    PlanNeedsDecision,
    /// A task failed as often as it may.
    #[serde(rename = "task.failed")]
    TaskFailed,
    /// A task was put aside for a person's decision.
    #[serde(rename = "task.parked")]
    TaskParked,
    /// A task waits for a person's approval: its start, or its result.
    #[serde(rename = "task.needs_approval")]
    TaskNeedsApproval,
    /// An owner is gone without having released its plan.
    #[serde(rename = "owner.lost")]
    OwnerLost,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PlanFinished,
        Self::PlanFailed,
        Self::PlanStuck,
        Self::PlanNeedsDecision,
        Self::TaskFailed,
        Self::TaskParked,
        Self::TaskNeedsApproval,
        Self::OwnerLost,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlanFinished => "plan.finished",
            Self::PlanFailed => "plan.failed",
            Self::PlanStuck => "plan.stuck",
            Self::PlanNeedsDecision => "plan.needs_decision",
            Self::TaskFailed => "task.failed",
            Self::TaskParked => "task.parked",
            Self::TaskNeedsApproval => "task.needs_approval",
            Self::OwnerLost => "owner.lost",
        }
    }
}

/// One event, as its receiver gets it in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Event {
    /// The name and version of this form.
    pub schema: &'static str,
    /// Names the event: the same when it is delivered again.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The plan.
    pub plan: PlanName,
    /// The title of the plan.
    pub title: String,
    /// The task, of an event about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The state of the plan after the event.
    pub state: PlanState,
    /// What is known about it: the error, the decision that is asked for, the owner that is gone.
    pub what: String,
    /// The revision at which it happened.
    pub revision: Revision,
}

/// The name and version of an event's form.
const SCHEMA: &str = "planlease.event.v1";

/// The states of all plans, kept from change to change.
#[derive(Clone, Debug, Default)]
pub(crate) struct States(BTreeMap<PlanName, Known>);

/// What is known of a plan.
#[derive(Clone, Debug)]
struct Known {
    state: PlanState,
    /// The tasks that wait for approval, each with the attempt. A task may begin to wait when one before it
    /// ends, without a change of its own.
    waiting: BTreeSet<(TaskId, u32)>,
}

impl Known {
    fn of(plan: &PlanView) -> Self {
        Self { state: PlanState::of(plan), waiting: waiting(plan) }
    }
}

impl States {
    /// Of all plans.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self(snapshot.plans().map(|plan| (plan.name().clone(), Known::of(plan))).collect())
    }

    /// The events of these changes, in a fixed order. `after`: everything as it is after them.
    pub(crate) fn events(&mut self, set: &ChangeSet, after: &Snapshot) -> Vec<Event> {
        let touched: BTreeSet<&PlanName> = set.changes.iter().filter_map(Change::plan).collect();
        let mut events = Vec::new();
        for name in touched {
            let Some(plan) = after.plan(name) else {
                self.0.remove(name);
                continue;
            };
            let known = Known::of(plan);
            let (state, waiting) = (known.state, known.waiting.clone());
            let before = self.0.insert(name.clone(), known);
            for change in set.changes.iter().filter(|change| change.plan() == Some(name)) {
                events.extend(
                    of_change(change, plan).map(|(kind, task, what)| {
                        Event::new(kind, plan, state, set.revision).about(task, what)
                    }),
                );
            }
            let knew = before.as_ref().map(|before| &before.waiting);
            for (task, _) in waiting.iter().filter(|one| !knew.is_some_and(|knew| knew.contains(one))) {
                let question = plan.tasks().get(task).and_then(|task| task.record.approval_question());
                events.push(
                    Event::new(EventKind::TaskNeedsApproval, plan, state, set.revision)
                        .about(Some(task.clone()), question.unwrap_or_default()),
                );
            }
            let before = before.map(|before| before.state);
            // A plan that is imported when it is done already has not finished just now.
            if before != Some(state) && (before.is_some() || state.needs_person()) {
                events.extend(of_state(plan, state, set.revision));
            }
        }
        events
    }

    /// What a receiver should know of the present, when what led to it is not known any more.
    pub(crate) fn present(snapshot: &Snapshot) -> Vec<Event> {
        let trouble = |plan: &PlanView| {
            let state = PlanState::of(plan);
            of_state(plan, state, snapshot.revision()).filter(|_| state.needs_person())
        };
        snapshot.plans().filter_map(|plan| trouble(plan)).collect()
    }
}

impl Event {
    fn new(kind: EventKind, plan: &PlanView, state: PlanState, revision: Revision) -> Self {
        Self {
            schema: SCHEMA,
            id: format!("{revision}-{}-{}", kind.as_str(), plan.name()),
            kind,
            plan: plan.name().clone(),
            title: plan.spec().title.clone(),
            task: None,
            state,
            what: String::new(),
            revision,
        }
    }

    fn about(self, task: Option<TaskId>, what: String) -> Self {
        let id = match &task {
            Some(task) => format!("{}-{task}", self.id),
            None => self.id,
        };
        Self { id, task, what, ..self }
    }
}

/// The tasks that wait for approval and for nothing else, each with the attempt. None in a plan that is
/// halted.
fn waiting(plan: &PlanView) -> BTreeSet<(TaskId, u32)> {
    if plan.halt().is_some() {
        return BTreeSet::new();
    }
    plan.approvals().map(|(task, awaits)| (task.id.clone(), awaits.attempt())).collect()
}

/// The event of a state that a plan has reached.
fn of_state(plan: &PlanView, state: PlanState, revision: Revision) -> Option<Event> {
    let kind = match state {
        PlanState::Done => EventKind::PlanFinished,
        PlanState::Failed => EventKind::PlanFailed,
        PlanState::Stuck => EventKind::PlanStuck,
        PlanState::NeedsDecision => EventKind::PlanNeedsDecision,
        PlanState::Running
        | PlanState::Waiting
        | PlanState::Paused
        | PlanState::Cancelled
        | PlanState::Archived => return None,
    };
    let summary = plan.summary();
    let mut what = format!("{} of {} tasks are done", summary.completed + summary.skipped, summary.total);
    for (task, why) in plan.failed().take(3) {
        what += &format!("; {task}: {why}");
    }
    Some(Event::new(kind, plan, state, revision).about(None, what))
}

/// The event of one change, if it is one by itself.
fn of_change(change: &Change, plan: &PlanView) -> Option<(EventKind, Option<TaskId>, String)> {
    match change {
        Change::Task { task, before, .. } => {
            let now = trouble(plan, task);
            // What was known before is not reported again: a note on a parked task, for example.
            let known = before.as_ref().map_or(Trouble::None, |before| trouble(plan, before));
            let (kind, what) = if now == known { None } else { now.into_event() }?;
            Some((kind, Some(task.id.clone()), what))
        }
        Change::Ownership { what: OwnershipChange::Expired { owner, token }, .. } => {
            Some((EventKind::OwnerLost, None, format!("{owner} (token {token}) did not release the plan")))
        }
        _ => None,
    }
}

/// What a task needs a person for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Failed(String),
    Parked(String),
}

impl Trouble {
    fn into_event(self) -> Option<(EventKind, String)> {
        match self {
            Self::None => None,
            Self::Failed(what) => Some((EventKind::TaskFailed, what)),
            Self::Parked(what) => Some((EventKind::TaskParked, what)),
        }
    }
}

fn trouble(plan: &PlanView, task: &TaskView) -> Trouble {
    let policies = Policies::of(plan.spec());
    let policy = policies.of_task(&task.id);
    match standing(&task.id, &task.record, policy, plan.graph(), |id| plan.status(id)) {
        Standing::Exhausted { .. } => {
            Trouble::Failed(task.record.error.clone().unwrap_or_else(|| "no reason given".to_owned()))
        }
        Standing::Parked(what) => Trouble::Parked(what),
        _ => Trouble::None,
    }
}

#[cfg(test)]
mod tests {
    use planlease::RawSnapshot;
    use planlease_core::{
        change::{Entry, KeyChange, RawChangeSet},
        codec,
        keys::{Key, PlanKey},
        record::{Guard, Role, TaskRecord, Writer},
        spec::{PlanSpec, TaskSpec},
        transition::TaskStatus,
    };
    use planlease_watcher::Store;
    use uuid::Uuid;

    use super::*;

    fn revision(n: i64) -> Revision {
        Revision::from_wire(n).unwrap()
    }

    fn id(task: &str) -> TaskId {
        TaskId::new(task).unwrap()
    }

    fn entry(value: Vec<u8>, at: i64) -> Entry {
        Entry { value, modified: revision(at), created: revision(1), version: 1, lease: None }
    }

    fn of(key: PlanKey) -> Key {
        Key::Plan(PlanName::new("p").unwrap(), key)
    }

    fn record(status: TaskStatus) -> TaskRecord {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        TaskRecord { status, ..TaskRecord::new(writer, Uuid::nil()) }
    }

    fn failed() -> TaskRecord {
        TaskRecord { failures: 1, error: Some("boom".into()), ..record(TaskStatus::Failed) }
    }

    /// A store with a plan of two tasks, of which each may fail once.
    fn store() -> Store {
        let tasks = ["1", "2"].map(|task| TaskSpec::new(id(task), "work"));
        let mut spec = PlanSpec { title: "Plan".into(), tasks: tasks.into(), ..PlanSpec::default() };
        spec.policy.max_retries = 0;
        let pending = || entry(codec::encode(&record(TaskStatus::Pending)).unwrap(), 1);
        let entries = vec![
            (of(PlanKey::Spec), entry(codec::encode(&spec).unwrap(), 1)),
            (of(PlanKey::Task(id("1"))), pending()),
            (of(PlanKey::Task(id("2"))), pending()),
        ];
        Store::load(&RawSnapshot { revision: revision(1), entries })
    }

    #[test]
    fn each_trouble_and_each_end_is_one_event() {
        let mut store = store();
        let mut states = States::of(store.snapshot());
        let parked = TaskRecord { parked: Some("which?".into()), ..failed() };
        let mut at = 10;
        let mut write = |task: &str, record: &TaskRecord| {
            at += 1;
            let entry = Some(entry(codec::encode(record).unwrap(), at));
            let change = KeyChange { key: of(PlanKey::Task(id(task))), entry };
            let set = store.apply(&RawChangeSet { revision: revision(at), changes: vec![change] }).unwrap();
            let events = states.events(&set, store.snapshot());
            let show = |event: Event| {
                let task = event.task.map_or_else(String::new, |task| format!(" {task}: {}", event.what));
                format!("{}{task}", event.kind.as_str())
            };
            events.into_iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(write("1", &failed()), ["task.failed 1: boom"]);
        assert_eq!(write("1", &TaskRecord { attempt: 7, ..failed() }), [""; 0], "it is known already");
        assert_eq!(write("2", &record(TaskStatus::Skipped)), ["plan.failed"]);
        assert_eq!(write("1", &record(TaskStatus::Pending)), [""; 0]);
        assert_eq!(write("1", &parked), ["task.parked 1: which?", "plan.needs_decision"]);
        assert_eq!(write("1", &record(TaskStatus::Completed)), ["plan.finished"]);
    }

    #[test]
    fn an_event_has_the_same_id_whenever_it_is_made() {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut store = store();
            let mut states = States::of(store.snapshot());
            let entry = Some(entry(codec::encode(&failed()).unwrap(), 20));
            let change = KeyChange { key: of(PlanKey::Task(id("1"))), entry };
            let set = store.apply(&RawChangeSet { revision: revision(20), changes: vec![change] }).unwrap();
            ids.push(states.events(&set, store.snapshot()).remove(0).id);
        }
        assert_eq!(ids, ["20-task.failed-p-1", "20-task.failed-p-1"]);
    }

    #[test]
    fn after_a_gap_only_what_needs_a_person_is_reported() {
        let mut store = store();
        assert_eq!(States::present(store.snapshot()), []);
        let changes = ["1", "2"].map(|task| KeyChange {
            key: of(PlanKey::Task(id(task))),
            entry: Some(entry(codec::encode(&failed()).unwrap(), 20)),
        });
        let _ = store.apply(&RawChangeSet { revision: revision(20), changes: changes.into() });
        let kinds: Vec<EventKind> =
            States::present(store.snapshot()).iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::PlanFailed]);
    }
}
