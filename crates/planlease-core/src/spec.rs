//! What a plan is made of: its immutable definition, and the checks that make it sound.

mod policy;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::policy::{HeartbeatOn, OnLost, Policy, TaskPolicy};
use crate::{approval::ApprovalOf, codec, id::TaskId, on_failed::OnDependencyFailed, status::TaskStatus};

/// The most tasks a plan may have. Bounds the memory of its readers, and the time of its graph algorithms.
pub const MAX_TASKS: usize = 100_000;

/// The most tasks that one task may depend on: all of them are compared in the transaction that starts it,
/// and etcd allows 128 compares. A task that joins more can wait for tasks that join some of them each.
pub const MAX_DEPENDENCIES: usize = 100;

/// The longest text of one field (title, description, step), in bytes.
pub const MAX_TEXT: usize = 16 * 1024;

/// The field of a definition that identifies its import, so that an import whose answer was lost is
/// recognised.
pub const IMPORT_ID: &str = "import_id";

/// The field of a definition that says when it was imported, for people.
pub const IMPORTED_AT: &str = "imported_at";

/// The field of a task that says that its box is ticked in the plan file.
pub const CHECKED: &str = "checked";

/// The field of a task that keeps what its mark in the file says that is neither open nor done:
/// `in_progress`, `blocked`, `deferred`, or [`DROPPED`].
pub const MARK: &str = "mark";

/// The [`MARK`] of a task that is not to be done any more.
pub const DROPPED: &str = "dropped";

/// The field of a task that keeps the words in which the plan file says how far it is, where other programs
/// wrote them: a status, or whether it passes.
pub const STATED: &str = "stated";

/// As [`IMPORT_ID`], of the last edit.
pub const EDIT_ID: &str = "edit_id";

/// The field of a definition that says when it was edited last, for people.
pub const EDITED_AT: &str = "edited_at";

/// The definition of a plan. What changes while a plan is executed are the task records; the definition
/// changes only if it is edited, see [`crate::edit`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanSpec {
    /// What the plan is called by people.
    pub title: String,
    /// What people say about it, by which orchestrators can [select](crate::selector) it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of the plans without an owner, those of a higher priority are acquired first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Where it came from, if from a file: for telling whether a file on disk is still the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The phases, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseSpec>,
    /// What has to be done one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequential: Vec<Group>,
    /// What can be done side by side: ready tasks of these phases are handed out by turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parallel: Vec<Group>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<TaskSpec>,
    /// Whether ready tasks of one phase and priority start in the order of the file; otherwise by their ids,
    /// number by number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_file_order: bool,
    /// How its tasks are treated.
    #[serde(default)]
    pub policy: Policy,
    /// What a newer version, or the file, said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The file that a plan was imported from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The path as given at the import.
    pub path: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Where exactly it was, if that is known: the same path as given may be another file in another folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A file on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The host's name.
    pub host: String,
    /// The absolute path, without symbolic links.
    pub path: String,
}

impl Source {
    /// The path, as exactly as it is known.
    #[must_use]
    pub fn full_path(&self) -> &str {
        self.location.as_ref().map_or(&self.path, |at| &at.path)
    }

    /// Whether both may be one file: the same path on one host; else, as hosts have their folders elsewhere,
    /// one path as given is the end of the other.
    #[must_use]
    pub fn may_be_same_file(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (&self.location, &other.location)
            && one.host == other.host
        {
            return one.path == other.path;
        }
        let (this, that) =
            (ends_with(self.full_path(), &other.path), ends_with(other.full_path(), &self.path));
        match (&self.location, &other.location) {
            (Some(_), Some(_)) => this || that,
            (Some(_), None) => this,
            (None, Some(_)) => that,
            (None, None) => this && that,
        }
    }
}

/// Whether a path ends with another one, part by part.
fn ends_with(path: &str, end: &str) -> bool {
    let parts = |path: &str| {
        let parts = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    parts(path).ends_with(&parts(end))
}

/// Tasks or phases about whose order a plan says something; see [`crate::order`] for what that means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The tasks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskId>,
    /// Or the numbers of the phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a newer version, or the file, said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a phase waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStart {
    /// The task that has to be done.
    pub after: TaskId,
}

/// A group of tasks with a name. Phases order the ready tasks; they block nothing unless they say so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseSpec {
    /// The phase's number as the file has it; not always a number (`2b`).
    pub number: String,
    /// What it is called.
    pub name: String,
    /// What has to hold at its end, as the file says it. Kept and shown, not scheduled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verification: Vec<String>,
    /// Whether no task has to wait for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verification_non_blocking: bool,
    /// What the phase waits for, if the plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_start: Option<PipelineStart>,
    /// What has to be done one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequential: Vec<Group>,
    /// What can be done side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parallel: Vec<Group>,
    /// What a newer version, or the file, said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A task: the unit whose status changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its id, unique in the plan.
    pub id: TaskId,
    /// The number of its phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What is to be done.
    pub description: String,
    /// The tasks that must be completed or skipped before it may start.
    #[serde(default, deserialize_with = "codec::shrunk", skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// Of ready tasks, those of a higher priority are handed out first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// What it takes to do it: workers can ask for tasks with certain labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// What a process must be able to do to run it, such as `gpu`: only orchestrators that say so take it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<String>,
    /// The lines below it in the file: details and steps. Kept and shown, not scheduled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// The command that does it, program first, if the plan says so; else the orchestrator's own is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// What a person has to approve of it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalOf>,
    /// Where the task differs from the plan's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<TaskPolicy>>,
    /// What a newer version, or the file, said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TaskSpec {
    /// A task with nothing but an id and a description.
    #[must_use]
    pub fn new(id: TaskId, description: impl Into<String>) -> Self {
        Self {
            id,
            phase: None,
            description: description.into(),
            depends_on: Vec::new(),
            priority: 0,
            labels: BTreeSet::new(),
            needs: BTreeSet::new(),
            steps: Vec::new(),
            command: None,
            approval: None,
            policy: None,
            extra: Map::new(),
        }
    }

    /// Whether its box is ticked in the plan file.
    #[must_use]
    pub fn is_ticked(&self) -> bool {
        self.extra.get(CHECKED).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Whether its plan file says of it what a plan has with this status. The file may say less: it has no
    /// words for some of them.
    #[must_use]
    pub fn agrees_with(&self, status: TaskStatus) -> bool {
        match status {
            TaskStatus::Completed => self.is_ticked() && !self.is_dropped(),
            TaskStatus::Skipped => self.is_ticked(),
            _ => !self.is_ticked(),
        }
    }

    /// Whether its mark in the plan file says that it is not to be done any more.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.extra.get(MARK).and_then(Value::as_str) == Some(DROPPED)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

/// The policies of all tasks of a plan, to be looked up at once.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    plan: Policy,
    /// Of those that differ.
    own: BTreeMap<TaskId, Policy>,
}

impl Policies {
    /// Of this plan.
    #[must_use]
    pub fn of(spec: &PlanSpec) -> Self {
        let own = spec.tasks.iter().filter(|task| task.policy.is_some());
        let own = own.map(|task| (task.id.clone(), spec.policy_of(task))).collect();
        Self { plan: spec.policy.clone(), own }
    }

    /// How this task is treated.
    #[must_use]
    pub fn of_task(&self, task: &TaskId) -> &Policy {
        self.own.get(task).unwrap_or(&self.plan)
    }

    /// Whether the failure of a task decides anything about those behind it.
    #[must_use]
    pub fn consider_failures(&self) -> bool {
        self.all().any(|policy| !policy.on_dependency_failed.is_wait())
    }

    /// Whether tasks are given up when one that they wait for has failed for good.
    #[must_use]
    pub fn give_up(&self) -> bool {
        let gives_up = |on_failed| matches!(on_failed, OnDependencyFailed::Skip | OnDependencyFailed::Fail);
        self.all().any(|policy| gives_up(policy.on_dependency_failed))
    }

    fn all(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&self.plan).chain(self.own.values())
    }
}

impl PlanSpec {
    /// The task of this id. Linear; for many look-ups build a [`Graph`](crate::graph::Graph).
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&TaskSpec> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// The tasks whose boxes are ticked in the plan file.
    pub fn ticked(&self) -> impl Iterator<Item = &TaskSpec> {
        self.tasks.iter().filter(|task| task.is_ticked())
    }

    /// Whether `edited` may come from the file that this plan was made of. Where its location does not show
    /// it, both must have the same title.
    #[must_use]
    pub fn has_origin_of(&self, edited: &Self) -> bool {
        let (Some(own), Some(other)) = (&self.source, &edited.source) else { return false };
        let is_located = own.location.is_some() && other.location.is_some();
        own.sha256 == other.sha256
            || own.may_be_same_file(other) && (is_located || self.title == edited.title)
    }

    /// How this task is treated: the plan's policy with what the task says differently.
    #[must_use]
    pub fn policy_of(&self, task: &TaskSpec) -> Policy {
        let own = task.policy.as_deref().cloned().unwrap_or_default();
        Policy {
            max_retries: own.max_retries.unwrap_or(self.policy.max_retries),
            max_lost: own.max_lost.unwrap_or(self.policy.max_lost),
            max_attempts: own.max_attempts.unwrap_or(self.policy.max_attempts),
            budget: own.budget.unwrap_or(self.policy.budget),
            attempt_deadline_s: own.attempt_deadline_s.unwrap_or(self.policy.attempt_deadline_s),
            retry_delay_s: own.retry_delay_s.unwrap_or(self.policy.retry_delay_s),
            total_deadline_s: own.total_deadline_s.unwrap_or(self.policy.total_deadline_s),
            queue_deadline_s: own.queue_deadline_s.unwrap_or(self.policy.queue_deadline_s),
            heartbeat_s: own.heartbeat_s.unwrap_or(self.policy.heartbeat_s),
            heartbeat_on: own.heartbeat_on.unwrap_or(self.policy.heartbeat_on),
            on_lost: own.on_lost.unwrap_or(self.policy.on_lost),
            retry_on: own.retry_on.unwrap_or_else(|| self.policy.retry_on.clone()),
            fail_on: own.fail_on.unwrap_or_else(|| self.policy.fail_on.clone()),
            ask_on: own.ask_on.unwrap_or_else(|| self.policy.ask_on.clone()),
            on_dependency_failed: own.on_dependency_failed.unwrap_or(self.policy.on_dependency_failed),
            pools: own.pools.unwrap_or_else(|| self.policy.pools.clone()),
            ..self.policy.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Guard, Role, Writer};
    use crate::{MAX_DURATION, record::TaskRecord, soundness::SpecError};

    fn of(policy: Policy, own: TaskPolicy) -> PlanSpec {
        let task = TaskSpec::new(TaskId::new("1").unwrap(), "work");
        PlanSpec {
            tasks: vec![TaskSpec { policy: Some(Box::new(own)), ..task }],
            policy,
            ..PlanSpec::default()
        }
    }

    #[test]
    fn a_duration_above_ten_years_is_refused() {
        let most = MAX_DURATION.as_secs();
        let names =
            ["attempt_deadline_s", "retry_delay_s", "total_deadline_s", "queue_deadline_s", "heartbeat_s"];
        let of_plan = names.into_iter().chain(["retry_delay_max_s", "lock_delay_s"]);
        let read = |name: &str, seconds: u64| serde_json::json!({ name: seconds });
        for name in of_plan {
            let with = |seconds| serde_json::from_value::<Policy>(read(name, seconds)).unwrap();
            assert_eq!(of(with(most), TaskPolicy::default()).problems(), []);
            let refused = SpecError::DurationTooLong { task: None, field: name, seconds: u64::MAX };
            assert_eq!(of(with(u64::MAX), TaskPolicy::default()).problems(), [refused]);
        }
        for name in names {
            let with = |seconds| serde_json::from_value::<TaskPolicy>(read(name, seconds)).unwrap();
            assert_eq!(of(Policy::default(), with(most)).problems(), []);
            let problems = of(Policy::default(), with(most + 1)).problems();
            assert!(problems[0].to_string().starts_with(&format!("{name} of task 1 is ")), "{problems:?}");
        }
    }

    #[test]
    fn a_stored_duration_above_ten_years_counts_as_ten_years() {
        let seconds = u64::MAX;
        let policy = Policy {
            attempt_deadline_s: seconds,
            retry_delay_s: seconds,
            retry_delay_max_s: seconds,
            total_deadline_s: seconds,
            queue_deadline_s: seconds,
            heartbeat_s: seconds,
            lock_delay_s: seconds,
            ..Policy::default()
        };
        let limits =
            [policy.attempt_deadline(), policy.total_deadline(), policy.queue_deadline(), policy.heartbeat()];
        assert_eq!(limits, [Some(MAX_DURATION); 4]);
        assert_eq!(policy.lock_delay(), MAX_DURATION);
        let writer = Writer { who: "w".into(), role: Role::Worker, term: None, guard: Guard::Unowned };
        let record = TaskRecord { failures: u32::MAX, ..TaskRecord::new(writer, uuid::Uuid::max()) };
        assert!(policy.retry_delay(&record) <= MAX_DURATION * 5 / 4);
    }
}
