//! What the owner of a plan has to do because time has passed: put failed tasks back after a pause, end and
//! give up what takes too long, and hand to a person what it cannot go on with.
//!
//! The owner alone decides, by its own monotonic clock, and counts from when it first saw a task like that:
//! no other clock can make it act early, and no wall clock decides anything. After a takeover the new owner
//! starts counting, so everything is late by one takeover at the most. The total deadline spans owners: what
//! one has measured is stored in the task's record ([`TaskRecord::spent_ms`]), and the next one goes on from
//! there.
//!
//! | a task that | for | of the time that counts | is |
//! | --- | --- | --- | --- |
//! | failed, and may be tried again | [`Policy::retry_delay`] | all | put back |
//! | failed too often | | | parked |
//! | waits, and does not start | `queue_deadline_s` | while it could be started | parked |
//! | is a worker's, and silent | `heartbeat_s` | while the owner hears from etcd | lost: `on_lost` |
//! | is a worker's | `attempt_deadline_s` | the same | lost: `on_lost` |
//! | runs here, and is silent | `heartbeat_s` | while the owner hears from etcd | ended |
//! | runs here | `attempt_deadline_s` | all | ended |
//! | is not done | `total_deadline_s` | in progress; resting after a failure, unless the plan is halted; while it could be started | ended, parked |
//!
//! What a person has claimed is left to the person.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use crate::{
    counted::counted,
    id::TaskId,
    orphan,
    record::{Guard, TaskRecord},
    spec::{HeartbeatOn, Policy},
    standing::{may_be_retried, retry_reason},
    time::{BootTime, WallTime},
    transition::{Change, TaskStatus},
};

/// The shortest time between two stores of what was measured of a task.
const STORE_EVERY_MIN: Duration = Duration::from_secs(1);

/// The share of the total deadline that may be lost with an owner: a store for each.
const STORE_SHARE: u32 = 20;

/// A task as its owner sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Which.
    pub task: &'a TaskId,
    /// Its record.
    pub record: &'a TaskRecord,
    /// How it is treated.
    pub policy: &'a Policy,
    /// Whether nothing keeps it from being started, if it is pending: no dependency, no halt, no bound of the
    /// plan or its owner.
    pub startable: bool,
    /// Its attempt, if that runs under the owner's own eyes.
    pub ours: Option<Ours>,
    /// Whether another process works on it if it is in progress by the owner's authority: a program in a hold
    /// or behind a sidecar. Then it is timed as a worker's.
    pub delegated: bool,
}

/// An attempt that runs under the owner's own eyes.
#[derive(Clone, Copy, Debug)]
pub struct Ours {
    /// When its command last wrote output.
    pub output: Option<BootTime>,
}

/// The circumstances of a look.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The owner's clock.
    pub now: BootTime,
    /// Whether the owner hears from etcd, so that signs of life would reach it.
    pub in_touch: bool,
    /// Whether the plan is halted.
    pub halted: bool,
}

/// What is due now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// What to write now.
    pub changes: Vec<(TaskId, Change)>,
    /// Which of the owner's own attempts to end now.
    pub ends: Vec<End>,
    /// When the next thing is due, if nothing changes until then.
    pub next: Option<BootTime>,
}

/// An attempt of the owner's own that is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The task.
    pub task: TaskId,
    /// Why, for its record.
    pub why: String,
    /// Whether it is for silence: then a sign of life may still be on its way, and the record is to be read
    /// first.
    pub silent: bool,
}

/// How long each task is as it is. One owner's, for one ownership.
#[derive(Clone, Debug, Default)]
pub struct Overdue {
    timers: BTreeMap<TaskId, Timer>,
    /// The owner heard from etcd at the last look.
    in_touch: bool,
}

/// The time of one task, as far as it counts.
#[derive(Clone, Copy, Debug)]
struct Timer {
    status: TaskStatus,
    attempt: u32,
    first_started_at: Option<WallTime>,
    /// Its last write.
    op_id: Uuid,
    /// When its command last wrote output.
    output: Option<BootTime>,
    /// How long it is in this status and attempt.
    waited: Counter,
    /// How long it gave no sign of life.
    silent: Counter,
    /// How much of its total time is used up.
    spent: Counter,
}

/// A duration that grows with the time, or stands still.
#[derive(Clone, Copy, Debug)]
struct Counter {
    value: Duration,
    counts: bool,
    at: BootTime,
}

impl Counter {
    fn new(value: Duration, at: BootTime) -> Self {
        Self { value, counts: false, at }
    }

    fn at(&self, now: BootTime) -> Duration {
        if self.counts { self.value.saturating_add(self.at.until(now)) } else { self.value }
    }

    /// Counts what has passed as before, and goes on as said.
    fn go_on(&mut self, now: BootTime, counts: bool) {
        *self = Self { value: self.at(now), counts, at: now };
    }

    /// The moment at which it reaches the limit: one that is past if it has; `None` if it stands still
    /// before.
    fn reaches(&self, limit: Duration) -> Option<BootTime> {
        match limit.checked_sub(self.value) {
            None | Some(Duration::ZERO) => Some(self.at),
            Some(left) => self.counts.then(|| self.at.plus(left)),
        }
    }
}

impl Overdue {
    /// Looks at all tasks. To be called after each change of a task or of the circumstances, when all that
    /// can be started is started, and at [`Due::next`].
    pub fn look<'a>(&mut self, tasks: impl IntoIterator<Item = Seen<'a>>, now: Circumstances) -> Due {
        let mut due = Due::default();
        let mut timers = BTreeMap::new();
        let back_in_touch = now.in_touch && !self.in_touch;
        for seen in tasks {
            if !is_timed(&seen) {
                continue;
            }
            let mut timer = Timer::of(&seen, self.timers.get(seen.task).copied(), now);
            if back_in_touch {
                timer.silent = Counter { value: Duration::ZERO, ..timer.silent }; // It could not be heard.
            }
            timers.insert(seen.task.clone(), timer);
            decide(&seen, &timer, now.now, &mut due);
        }
        self.timers = timers;
        self.in_touch = now.in_touch;
        due
    }

    /// Notes a write of the owner's own, which is no sign of life.
    pub fn wrote(&mut self, task: &TaskId, op_id: Uuid) {
        if let Some(timer) = self.timers.get_mut(task) {
            timer.op_id = op_id;
        }
    }

    /// How much of its total time a task has used up, if the owner has measured any of it.
    #[must_use]
    pub fn spent(&self, task: &TaskId, now: BootTime) -> Option<Duration> {
        self.timers.get(task).map(|timer| timer.spent.at(now))
    }
}

impl Timer {
    fn of(seen: &Seen<'_>, known: Option<Self>, now: Circumstances) -> Self {
        let Circumstances { now, in_touch, halted } = now;
        let Seen { record, startable, ours, .. } = *seen;
        let output = ours.and_then(|ours| ours.output);
        let stored = record.spent();
        let mut timer = Self {
            status: record.status,
            attempt: record.attempt,
            first_started_at: record.first_started_at,
            op_id: record.op_id,
            output,
            waited: Counter::new(Duration::ZERO, now),
            silent: Counter::new(Duration::ZERO, now),
            spent: Counter::new(stored, now),
        };
        if let Some(known) = known {
            if (known.status, known.attempt) == (record.status, record.attempt) {
                timer.waited = known.waited;
                timer.silent = known.silent;
                if let Some(silence) = timer.last_sign_since(&known, seen, now) {
                    timer.silent = Counter::new(silence, now);
                }
            }
            // An operator who retries the task gives it all of its time again.
            if known.first_started_at == record.first_started_at && known.spent.at(now) >= stored {
                timer.spent = known.spent;
            }
        }
        let startable = startable && record.status == TaskStatus::Pending;
        let in_progress = record.status == TaskStatus::InProgress;
        let rests = record.status == TaskStatus::Failed;
        let begun = record.first_started_at.is_some();
        timer.waited.go_on(now, if in_progress { ours.is_some() || in_touch } else { rests || startable });
        timer.silent.go_on(now, in_progress && in_touch);
        timer.spent.go_on(now, begun && (in_progress || (rests && !halted) || startable));
        timer
    }

    /// How long ago the last sign of life was, if there was one that the earlier look did not see: a note or
    /// output, whichever counts.
    fn last_sign_since(&self, before: &Self, seen: &Seen<'_>, now: BootTime) -> Option<Duration> {
        let on = if seen.ours.is_some() { seen.policy.heartbeat_on } else { HeartbeatOn::Progress };
        let note = (self.op_id != before.op_id).then_some(Duration::ZERO);
        let output = self.output.filter(|_| self.output != before.output).map(|at| at.until(now));
        match on {
            HeartbeatOn::Any => note.or(output),
            HeartbeatOn::Output => output,
            HeartbeatOn::Progress => note,
        }
    }
}

/// Whether time can do anything to it.
fn is_timed(seen: &Seen<'_>) -> bool {
    let Seen { record, policy, .. } = *seen;
    if record.awaits().is_some() {
        return false; // A person takes their time.
    }
    match record.status {
        TaskStatus::Failed => record.parked.is_none() && !record.lost_for_good,
        TaskStatus::Pending => policy.queue_deadline_s > 0 || policy.total_deadline_s > 0,
        TaskStatus::InProgress => {
            seen.ours.is_some() || claimed_by_a_worker(seen) || policy.total_deadline_s > 0
        }
        TaskStatus::Completed | TaskStatus::Skipped => false,
    }
}

/// Whether another process than the owner works on it, with a right that the owner can end: a worker, or a
/// process to which the owner has delegated its authority.
fn claimed_by_a_worker(seen: &Seen<'_>) -> bool {
    seen.record.claim.as_ref().is_some_and(|claim| match claim.guard {
        Some(Guard::Worker { .. }) => true,
        Some(Guard::Owner { .. }) => seen.delegated,
        Some(Guard::Unowned | Guard::Import) | None => false,
    })
}

/// Which moments have come, and the first of those that have not.
struct Alarm<'a> {
    now: BootTime,
    next: &'a mut Option<BootTime>,
}

impl Alarm<'_> {
    /// Whether the counter has reached the limit. If not, the alarm is set for when it will.
    fn rings(&mut self, counter: &Counter, limit: Option<Duration>) -> bool {
        let Some(moment) = limit.and_then(|limit| counter.reaches(limit)) else { return false };
        if moment > self.now {
            *self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
        }
        moment <= self.now
    }
}

/// Enters what is due for one task, or when it will be.
fn decide(seen: &Seen<'_>, timer: &Timer, now: BootTime, due: &mut Due) {
    let Seen { record, policy, .. } = *seen;
    let mut alarm = Alarm { now, next: &mut due.next };
    let used_up = alarm.rings(&timer.spent, policy.total_deadline());
    let change = match record.status {
        TaskStatus::InProgress if seen.ours.is_some() => match end(seen, timer, used_up, &mut alarm) {
            Some(end) => {
                due.ends.push(end);
                None
            }
            None => measure(seen, timer, &mut alarm),
        },
        TaskStatus::InProgress if claimed_by_a_worker(seen) => match lose(seen, timer, &mut alarm) {
            None if seen.delegated => measure(seen, timer, &mut alarm),
            lost => lost,
        },
        TaskStatus::Pending | TaskStatus::Failed if used_up => Some(Change::Park(used_up_why(policy))),
        TaskStatus::Failed if may_be_retried(record, policy) => alarm
            .rings(&timer.waited, Some(policy.retry_delay(record)))
            .then(|| Change::Retry(retry_reason(record, policy))),
        TaskStatus::Failed => {
            let error = record.error.as_deref().unwrap_or("no reason given");
            let allowed = match policy.max_retries {
                0 => "no retry is allowed (max_retries = 0)".to_owned(),
                retries => format!("{} allowed (max_retries = {retries})", counted(retries, "retry")),
            };
            let failed = counted(record.failures, "time");
            let last = crate::codec::shorten(error, 200);
            Some(Change::Park(format!("failed {failed}, {allowed}; last: {last}")))
        }
        TaskStatus::Pending => alarm.rings(&timer.waited, policy.queue_deadline()).then(|| {
            let queue = policy.queue_deadline_s;
            Change::Park(format!("could start, but was not started within {queue} s (queue_deadline_s)"))
        }),
        TaskStatus::InProgress | TaskStatus::Completed | TaskStatus::Skipped => None,
    };
    due.changes.extend(change.map(|change| (seen.task.clone(), change)));
}

/// Whether an attempt of the owner's own is to be ended, and why.
fn end(seen: &Seen<'_>, timer: &Timer, used_up: bool, alarm: &mut Alarm<'_>) -> Option<End> {
    let (policy, task) = (seen.policy, seen.task.clone());
    let silent = alarm.rings(&timer.silent, policy.heartbeat());
    let late = alarm.rings(&timer.waited, policy.attempt_deadline());
    let why = match (late, used_up, silent) {
        (true, _, _) => {
            format!("it took longer than {:?} and was ended", policy.attempt_deadline().unwrap_or_default())
        }
        (_, true, _) => format!("{}, and was ended", used_up_why(policy)),
        (_, _, true) => {
            format!(
                "it said nothing for {:?} (heartbeat_s) and was ended",
                policy.heartbeat().unwrap_or_default()
            )
        }
        (false, false, false) => return None,
    };
    Some(End { task, why, silent: !late && !used_up })
}

/// Whether what was measured of an attempt of the owner's own is to be stored.
fn measure(seen: &Seen<'_>, timer: &Timer, alarm: &mut Alarm<'_>) -> Option<Change> {
    let every = (seen.policy.total_deadline()? / STORE_SHARE).max(STORE_EVERY_MIN);
    let limit = seen.record.spent().saturating_add(every);
    alarm.rings(&timer.spent, Some(limit)).then_some(Change::Measure)
}

/// Whether a worker has lost its claim, and why.
fn lose(seen: &Seen<'_>, timer: &Timer, alarm: &mut Alarm<'_>) -> Option<Change> {
    let (policy, attempt) = (seen.policy, seen.record.attempt);
    let (heartbeat, deadline) = (policy.heartbeat_s, policy.attempt_deadline_s);
    let silent = alarm.rings(&timer.silent, policy.heartbeat());
    let late = alarm.rings(&timer.waited, policy.attempt_deadline());
    let why = match (silent, late) {
        (true, _) => format!("nothing was said of attempt {attempt} for {heartbeat} s (heartbeat_s)"),
        (_, true) => format!("attempt {attempt} took longer than {deadline} s (attempt_deadline_s)"),
        (false, false) => return None,
    };
    Some(orphan::lost(policy, seen.record, why))
}

fn used_up_why(policy: &Policy) -> String {
    format!("not done within {} s (total_deadline_s)", policy.total_deadline_s)
}

#[cfg(test)]
mod tests;
