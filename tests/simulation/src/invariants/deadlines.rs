//! No deadline of a policy ends anything before its time: not the clock of another host, not a wall clock,
//! not a pause makes an owner act early. And what is used up of a task's total time is never forgotten, but
//! by an operator who retries the task.

use std::{collections::BTreeMap, time::Duration};

use planlease::core::{
    PlanName, Revision, TaskId,
    keys::{Key, PlanKey},
    record::{Role, TaskRecord},
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};

use super::Evidence;
use crate::{hosts::operator::definition, world::World};

/// What ended too early.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let World { history, options, .. } = evidence.world;
    let (sets, times) = (history.sets(), history.times());
    let time_of: BTreeMap<Revision, Duration> = sets.iter().map(|set| set.revision).zip(times).collect();
    let pauses = Pauses::of(evidence, &time_of);
    let specs: BTreeMap<PlanName, PlanSpec> =
        (0..options.plans).map(|number| definition(evidence.world, number)).collect();
    // A clock that is too fast, or jumps, makes everything that is counted by it as much shorter.
    let slack = evidence.world.jumped() + options.tick * 2;
    let drift = f64::from(u32::try_from(options.drift_ppm).unwrap_or(u32::MAX)) / 1e6;
    let mut known: BTreeMap<(PlanName, TaskId), Known> = BTreeMap::new();
    let mut violations = Vec::new();
    for write in history.task_writes() {
        let (Some(&at), Some(spec)) = (time_of.get(&write.revision), specs.get(&write.plan)) else {
            continue;
        };
        let id = (write.plan.clone(), write.task.clone());
        let before = known.get(&id).filter(|known| Some(known.revision) == write.before);
        let policy = spec.task(&write.task).map_or_else(|| spec.policy.clone(), |task| spec.policy_of(task));
        if let Some(before) = before {
            let reported = |what: String| format!("{} {} at {at:?}: {what}", write.plan, write.task);
            if let Some((least, since, what)) = before.counted(&write.record, &policy, at) {
                let took = (at - since).saturating_sub(pauses.of_waiting(&write.plan, what, since, at));
                if took + slack < least.mul_f64(1.0 - drift) {
                    violations.push(reported(format!("{what} of {least:?} was over after {took:?}")));
                }
            }
            let forgotten = write.record.spent_ms < before.record.spent_ms;
            if forgotten && write.record.writer.role != Role::Operator {
                let (was, is) = (before.record.spent_ms, write.record.spent_ms);
                violations.push(reported(format!("{was} ms were used up, and then {is} ms")));
            }
        }
        let next = Known::after(before, write.revision, write.record, at);
        known.insert(id, next);
    }
    violations
}

/// A task's record, and since when what it says has been so.
#[derive(Clone)]
struct Known {
    revision: Revision,
    record: TaskRecord,
    written: Duration,
    /// Since when it is in its status.
    since: Duration,
    /// When its first attempt started, since an operator last looked.
    first_started: Duration,
}

impl Known {
    fn after(before: Option<&Self>, revision: Revision, record: TaskRecord, at: Duration) -> Self {
        let same =
            |before: &&Self| (before.record.status, before.record.attempt) == (record.status, record.attempt);
        let since = before.filter(same).map_or(at, |before| before.since);
        let first = |before: &&Self| before.record.first_started_at == record.first_started_at;
        let first_started = before.filter(first).map_or(at, |before| before.first_started);
        Self { revision, record, written: at, since, first_started }
    }

    /// Which of the policy's times was over, as the next record says; what it is, and since when it counts.
    fn counted(
        &self,
        next: &TaskRecord,
        policy: &Policy,
        at: Duration,
    ) -> Option<(Duration, Duration, &'static str)> {
        let changed = self.record.status != next.status;
        let last = next.transitions.last().filter(|_| changed).and_then(|last| last.why.as_deref());
        let parked = next.parked.as_deref().filter(|_| next.parked != self.record.parked);
        let why = parked.or(last).unwrap_or_default();
        let says = |what: &str| why.contains(what);
        if next.status == TaskStatus::Pending && why.starts_with("automatic retry") {
            let least = policy.retry_delay_s.min(policy.retry_delay_max_s);
            return Some((Duration::from_secs(least), self.since, "retry delay"));
        }
        if next.status == TaskStatus::Completed || next.writer.role != Role::Owner {
            return None;
        }
        if says("(total_deadline_s)") {
            return Some((policy.total_deadline()?, self.first_started, "total deadline"));
        }
        if says("(queue_deadline_s)") {
            return Some((policy.queue_deadline()?, self.since, "queue deadline"));
        }
        if self.record.status != TaskStatus::InProgress {
            return None;
        }
        if says("(heartbeat_s)") {
            // What runs under the owner's eyes writes output, too, so that only its beginning can be seen
            // here.
            let silent = why.starts_with("nothing was said");
            return Some((policy.heartbeat()?, if silent { self.written } else { self.since }, "heartbeat"));
        }
        let late = says("(attempt_deadline_s)") || says("it took longer than");
        late.then_some((policy.attempt_deadline().unwrap_or(at), self.since, "attempt deadline"))
    }
}

/// When plans were paused.
struct Pauses(BTreeMap<PlanName, Vec<(Duration, Duration)>>);

impl Pauses {
    fn of(evidence: &Evidence<'_>, time_of: &BTreeMap<Revision, Duration>) -> Self {
        let mut pauses: BTreeMap<PlanName, Vec<(Duration, Duration)>> = BTreeMap::new();
        for set in evidence.world.history.sets() {
            let at = time_of.get(&set.revision).copied().unwrap_or_default();
            for change in &set.changes {
                let Key::Plan(plan, PlanKey::Pause) = &change.key else { continue };
                let pauses = pauses.entry(plan.clone()).or_default();
                match (&change.entry, pauses.last_mut()) {
                    (None, Some((_, end))) if *end == Duration::MAX => *end = at,
                    (Some(_), Some((_, Duration::MAX))) | (None, _) => {}
                    (Some(_), _) => pauses.push((at, Duration::MAX)),
                }
            }
        }
        Self(pauses)
    }

    /// How long the plan was paused between the two, if that does not count.
    fn of_waiting(&self, plan: &PlanName, what: &str, from: Duration, to: Duration) -> Duration {
        if what != "queue deadline" {
            return Duration::ZERO;
        }
        let pauses = self.0.get(plan).into_iter().flatten();
        pauses.map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from))).sum()
    }
}
