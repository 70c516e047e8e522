//! How the tasks of a plan are treated, and where a single task differs.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    budget::Amount,
    exits::Exits,
    on_failed::OnDependencyFailed,
    pool::Pools,
    time::{bounded, limit},
};

/// What becomes of a task whose claimant is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// Back to pending; the attempt counts as lost, not as failed.
    #[default]
    Retry,
    /// Failed: for work that must never run twice.
    Fail,
    /// Failed and parked for a person: running an agent's job with side effects again can be the worse
    /// choice.
    Ask,
}

impl fmt::Display for OnLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Ask => "ask",
        })
    }
}

/// What counts as a sign of life of a task in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatOn {
    /// Output of its command, and notes about its progress.
    #[default]
    Any,
    /// Output of its command. A worker's output is not seen, so its notes count all the same.
    Output,
    /// Notes about its progress.
    Progress,
}

impl fmt::Display for HeartbeatOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Output => "output",
            Self::Progress => "progress",
        })
    }
}

/// How the tasks of a plan are treated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How often a task that *failed* is started again; lost attempts do not count.
    pub max_retries: u32,
    /// How many attempts of a task may be *lost* with their claimant; one more parks the task.
    pub max_lost: u32,
    /// How often a task may be started in all, however its attempts end; 0 for any number. Counted since a
    /// person last put it back.
    #[serde(skip_serializing_if = "is_none")]
    pub max_attempts: u32,
    /// How much all attempts of a task may spend together, by what they report; 0 for any amount. Counted
    /// since a person last put it back.
    #[serde(skip_serializing_if = "Amount::is_zero")]
    pub budget: Amount,
    /// How long one attempt may take, in seconds; 0 for as long as it likes.
    pub attempt_deadline_s: u64,
    /// How long a failed or lost task rests before its owner starts it again, in seconds; twice as long after
    /// each further failure or loss.
    pub retry_delay_s: u64,
    /// … but no longer than this.
    pub retry_delay_max_s: u64,
    /// How long a task may take with all its attempts and the pauses between them, in seconds; 0 for as long
    /// as it likes. What counts is measured by the plan's owners: the time in progress, the time of rest, and
    /// the time in which it could be started.
    pub total_deadline_s: u64,
    /// How long a task that could start may wait until it is started, in seconds; 0 for as long as it takes.
    /// Time in which it could not be started does not count: the plan is halted, or as many tasks are in
    /// progress as may be.
    pub queue_deadline_s: u64,
    /// How long a task in progress may give no sign of life, in seconds; 0 for as long as it takes. A worker
    /// that is silent for longer is lost; a command that `planlease run` has started is ended, and has
    /// failed.
    pub heartbeat_s: u64,
    /// What counts as a sign of life.
    pub heartbeat_on: HeartbeatOn,
    /// How many tasks of the plan may be in progress at once, over all claimants; 0 for any number.
    pub max_in_progress: u32,
    /// What becomes of a task whose claimant is gone.
    pub on_lost: OnLost,
    /// After which ends of its command a task may be tried again; after all if it is empty.
    #[serde(skip_serializing_if = "Exits::is_empty")]
    pub retry_on: Exits,
    /// After which ends of its command a task has failed for good.
    #[serde(skip_serializing_if = "Exits::is_empty")]
    pub fail_on: Exits,
    /// After which ends of its command a person decides about a task.
    #[serde(skip_serializing_if = "Exits::is_empty")]
    pub ask_on: Exits,
    /// What becomes of a task when one that it waits for has failed for good.
    #[serde(skip_serializing_if = "OnDependencyFailed::is_wait")]
    pub on_dependency_failed: OnDependencyFailed,
    /// The pools of the namespace that each task uses: as many may be in progress at once, over all plans, as
    /// the pools have permits.
    #[serde(skip_serializing_if = "Pools::is_empty")]
    pub pools: Pools,
    /// How long a successor waits after an *unclean* end before it takes over, in seconds: time for side
    /// effects outside etcd to die down. None after a clean release.
    pub lock_delay_s: u64,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for Policy {
    /// Two retries, 30 minutes for an attempt: the rules that users of plan files know. Three lost attempts.
    fn default() -> Self {
        Self {
            max_retries: 2,
            max_lost: 3,
            max_attempts: 0,
            budget: Amount::ZERO,
            attempt_deadline_s: 30 * 60,
            retry_delay_s: 0,
            retry_delay_max_s: 10 * 60,
            total_deadline_s: 0,
            queue_deadline_s: 0,
            heartbeat_s: 0,
            heartbeat_on: HeartbeatOn::default(),
            max_in_progress: 0,
            on_lost: OnLost::default(),
            retry_on: Exits::default(),
            fail_on: Exits::default(),
            ask_on: Exits::default(),
            on_dependency_failed: OnDependencyFailed::default(),
            pools: Pools::default(),
            lock_delay_s: 0,
            extra: Map::new(),
        }
    }
}

impl Policy {
    /// The longest time that one attempt may take; `None` for no limit.
    #[must_use]
    pub fn attempt_deadline(&self) -> Option<Duration> {
        limit(self.attempt_deadline_s)
    }

    /// The longest time that a task may take in all; `None` for no limit.
    #[must_use]
    pub fn total_deadline(&self) -> Option<Duration> {
        limit(self.total_deadline_s)
    }

    /// The longest time that a task may wait although it could start; `None` for no limit.
    #[must_use]
    pub fn queue_deadline(&self) -> Option<Duration> {
        limit(self.queue_deadline_s)
    }

    /// The longest silence of a task in progress; `None` for no limit.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Duration> {
        limit(self.heartbeat_s)
    }

    /// The pause before a takeover after an unclean end.
    #[must_use]
    pub fn lock_delay(&self) -> Duration {
        bounded(self.lock_delay_s)
    }

    /// Every duration with its name, for the check of its bound.
    pub(crate) fn durations(&self) -> [(&'static str, Option<u64>); 7] {
        [
            ("attempt_deadline_s", Some(self.attempt_deadline_s)),
            ("retry_delay_s", Some(self.retry_delay_s)),
            ("retry_delay_max_s", Some(self.retry_delay_max_s)),
            ("total_deadline_s", Some(self.total_deadline_s)),
            ("queue_deadline_s", Some(self.queue_deadline_s)),
            ("heartbeat_s", Some(self.heartbeat_s)),
            ("lock_delay_s", Some(self.lock_delay_s)),
        ]
    }
}

/// Where one task differs from its plan's [`Policy`]; what is not said is the plan's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskPolicy {
    /// See [`Policy::max_retries`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// See [`Policy::max_lost`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lost: Option<u32>,
    /// See [`Policy::max_attempts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// See [`Policy::budget`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Amount>,
    /// See [`Policy::attempt_deadline_s`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_deadline_s: Option<u64>,
    /// See [`Policy::retry_delay_s`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_delay_s: Option<u64>,
    /// See [`Policy::total_deadline_s`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_deadline_s: Option<u64>,
    /// See [`Policy::queue_deadline_s`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_deadline_s: Option<u64>,
    /// See [`Policy::heartbeat_s`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_s: Option<u64>,
    /// See [`Policy::heartbeat_on`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_on: Option<HeartbeatOn>,
    /// See [`Policy::on_lost`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_lost: Option<OnLost>,
    /// See [`Policy::retry_on`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Exits>,
    /// See [`Policy::fail_on`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_on: Option<Exits>,
    /// See [`Policy::ask_on`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_on: Option<Exits>,
    /// See [`Policy::on_dependency_failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_dependency_failed: Option<OnDependencyFailed>,
    /// See [`Policy::pools`]; an empty list for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<Pools>,
}

impl TaskPolicy {
    /// Every duration with its name, for the check of its bound.
    pub(crate) fn durations(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("attempt_deadline_s", self.attempt_deadline_s),
            ("retry_delay_s", self.retry_delay_s),
            ("total_deadline_s", self.total_deadline_s),
            ("queue_deadline_s", self.queue_deadline_s),
            ("heartbeat_s", self.heartbeat_s),
        ]
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none(count: &u32) -> bool {
    *count == 0
}
