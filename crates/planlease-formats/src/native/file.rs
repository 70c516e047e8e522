//! What a native plan file contains: its types, from which its schema is made.
//!
//! Their doc comments are the descriptions in the published schema, written for the authors of plans.

use std::collections::BTreeSet;

use planlease_core::{
    InvalidName, MAX_DURATION, TaskId,
    spec::{Group, HeartbeatOn, OnLost, Policy, TaskPolicy},
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::{Deserialize, Serialize}; // The schema states defaults as they serialise.
use toml::Spanned;

/// The longest duration of a policy, in seconds.
const LONGEST: u64 = MAX_DURATION.as_secs();

/// Where the schema is published.
const ID: &str = "https://github.com/planlease/planlease/raw/main/docs/schema/plan.schema.json";

/// A plan of planlease: tasks that depend on each other, executed by orchestrators.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "planlease plan file", rename = "Plan", extend("$id" = ID))]
pub(super) struct PlanFile {
    /// What the plan is called by people.
    pub(super) title: String,
    /// How its tasks are treated.
    #[serde(default)]
    pub(super) policy: PolicyFile,
    /// The phases, in their order. Ready tasks of an earlier phase are started first; phases block nothing.
    #[serde(default, rename = "phase")]
    #[expect(dead_code, reason = "part of the schema; each phase is read by itself")]
    phases: Vec<PhaseFile>,
    /// What has to be done one after the other: tasks, or phases.
    #[serde(default)]
    pub(super) sequential: Vec<GroupFile>,
    /// Phases that can be worked on side by side: their ready tasks are started by turns.
    #[serde(default)]
    pub(super) parallel: Vec<GroupFile>,
    /// The tasks.
    #[serde(default, rename = "task")]
    #[expect(dead_code, reason = "part of the schema; each task is read by itself")]
    tasks: Vec<TaskFile>,
}

/// A group of tasks with a name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Phase")]
pub(super) struct PhaseFile {
    /// By which tasks name their phase; need not be a number ("2b").
    pub(super) number: String,
    /// What the phase is called.
    pub(super) name: String,
    /// What has to hold at its end. Shown, not scheduled.
    #[serde(default)]
    pub(super) verification: Vec<String>,
    /// The id of a task: the phase starts when that one is completed or skipped.
    pub(super) pipeline_start: Option<String>,
}

/// Tasks or phases whose order is said something about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Group")]
pub(super) struct GroupFile {
    /// The ids of the tasks, in order.
    #[serde(default)]
    tasks: Vec<String>,
    /// Or the numbers of the phases.
    #[serde(default)]
    phases: Vec<String>,
    /// Why, for people.
    reason: Option<String>,
}

impl TryFrom<GroupFile> for Group {
    type Error = InvalidName;

    fn try_from(file: GroupFile) -> Result<Self, InvalidName> {
        let tasks = file.tasks.into_iter().map(TaskId::new).collect::<Result<_, _>>()?;
        Ok(Self { tasks, phases: file.phases, reason: file.reason, ..Self::default() })
    }
}

/// A task: the unit whose status changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Task")]
pub(super) struct TaskFile {
    /// Its id, unique in the plan, up to 64 bytes: "1.1", "build".
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub(super) id: Spanned<String>,
    /// The number of its phase.
    #[schemars(with = "Option<String>")]
    pub(super) phase: Option<Spanned<String>>,
    /// What is to be done.
    #[schemars(with = "String")]
    pub(super) description: Spanned<String>,
    /// The ids of the tasks that must be completed or skipped before it may start.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) depends_on: Vec<Spanned<String>>,
    /// Of ready tasks, those of a higher priority are started first.
    #[serde(default)]
    pub(super) priority: i32,
    /// What it takes to do it: workers can claim tasks with certain labels.
    #[serde(default)]
    pub(super) labels: BTreeSet<String>,
    /// Details and steps. Shown, not scheduled.
    #[serde(default)]
    pub(super) steps: Vec<String>,
    /// Program and arguments, run without a shell. Without a command that of the orchestrator is run.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) command: Option<Spanned<Vec<String>>>,
    /// Where the task differs from the plan's policy.
    #[schemars(with = "Option<TaskPolicyFile>")]
    pub(super) policy: Option<Spanned<TaskPolicyFile>>,
}

/// How the tasks of a plan are treated.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Policy")]
pub(super) struct PolicyFile {
    /// How often a task that failed is started again. Attempts that were lost in a crash do not count.
    max_retries: u32,
    /// How many attempts of a task may be lost in a crash; one more parks the task until a person decides.
    max_lost: u32,
    /// How long one attempt may take, in seconds; 0 for as long as it likes.
    #[schemars(range(max = LONGEST))]
    attempt_deadline_s: u64,
    /// How long a failed or lost task rests before it is started again, in seconds; twice as long after each
    /// further failure or loss.
    #[schemars(range(max = LONGEST))]
    retry_delay_s: u64,
    /// … but no longer than this, in seconds.
    #[schemars(range(max = LONGEST))]
    retry_delay_max_s: u64,
    /// How long a task may take with all its attempts and the pauses between them, in seconds; 0 for as long
    /// as it likes. Measured by the plan's owners: time in progress, time of rest, and time in which it could
    /// be started.
    #[schemars(range(max = LONGEST))]
    total_deadline_s: u64,
    /// How long a task that could start may wait until it is started, in seconds; 0 for as long as it takes.
    /// Time in which it could not be started does not count: the plan is halted, or as many tasks are in
    /// progress as may be.
    #[schemars(range(max = LONGEST))]
    queue_deadline_s: u64,
    /// How long a task in progress may give no sign of life, in seconds; 0 for as long as it likes. A silent
    /// command is ended and has failed; a silent worker is lost.
    #[schemars(range(max = LONGEST))]
    heartbeat_s: u64,
    /// What counts as a sign of life.
    heartbeat_on: HeartbeatOnFile,
    /// How many tasks of the plan may be in progress at once; 0 for any number.
    max_in_progress: u32,
    /// What becomes of a task in progress whose orchestrator is gone.
    on_lost: OnLostFile,
    /// How long a successor waits after an owner crashed, in seconds: time for its side effects to die down.
    #[schemars(range(max = LONGEST))]
    lock_delay_s: u64,
}

/// Where one task differs from the policy of its plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TaskPolicy")]
pub(super) struct TaskPolicyFile {
    /// How often it is started again when it failed.
    max_retries: Option<u32>,
    /// How many of its attempts may be lost in a crash; one more parks it until a person decides.
    max_lost: Option<u32>,
    /// How long one attempt may take, in seconds; 0 for as long as it likes.
    #[schemars(range(max = LONGEST))]
    attempt_deadline_s: Option<u64>,
    /// How long it rests after it failed or was lost, in seconds.
    #[schemars(range(max = LONGEST))]
    retry_delay_s: Option<u64>,
    /// How long it may take with all its attempts, in seconds; 0 for as long as it likes.
    #[schemars(range(max = LONGEST))]
    total_deadline_s: Option<u64>,
    /// How long it may wait until it is started once it could be, in seconds; 0 for as long as it takes.
    #[schemars(range(max = LONGEST))]
    queue_deadline_s: Option<u64>,
    /// How long it may give no sign of life while it is in progress, in seconds; 0 for as long as it likes.
    #[schemars(range(max = LONGEST))]
    heartbeat_s: Option<u64>,
    /// What counts as a sign of life.
    heartbeat_on: Option<HeartbeatOnFile>,
    /// What becomes of it when its orchestrator is gone.
    on_lost: Option<OnLostFile>,
}

/// What becomes of a task in progress whose orchestrator is gone.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "OnLost")]
enum OnLostFile {
    /// It is started again; the attempt counts as lost, not as failed.
    Retry,
    /// It has failed: for work that must never run twice.
    Fail,
    /// It has failed and waits for a person to decide.
    Ask,
}

/// What counts as a sign of life of a task in progress.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "HeartbeatOn")]
enum HeartbeatOnFile {
    /// Output of its command, and notes about its progress.
    Any,
    /// Output of its command. A worker's output is not seen, so its notes count all the same.
    Output,
    /// Notes about its progress (`planlease task progress`).
    Progress,
}

impl Default for PolicyFile {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            max_retries: policy.max_retries,
            max_lost: policy.max_lost,
            attempt_deadline_s: policy.attempt_deadline_s,
            retry_delay_s: policy.retry_delay_s,
            retry_delay_max_s: policy.retry_delay_max_s,
            total_deadline_s: policy.total_deadline_s,
            queue_deadline_s: policy.queue_deadline_s,
            heartbeat_s: policy.heartbeat_s,
            heartbeat_on: policy.heartbeat_on.into(),
            max_in_progress: policy.max_in_progress,
            on_lost: policy.on_lost.into(),
            lock_delay_s: policy.lock_delay_s,
        }
    }
}

impl From<PolicyFile> for Policy {
    fn from(file: PolicyFile) -> Self {
        Self {
            max_retries: file.max_retries,
            max_lost: file.max_lost,
            attempt_deadline_s: file.attempt_deadline_s,
            retry_delay_s: file.retry_delay_s,
            retry_delay_max_s: file.retry_delay_max_s,
            total_deadline_s: file.total_deadline_s,
            queue_deadline_s: file.queue_deadline_s,
            heartbeat_s: file.heartbeat_s,
            heartbeat_on: file.heartbeat_on.into(),
            max_in_progress: file.max_in_progress,
            on_lost: file.on_lost.into(),
            lock_delay_s: file.lock_delay_s,
            ..Self::default()
        }
    }
}

impl From<TaskPolicyFile> for TaskPolicy {
    fn from(file: TaskPolicyFile) -> Self {
        Self {
            max_retries: file.max_retries,
            max_lost: file.max_lost,
            attempt_deadline_s: file.attempt_deadline_s,
            retry_delay_s: file.retry_delay_s,
            total_deadline_s: file.total_deadline_s,
            queue_deadline_s: file.queue_deadline_s,
            heartbeat_s: file.heartbeat_s,
            heartbeat_on: file.heartbeat_on.map(Into::into),
            on_lost: file.on_lost.map(Into::into),
        }
    }
}

impl From<OnLostFile> for OnLost {
    fn from(file: OnLostFile) -> Self {
        match file {
            OnLostFile::Retry => Self::Retry,
            OnLostFile::Fail => Self::Fail,
            OnLostFile::Ask => Self::Ask,
        }
    }
}

impl From<OnLost> for OnLostFile {
    fn from(core: OnLost) -> Self {
        match core {
            OnLost::Retry => Self::Retry,
            OnLost::Fail => Self::Fail,
            OnLost::Ask => Self::Ask,
        }
    }
}

impl From<HeartbeatOnFile> for HeartbeatOn {
    fn from(file: HeartbeatOnFile) -> Self {
        match file {
            HeartbeatOnFile::Any => Self::Any,
            HeartbeatOnFile::Output => Self::Output,
            HeartbeatOnFile::Progress => Self::Progress,
        }
    }
}

impl From<HeartbeatOn> for HeartbeatOnFile {
    fn from(core: HeartbeatOn) -> Self {
        match core {
            HeartbeatOn::Any => Self::Any,
            HeartbeatOn::Output => Self::Output,
            HeartbeatOn::Progress => Self::Progress,
        }
    }
}

/// The JSON schema of a plan file.
pub(super) fn schema() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<PlanFile>()
}
