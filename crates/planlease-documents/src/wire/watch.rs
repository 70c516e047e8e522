//! `watch`: snapshots and changes of plans.
//!
//! A snapshot is one object, `planlease.snapshot.v1`; a change set is one object, `planlease.changes.v1`.
//! Each of its `changes` says in `change` what kind it is; whatever carries a record carries the whole of it,
//! so that a reader can keep a copy of the plans up to date from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use planlease::{TaskView, core::WallTime};
use planlease_core::{
    FencingToken, OrchestratorId, PlanName, PlanState, Revision, Summary, TaskId,
    keys::Layout,
    record::{Ending, TaskRecord, TransitionRecord},
    spec::TaskSpec,
    term::Queue,
    transition::TaskStatus,
};
use planlease_watcher::{Change, ChangeSet, OwnershipChange, PlanView, Snapshot};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    halt::HaltedBy,
    orchestrator::LoadView,
    owner::Ownership,
    task::Record,
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// How everything was at one revision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SnapshotView {
    pub(crate) revision: Revision,
    pub(crate) plans: Vec<PlanContents>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

/// A plan, whole.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanContents {
    pub(crate) plan: PlanName,
    pub(crate) title: String,
    /// Whether it went on by itself at this revision, and if not, what it needed, in one word.
    pub(crate) state: PlanState,
    /// What keeps it from going on, if anything does.
    pub(crate) halted: Option<HaltedBy>,
    pub(crate) summary: Summary,
    #[serde(flatten)]
    pub(crate) ownership: Ownership,
    pub(crate) tasks: Vec<Task>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskContents")]
pub(crate) struct Task {
    pub(crate) task: TaskId,
    pub(crate) description: String,
    pub(crate) depends_on: Vec<TaskId>,
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// What changed at one revision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangesView {
    pub(crate) revision: Revision,
    /// Whether these are differences over a gap in the history.
    pub(crate) resynced: bool,
    pub(crate) changes: Vec<Dated>,
    /// The states of the plans that changed, as of this revision or a later one. Absent from a reader that
    /// holds no plans, as `watch`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) states: BTreeMap<PlanName, PlanState>,
}

/// A change, and when it happened by the clock of its writer; `at` is `None` if no record of the same
/// transaction has the time.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Dated {
    #[serde(flatten)]
    pub(crate) change: ChangeView,
    pub(crate) at: Option<Time>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum ChangeView {
    PlanAppeared(Box<PlanContents>),
    PlanGone {
        plan: PlanName,
    },
    Task {
        plan: PlanName,
        task: TaskId,
        /// Its status before; `None` if the task was not there.
        before: Option<TaskStatus>,
        #[serde(flatten)]
        record: Box<Record>,
    },
    TaskGone {
        plan: PlanName,
        task: TaskId,
    },
    Redefined {
        plan: PlanName,
        title: String,
        /// How many tasks it has now.
        tasks: usize,
    },
    Findings {
        plan: PlanName,
        task: TaskId,
        /// The revision that wrote them; `None` if they were deleted.
        written_at: Option<Revision>,
    },
    Halted {
        plan: PlanName,
        /// `None` if it goes on.
        halted: Option<HaltedBy>,
    },
    Ownership {
        plan: PlanName,
        #[serde(flatten)]
        what: What,
        /// As it is after the whole set.
        #[serde(flatten)]
        now: Box<Ownership>,
    },
    OrchestratorAppeared {
        orchestrator: OrchestratorId,
        host: String,
        pid: u32,
        version: String,
        started_at: Time,
    },
    /// It says something else about itself than before.
    OrchestratorChanged {
        orchestrator: OrchestratorId,
        /// How loaded it is, if it says so.
        load: Option<LoadView>,
    },
    OrchestratorGone {
        orchestrator: OrchestratorId,
    },
    Unreadable {
        key: String,
        /// `None` once it is gone or readable again.
        reason: Option<String>,
    },
    /// Something that this version has no words for.
    Other,
}

/// What happened to an ownership.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct What {
    /// `acquired`, `released`, `handed_over`, `expired`, `forced`, `waiting`, `left`, `amended`.
    pub(crate) what: &'static str,
    /// Whom it happened to.
    pub(crate) orchestrator: Option<String>,
    pub(crate) token: Option<FencingToken>,
    /// To whom it was handed over.
    pub(crate) to: Option<String>,
    /// Who forced it, and why.
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

impl SnapshotView {
    /// These plans of a snapshot.
    pub fn new<'a>(snapshot: &Snapshot, plans: impl Iterator<Item = &'a PlanView>) -> Self {
        let unreadable: Vec<_> = snapshot.unreadable().collect();
        let plans = plans.map(PlanContents::of).collect();
        Self { revision: snapshot.revision(), plans, unreadable: views(&unreadable) }
    }
}

impl Document for SnapshotView {
    const SCHEMA: Option<&'static str> = Some("planlease.snapshot.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}

impl PlanContents {
    fn of(state: &PlanView) -> Self {
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            state.spec().tasks.iter().map(|spec| (&spec.id, spec)).collect();
        let task = |view: &TaskView| {
            let spec = specs.get(&view.id);
            Task {
                task: view.id.clone(),
                description: spec.map(|spec| spec.description.clone()).unwrap_or_default(),
                depends_on: spec.map(|spec| spec.depends_on.clone()).unwrap_or_default(),
                record: Record::of(view),
            }
        };
        Self {
            plan: state.name().clone(),
            title: state.spec().title.clone(),
            state: PlanState::of(state),
            halted: state.halt().map(HaltedBy::of),
            summary: state.summary(),
            ownership: Ownership::of(state.queue()),
            tasks: state.tasks().values().map(task).collect(),
        }
    }
}

impl ChangesView {
    /// The changes of a set. `layout`: the form of keys.
    #[must_use]
    pub fn new(set: &ChangeSet, layout: &Layout) -> Self {
        // A set is one transaction, made at one moment; what differs after a gap is of many.
        let of_set = set.changes.iter().find_map(moment).filter(|_| !set.resynced);
        // An ownership has its own moment or none: what expired is written down later, by the next owner.
        let borrows = |change: &Change| !matches!(change, Change::Ownership { .. });
        let at = |change| moment(change).or(of_set.filter(|_| borrows(change))).map(Time);
        let dated = |change| Dated { change: ChangeView::of(change, layout), at: at(change) };
        let changes = set.changes.iter().map(dated).collect();
        Self { revision: set.revision, resynced: set.resynced, changes, states: BTreeMap::new() }
    }

    /// With the states of the plans that the set changed, as they are in this snapshot.
    #[must_use]
    pub fn with_states(self, set: &ChangeSet, snapshot: &Snapshot) -> Self {
        let changed: BTreeSet<&PlanName> = set.changes.iter().filter_map(Change::plan).collect();
        let plans = changed.into_iter().filter_map(|name| snapshot.plan(name));
        let states = plans.map(|plan| (plan.name().clone(), PlanState::of(plan))).collect();
        Self { states, ..self }
    }
}

impl Document for ChangesView {
    const SCHEMA: Option<&'static str> = Some("planlease.changes.v1");
}

impl ChangeView {
    fn of(change: &Change, layout: &Layout) -> Self {
        match change {
            Change::PlanAppeared(state) => Self::PlanAppeared(Box::new(PlanContents::of(state))),
            Change::PlanGone { plan } => Self::PlanGone { plan: plan.clone() },
            Change::Task { plan, task, before } => Self::Task {
                plan: plan.clone(),
                task: task.id.clone(),
                before: before.as_ref().map(|before| before.record.status),
                record: Box::new(Record::of(task)),
            },
            Change::TaskGone { plan, before } => {
                Self::TaskGone { plan: plan.clone(), task: before.id.clone() }
            }
            Change::Redefined(state) => Self::Redefined {
                plan: state.name().clone(),
                title: state.spec().title.clone(),
                tasks: state.spec().tasks.len(),
            },
            Change::Findings { plan, task, revision } => {
                Self::Findings { plan: plan.clone(), task: task.clone(), written_at: *revision }
            }
            Change::Halted { plan, halts } => {
                let halt = halts.closed.as_ref().or(halts.paused.as_ref());
                Self::Halted { plan: plan.clone(), halted: halt.map(|(_, record)| HaltedBy::of(record)) }
            }
            Change::Ownership { plan, what, queue } => Self::Ownership {
                plan: plan.clone(),
                what: What::of(what),
                now: Box::new(Ownership::of(queue)),
            },
            Change::OrchestratorAppeared(one) => Self::OrchestratorAppeared {
                orchestrator: one.id.clone(),
                host: one.record.host.clone(),
                pid: one.record.pid,
                version: one.record.version.clone(),
                started_at: one.record.started_at.into(),
            },
            Change::OrchestratorChanged(one) => Self::OrchestratorChanged {
                orchestrator: one.id.clone(),
                load: one.record.load.as_ref().map(LoadView::of),
            },
            Change::OrchestratorGone(one) => Self::OrchestratorGone { orchestrator: one.id.clone() },
            Change::Unreadable { key, reason } => {
                let key = String::from_utf8_lossy(&layout.key(key)).into_owned();
                Self::Unreadable { key, reason: reason.clone() }
            }
            _ => Self::Other,
        }
    }
}

impl What {
    fn of(what: &OwnershipChange) -> Self {
        let of = |what, owner: &OrchestratorId, token: FencingToken| Self {
            what,
            orchestrator: Some(owner.to_string()),
            token: Some(token),
            ..Self::default()
        };
        match what {
            OwnershipChange::Acquired { owner, token } => of("acquired", owner, *token),
            OwnershipChange::Released { owner, token } => of("released", owner, *token),
            OwnershipChange::HandedOver { owner, token, to } => {
                Self { to: Some(to.to_string()), ..of("handed_over", owner, *token) }
            }
            OwnershipChange::Expired { owner, token } => of("expired", owner, *token),
            OwnershipChange::Forced { owner, token, by, reason } => {
                Self { by: Some(by.clone()), reason: Some(reason.clone()), ..of("forced", owner, *token) }
            }
            OwnershipChange::Waiting(one) => {
                Self { what: "waiting", orchestrator: Some(one.name()), ..Self::default() }
            }
            OwnershipChange::Left(one) => {
                Self { what: "left", orchestrator: Some(one.name()), ..Self::default() }
            }
            OwnershipChange::Amended => Self { what: "amended", ..Self::default() },
            _ => Self { what: "other", ..Self::default() },
        }
    }
}

/// When a change happened, by the clock of its writer; `None` if no record has the time.
fn moment(change: &Change) -> Option<WallTime> {
    match change {
        Change::Task { task, before, .. } => {
            moment_of_task(&task.record, before.as_ref().map(|before| &before.record))
        }
        Change::Halted { halts, .. } => {
            halts.closed.as_ref().or(halts.paused.as_ref()).map(|(_, halt)| halt.at)
        }
        Change::Ownership { what, queue, .. } => moment_of_ownership(what, queue),
        Change::OrchestratorAppeared(one) => Some(one.record.started_at),
        _ => None,
    }
}

/// When a step was entered into a task's history, or its attempt was cancelled.
fn moment_of_task(record: &TaskRecord, before: Option<&TaskRecord>) -> Option<WallTime> {
    let is_new =
        |step: &&TransitionRecord| before.is_none_or(|before| before.transitions.last() != Some(*step));
    let cancelled = record.cancel.as_deref();
    let cancelled = cancelled.filter(|_| before.is_none_or(|before| before.cancel.is_none()));
    let step = record.transitions.last().filter(is_new).map(|step| step.at);
    step.or_else(|| cancelled.map(|request| request.at))
}

fn moment_of_ownership(what: &OwnershipChange, line: &Queue) -> Option<WallTime> {
    let term =
        |token: &FencingToken| line.term.as_ref().map(|(_, term)| term).filter(|term| term.token() == *token);
    match what {
        OwnershipChange::Acquired { token, .. } => term(token).map(|term| term.since),
        OwnershipChange::Released { token, .. }
        | OwnershipChange::HandedOver { token, .. }
        | OwnershipChange::Forced { token, .. } => {
            // A term that expired was closed by the next owner, later than it ended.
            let end = term(token).and_then(|term| term.ended.as_ref());
            end.filter(|end| end.how != Ending::Unclean).map(|end| end.at)
        }
        OwnershipChange::Waiting(one) => one.record.as_ref().map(|record| record.since),
        _ => None,
    }
}
