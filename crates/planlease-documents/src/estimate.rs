//! `estimate`: how long a plan may still take.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use planlease::{PlanView, core::WallTime};
use planlease_core::{
    PlanName, Revision, TaskId, counted,
    estimate::{Estimate, Known, estimate},
    record::TaskRecord,
    spec::TaskSpec,
    standing::may_be_retried,
    transition::TaskStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Document, duration,
    unreadable::{UnreadableView, views},
};

/// How many tasks a line names at most; the JSON has all.
const NAMED: usize = 30;

/// How long a plan may still take.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EstimateShown {
    plan: PlanName,
    revision: Revision,
    /// How many tasks are to be done.
    tasks: usize,
    jobs: u16,
    /// How long it takes with so many jobs.
    remaining_s: f64,
    /// How long the critical path takes.
    critical_s: f64,
    critical_path: Vec<TaskId>,
    /// How long all of it takes, one after the other.
    work_s: f64,
    /// How many jobs are busy on average if there are enough of them.
    parallelism: f64,
    /// The mean of the plan's completed tasks.
    mean_s: Option<f64>,
    /// What a task counts for as long as none is completed.
    guess_s: Option<f64>,
    /// What cannot be done before a person has looked at it.
    stuck: Vec<TaskId>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

impl EstimateShown {
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

/// The tasks in a line: the first ones, if they are many.
fn names(tasks: &[TaskId], between: &str) -> String {
    let named = tasks.iter().take(NAMED).map(TaskId::as_str).collect::<Vec<_>>().join(between);
    match tasks.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl Document for EstimateShown {
    const SCHEMA: Option<&'static str> = Some("planlease.estimate.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, _now: WallTime) -> String {
        let time = |secs: f64| duration(Duration::try_from_secs_f64(secs).unwrap_or_default());
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<14}{value}");
        };
        line("to do", format!("{}, {} one after the other", counted(self.tasks, "task"), time(self.work_s)));
        line("remaining", format!("{} with {}", time(self.remaining_s), counted(self.jobs, "job")));
        line("at the least", format!("{}, however many jobs there are", time(self.critical_s)));
        line("parallelism", format!("{:.1}", self.parallelism));
        if !self.critical_path.is_empty() {
            line("critical path", names(&self.critical_path, " → "));
        }
        match (self.mean_s, self.guess_s) {
            (Some(mean), _) => {
                line("a task takes", format!("{}, the mean of those that are done", time(mean)))
            }
            (None, guess) => {
                line("a task takes", format!("{}, as was guessed", time(guess.unwrap_or_default())))
            }
        }
        if !self.stuck.is_empty() {
            let stuck = names(&self.stuck, ", ");
            line("not counted", format!("{stuck}: failed for good, or waiting for one that did"));
        }
        text
    }
}
