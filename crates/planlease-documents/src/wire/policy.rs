//! What a plan says of its tasks: the policies in force, an order, and what single tasks ask for.

use std::collections::BTreeMap;

use planlease_core::{
    TaskId,
    budget::Amount,
    exits::Exits,
    graph::Graph,
    order::Why,
    pool::Pools,
    spec::{self, OnLost, TaskSpec},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The policies in force: as the plan file says, else the defaults.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Policy {
    pub(crate) max_retries: u32,
    pub(crate) max_lost: u32,
    /// How often a task may be started in all; 0 for any number.
    pub(crate) max_attempts: u32,
    /// How much the attempts of a task may spend together, by what they report; 0 for any amount.
    pub(crate) budget: Amount,
    /// 0 for as long as it takes, as in all deadlines.
    pub(crate) attempt_deadline_s: u64,
    pub(crate) on_lost: OnLost,
    pub(crate) lock_delay_s: u64,
    pub(crate) retry_delay_s: u64,
    pub(crate) retry_delay_max_s: u64,
    pub(crate) total_deadline_s: u64,
    pub(crate) queue_deadline_s: u64,
    pub(crate) heartbeat_s: u64,
    /// `any`, `output` or `progress`.
    pub(crate) heartbeat_on: String,
    /// 0 for any number.
    pub(crate) max_in_progress: u32,
    /// Exit codes, ranges of them, and signals.
    pub(crate) retry_on: Vec<String>,
    pub(crate) fail_on: Vec<String>,
    pub(crate) ask_on: Vec<String>,
    /// `wait`, `skip`, `fail` or `run`.
    pub(crate) on_dependency_failed: String,
    /// How many permits of which pools each task takes. Absent if none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) pools: BTreeMap<String, u32>,
}

impl Policy {
    pub(crate) fn of(policy: &spec::Policy) -> Self {
        let entries = |exits: &Exits| match exits.is_empty() {
            true => Vec::new(),
            false => exits.to_string().split(", ").map(str::to_owned).collect(),
        };
        Self {
            max_retries: policy.max_retries,
            max_lost: policy.max_lost,
            max_attempts: policy.max_attempts,
            budget: policy.budget,
            attempt_deadline_s: policy.attempt_deadline_s,
            on_lost: policy.on_lost,
            lock_delay_s: policy.lock_delay_s,
            retry_delay_s: policy.retry_delay_s,
            retry_delay_max_s: policy.retry_delay_max_s,
            total_deadline_s: policy.total_deadline_s,
            queue_deadline_s: policy.queue_deadline_s,
            heartbeat_s: policy.heartbeat_s,
            heartbeat_on: policy.heartbeat_on.to_string(),
            max_in_progress: policy.max_in_progress,
            retry_on: entries(&policy.retry_on),
            fail_on: entries(&policy.fail_on),
            ask_on: entries(&policy.ask_on),
            on_dependency_failed: policy.on_dependency_failed.to_string(),
            pools: permits(&policy.pools),
        }
    }
}

/// How many permits of which pools.
fn permits(pools: &Pools) -> BTreeMap<String, u32> {
    pools.iter().map(|(pool, permits)| (pool.to_string(), permits)).collect()
}

/// What a plan says of a task besides what it is and what it depends on.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "TaskDemands")]
pub(crate) struct Demands {
    /// Of ready tasks, those of a higher priority are handed out first. Absent if it is 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) priority: i32,
    /// By which workers ask for it. Absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
    /// What an orchestrator must be able to do to run it. Absent if nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<String>,
    /// How many permits of which pools it takes, by its own policy or the plan's. Absent if none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) pools: BTreeMap<String, u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl Demands {
    pub(crate) fn of(task: &TaskSpec, graph: &Graph) -> Self {
        Self {
            priority: task.priority,
            labels: task.labels.iter().cloned().collect(),
            needs: task.needs.iter().cloned().collect(),
            pools: graph.pools(&task.id).map(permits).unwrap_or_default(),
        }
    }
}

/// What a task waits for by the order of phases and sections.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ByOrder {
    pub(crate) on: TaskId,
    pub(crate) why: Why,
}

impl ByOrder {
    /// All that this task waits for, except for what it only depends on.
    pub(crate) fn of(task: &TaskId, graph: &Graph) -> Vec<Self> {
        let ordered = graph.waits(task).iter().filter(|wait| wait.why != Why::Dependency);
        ordered.map(|wait| Self { on: wait.on.clone(), why: wait.why }).collect()
    }
}
