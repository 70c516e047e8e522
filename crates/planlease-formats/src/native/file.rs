//! What a native plan file contains: its types, from which its schema is made.
//!
//! Their doc comments are the descriptions in the published schema, written for the authors of plans.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    InvalidName, MAX_DURATION, TaskId,
    approval::ApprovalOf,
    budget::{Amount, MAX_AMOUNT},
    exits::Exits,
    on_failed::OnDependencyFailed,
    pool::Pools,
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
    /// What people say about it: orchestrators can select plans by their labels.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Of the plans without an owner, those of a higher priority are acquired first.
    #[serde(default)]
    pub(super) priority: i32,
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
    /// What a process must be able to do to run it, as "gpu": only orchestrators started with `--can gpu` do.
    #[serde(default)]
    pub(super) needs: BTreeSet<String>,
    /// The pools that it uses, in place of those of the plan's policy: ["gpu"], or { gpu = 2 } for two
    /// permits. Over all plans of the namespace as many such tasks are in progress as the pool has permits.
    #[schemars(with = "Option<PoolsFile>")]
    pub(super) pools: Option<Pools>,
    /// Details and steps. Shown, not scheduled.
    #[serde(default)]
    pub(super) steps: Vec<String>,
    /// Program and arguments, run without a shell. Without a command that of the orchestrator is run.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) command: Option<Spanned<Vec<String>>>,
    /// What a person has to approve of it: with "before" each attempt, before it starts; with "after" each
    /// result, before the task is completed.
    pub(super) approval: Option<ApprovalFile>,
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
    /// How often a task may be started in all, however its attempts end; once more parks it until a person
    /// decides. 0 for any number.
    max_attempts: u32,
    /// How much all attempts of a task may spend together, by what they report (`planlease task progress
    /// --spent`), in a unit of your choice; 0 for any amount. What spends more is ended, and waits for a
    /// person to decide.
    #[schemars(with = "f64", range(min = 0, max = MAX_AMOUNT))]
    budget: Amount,
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
    /// After which ends of its command a task that failed may be started again: exit codes, ranges of them,
    /// and signals, such as [75, "64-78", "SIGKILL"]. By default after all. Other ends are final.
    #[serde(skip_serializing_if = "Exits::is_empty")]
    #[schemars(with = "Vec<ExitFile>", length(max = 64))]
    retry_on: Exits,
    /// After which ends of its command a task has failed for good, whatever retries are left.
    #[serde(skip_serializing_if = "Exits::is_empty")]
    #[schemars(with = "Vec<ExitFile>", length(max = 64))]
    fail_on: Exits,
    /// After which ends of its command a task waits for a person to decide.
    #[serde(skip_serializing_if = "Exits::is_empty")]
    #[schemars(with = "Vec<ExitFile>", length(max = 64))]
    ask_on: Exits,
    /// What becomes of a task when one that it waits for has failed for good.
    on_dependency_failed: OnDependencyFailedFile,
    /// The pools that each task uses that does not name its own: ["gpu"], or { gpu = 2 } for two permits.
    #[serde(skip_serializing_if = "Pools::is_empty")]
    #[schemars(with = "PoolsFile")]
    pools: Pools,
    /// How long a successor waits after an owner crashed, in seconds: time for its side effects to die down.
    #[schemars(range(max = LONGEST))]
    lock_delay_s: u64,
}

/// Names of pools, of each of which one permit is taken; or how many permits of each.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Pools")]
#[expect(dead_code, reason = "part of the schema; the core reads it")]
enum PoolsFile {
    Names(#[schemars(length(max = 4))] BTreeSet<String>),
    Permits(BTreeMap<String, u32>),
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
    /// How often it may be started in all, however its attempts end; 0 for any number.
    max_attempts: Option<u32>,
    /// How much all of its attempts may spend together, by what they report; 0 for any amount.
    #[schemars(with = "Option<f64>", range(min = 0, max = MAX_AMOUNT))]
    budget: Option<Amount>,
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
    /// After which ends of its command it may be started again when it failed.
    #[schemars(with = "Option<Vec<ExitFile>>", length(max = 64))]
    retry_on: Option<Exits>,
    /// After which ends of its command it has failed for good.
    #[schemars(with = "Option<Vec<ExitFile>>", length(max = 64))]
    fail_on: Option<Exits>,
    /// After which ends of its command it waits for a person to decide.
    #[schemars(with = "Option<Vec<ExitFile>>", length(max = 64))]
    ask_on: Option<Exits>,
    /// What becomes of it when a task that it waits for has failed for good.
    on_dependency_failed: Option<OnDependencyFailedFile>,
}

/// An exit code from 1 to 255; or a range of them such as "64-78", or a signal such as "SIGKILL".
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Exit")]
#[expect(dead_code, reason = "part of the schema; the core reads it")]
enum ExitFile {
    Code(#[schemars(range(min = 1, max = 255))] u16),
    RangeOrSignal(String),
}

/// What becomes of a task when one that it waits for has failed for good.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "OnDependencyFailed")]
enum OnDependencyFailedFile {
    /// It waits until a person has decided about that one.
    Wait,
    /// It is left out.
    Skip,
    /// It fails with it.
    Fail,
    /// It runs all the same.
    Run,
}

impl From<OnDependencyFailedFile> for OnDependencyFailed {
    fn from(file: OnDependencyFailedFile) -> Self {
        match file {
            OnDependencyFailedFile::Wait => Self::Wait,
            OnDependencyFailedFile::Skip => Self::Skip,
            OnDependencyFailedFile::Fail => Self::Fail,
            OnDependencyFailedFile::Run => Self::Run,
        }
    }
}

impl From<OnDependencyFailed> for OnDependencyFailedFile {
    fn from(core: OnDependencyFailed) -> Self {
        match core {
            OnDependencyFailed::Wait => Self::Wait,
            OnDependencyFailed::Skip => Self::Skip,
            OnDependencyFailed::Fail => Self::Fail,
            OnDependencyFailed::Run => Self::Run,
        }
    }
}

/// What a person has to approve of a task.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Approval")]
pub(super) enum ApprovalFile {
    /// Each attempt, before it starts.
    Before,
    /// The result of each attempt; until then the task is in progress.
    After,
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
            max_attempts: policy.max_attempts,
            budget: policy.budget,
            attempt_deadline_s: policy.attempt_deadline_s,
            retry_delay_s: policy.retry_delay_s,
            retry_delay_max_s: policy.retry_delay_max_s,
            total_deadline_s: policy.total_deadline_s,
            queue_deadline_s: policy.queue_deadline_s,
            heartbeat_s: policy.heartbeat_s,
            heartbeat_on: policy.heartbeat_on.into(),
            max_in_progress: policy.max_in_progress,
            on_lost: policy.on_lost.into(),
            retry_on: policy.retry_on,
            fail_on: policy.fail_on,
            ask_on: policy.ask_on,
            on_dependency_failed: policy.on_dependency_failed.into(),
            pools: policy.pools,
            lock_delay_s: policy.lock_delay_s,
        }
    }
}

impl From<PolicyFile> for Policy {
    fn from(file: PolicyFile) -> Self {
        Self {
            max_retries: file.max_retries,
            max_lost: file.max_lost,
            max_attempts: file.max_attempts,
            budget: file.budget,
            attempt_deadline_s: file.attempt_deadline_s,
            retry_delay_s: file.retry_delay_s,
            retry_delay_max_s: file.retry_delay_max_s,
            total_deadline_s: file.total_deadline_s,
            queue_deadline_s: file.queue_deadline_s,
            heartbeat_s: file.heartbeat_s,
            heartbeat_on: file.heartbeat_on.into(),
            max_in_progress: file.max_in_progress,
            on_lost: file.on_lost.into(),
            retry_on: file.retry_on,
            fail_on: file.fail_on,
            ask_on: file.ask_on,
            on_dependency_failed: file.on_dependency_failed.into(),
            pools: file.pools,
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
            max_attempts: file.max_attempts,
            budget: file.budget,
            attempt_deadline_s: file.attempt_deadline_s,
            retry_delay_s: file.retry_delay_s,
            total_deadline_s: file.total_deadline_s,
            queue_deadline_s: file.queue_deadline_s,
            heartbeat_s: file.heartbeat_s,
            heartbeat_on: file.heartbeat_on.map(Into::into),
            on_lost: file.on_lost.map(Into::into),
            retry_on: file.retry_on,
            fail_on: file.fail_on,
            ask_on: file.ask_on,
            on_dependency_failed: file.on_dependency_failed.map(Into::into),
            pools: None,
        }
    }
}

impl From<ApprovalFile> for ApprovalOf {
    fn from(file: ApprovalFile) -> Self {
        match file {
            ApprovalFile::Before => Self::Before,
            ApprovalFile::After => Self::After,
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
