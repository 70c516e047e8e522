//! `watch`: what changed, in words and as JSON.
//!
//! A snapshot is one object, `planlease.snapshot.v1`; a change set is one object, `planlease.changes.v1`.
//! Each of its `changes` says in `change` what kind it is; whatever carries a record carries the whole of it,
//! so that a reader can keep a copy of the plans up to date from nothing else.

#[cfg(test)]
mod tests;
mod words;

use planlease::{TaskView, core::WallTime};
use planlease_core::{
    FencingToken, OrchestratorId, PlanName, Revision, Summary, TaskId, counted, keys::Layout,
    transition::TaskStatus,
};
use planlease_watcher::{Change, ChangeSet, OwnershipChange, PlanView, Snapshot};
use schemars::JsonSchema;
use serde::Serialize;

use self::words::{Told, told};
use super::{
    Document, SECOND_WIDTH, Time,
    halt::HaltedBy,
    owner::Ownership,
    plain,
    task::Record,
    unreadable::{UnreadableView, views},
};

/// How everything was at one revision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SnapshotShown {
    revision: Revision,
    plans: Vec<Held>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

/// A plan, whole.
#[derive(Debug, Serialize, JsonSchema)]
struct Held {
    plan: PlanName,
    title: String,
    summary: Summary,
    #[serde(flatten)]
    ownership: Ownership,
    tasks: Vec<Task>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TaskHeld")]
struct Task {
    task: TaskId,
    description: String,
    depends_on: Vec<TaskId>,
    #[serde(flatten)]
    record: Record,
}

/// What changed at one revision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangesShown {
    revision: Revision,
    /// Whether these are differences over a gap in the history.
    resynced: bool,
    changes: Vec<Dated>,
    #[serde(skip)]
    told: Vec<Told>,
}

/// A change, and when it happened by the clock of its writer; `at` is `None` if no record has the time.
#[derive(Debug, Serialize, JsonSchema)]
struct Dated {
    #[serde(flatten)]
    change: Shown,
    at: Option<Time>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
enum Shown {
    PlanAppeared(Box<Held>),
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
struct What {
    /// `acquired`, `released`, `handed_over`, `expired`, `forced`, `waiting`, `left`, `amended`.
    what: &'static str,
    /// Whom it happened to.
    orchestrator: Option<String>,
    token: Option<FencingToken>,
    /// To whom it was handed over.
    to: Option<String>,
    /// Who forced it, and why.
    by: Option<String>,
    reason: Option<String>,
}

impl SnapshotShown {
    /// These plans of a snapshot.
    pub fn new<'a>(snapshot: &Snapshot, plans: impl Iterator<Item = &'a PlanView>) -> Self {
        let unreadable: Vec<_> = snapshot.unreadable().collect();
        let plans = plans.map(Held::of).collect();
        Self { revision: snapshot.revision(), plans, unreadable: views(&unreadable) }
    }
}

impl Document for SnapshotShown {
    const SCHEMA: Option<&'static str> = Some("planlease.snapshot.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, now: WallTime) -> String {
        let plans = self.plans.iter().map(|held| {
            let Held { plan, summary, ownership, .. } = held;
            let told = format!(
                "{} of {} ended; owned by {}",
                summary.ended(),
                counted(summary.total, "task"),
                ownership.describe(now)
            );
            words::line(None, self.revision, Some(plan), &told)
        });
        plans.collect()
    }
}

impl Held {
    fn of(state: &PlanView) -> Self {
        let task = |view: &TaskView| {
            let spec = state.spec().task(&view.id);
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
            summary: state.summary(),
            ownership: Ownership::of(state.line()),
            tasks: state.tasks().values().map(|view| task(view)).collect(),
        }
    }
}

impl ChangesShown {
    /// The changes of a set. `layout`: the form of keys.
    #[must_use]
    pub fn new(set: &ChangeSet, layout: &Layout) -> Self {
        let told: Vec<Told> = set.changes.iter().map(|change| told(change, layout)).collect();
        let changes = set
            .changes
            .iter()
            .zip(&told)
            .map(|(change, told)| Dated { change: Shown::of(change, layout), at: told.at.map(Time) });
        Self { revision: set.revision, resynced: set.resynced, changes: changes.collect(), told }
    }
}

impl Document for ChangesShown {
    const SCHEMA: Option<&'static str> = Some("planlease.changes.v1");

    fn table(&self, _now: WallTime) -> String {
        let gap = "the history was compacted meanwhile; what differs since then:";
        let gap = self.resynced.then(|| words::line(None, self.revision, None, gap));
        let told = self.told.iter();
        let told = told.map(|told| words::line(told.at, self.revision, told.plan.as_ref(), &told.words));
        gap.into_iter().chain(told).collect()
    }
}

impl Shown {
    fn of(change: &Change, layout: &Layout) -> Self {
        match change {
            Change::PlanAppeared(state) => Self::PlanAppeared(Box::new(Held::of(state))),
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
            Change::Ownership { plan, what, line } => Self::Ownership {
                plan: plan.clone(),
                what: What::of(what),
                now: Box::new(Ownership::of(line)),
            },
            Change::OrchestratorAppeared(one) => Self::OrchestratorAppeared {
                orchestrator: one.id.clone(),
                host: one.record.host.clone(),
                pid: one.record.pid,
                version: one.record.version.clone(),
                started_at: one.record.started_at.into(),
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
