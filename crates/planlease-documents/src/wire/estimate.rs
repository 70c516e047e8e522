//! `estimate`: how long a plan may still take.

use std::{collections::BTreeMap, time::Duration};

use planlease::{PlanView, core::WallTime};
use planlease_core::{
    PlanName, Revision, TaskId,
    estimate::{Estimate, Known, estimate},
    record::TaskRecord,
    spec::TaskSpec,
    standing::may_be_retried,
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::Document,
    unreadable::{UnreadableView, views},
};

/// How long a plan may still take.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EstimateView {
    pub(crate) plan: PlanName,
    pub(crate) revision: Revision,
    /// How many tasks are to be done.
    pub(crate) tasks: usize,
    pub(crate) jobs: u16,
    /// How long it takes with so many jobs.
    pub(crate) remaining_s: f64,
    /// How long the critical path takes.
    pub(crate) critical_s: f64,
    pub(crate) critical_path: Vec<TaskId>,
    /// How long all of it takes, one after the other.
    pub(crate) work_s: f64,
    /// How many jobs are busy on average if there are enough of them.
    pub(crate) parallelism: f64,
    /// The mean of the plan's completed tasks.
    pub(crate) mean_s: Option<f64>,
    /// What a task counts for as long as none is completed.
    pub(crate) guess_s: Option<f64>,
    /// What cannot be done before a person has looked at it.
    pub(crate) stuck: Vec<TaskId>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

impl EstimateView {
    /// Of a plan with so many jobs, if a task that was never measured takes as long as guessed.
    #[must_use]
    pub fn new(view: &PlanView, jobs: u16, guess: Duration, now: WallTime) -> Self {
        let specs: BTreeMap<&TaskId, &TaskSpec> =
            view.spec().tasks.iter().map(|task| (&task.id, task)).collect();
        let known = |task: &TaskId| {
            let record = &view.tasks().get(task)?.record;
            let stuck = record.parked.is_some()
                || record.status == TaskStatus::Failed
                    && !specs
                        .get(task)
                        .is_some_and(|spec| may_be_retried(record, &view.spec().policy_of(spec)));
            Some(Known { status: record.status, took: took(record, now), stuck })
        };
        let found: Estimate = estimate(view.graph(), known, jobs.into(), guess);
        Self {
            plan: view.name().clone(),
            revision: view.revision(),
            tasks: found.tasks,
            jobs,
            remaining_s: found.with_jobs.as_secs_f64(),
            critical_s: found.critical.as_secs_f64(),
            work_s: found.work.as_secs_f64(),
            parallelism: (found.parallelism() * 100.0).round() / 100.0,
            mean_s: found.mean.map(|mean| mean.as_secs_f64()),
            guess_s: found.mean.is_none().then_some(guess.as_secs_f64()),
            critical_path: found.critical_path,
            stuck: found.stuck,
            unreadable: views(view.unreadable()),
        }
    }
}

fn took(record: &TaskRecord, now: WallTime) -> Option<Duration> {
    let end = if record.status == TaskStatus::InProgress { Some(now) } else { record.ended_at };
    Some(record.started_at?.until(end?))
}

impl Document for EstimateView {
    const SCHEMA: Option<&'static str> = Some("planlease.estimate.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}
