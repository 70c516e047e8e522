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
mod tests {
    use super::*;
    use crate::{
        OrchestratorId, Revision,
        record::{Claim, Role, Writer},
        spec::OnLost,
    };

    fn at(secs: u64) -> BootTime {
        BootTime::since_boot(Duration::from_secs(1_000 + secs))
    }

    fn record(status: TaskStatus, attempt: u32, failures: u32) -> TaskRecord {
        let writer = Writer { who: "w".into(), role: Role::Worker, term: None, guard: Guard::Unowned };
        TaskRecord { status, attempt, failures, ..TaskRecord::new(writer, Uuid::nil()) }
    }

    fn of_worker(attempt: u32) -> TaskRecord {
        let orchestrator = OrchestratorId::new("w").unwrap();
        let guard = Guard::Worker { orchestrator, revision: Revision::from_wire(7).unwrap() };
        let claim = Some(Claim::new("w".into(), Some(guard), None, WallTime(0)));
        TaskRecord { claim, ..record(TaskStatus::InProgress, attempt, 0) }
    }

    /// One look at one task.
    #[derive(Clone)]
    struct Look<'a> {
        secs: u64,
        record: &'a TaskRecord,
        startable: bool,
        in_touch: bool,
        halted: bool,
        ours: Option<Ours>,
        delegated: bool,
    }

    fn look(secs: u64, record: &TaskRecord) -> Look<'_> {
        Look { secs, record, startable: true, in_touch: true, halted: false, ours: None, delegated: false }
    }

    fn ours(secs: u64, record: &TaskRecord, output: Option<u64>) -> Look<'_> {
        Look { ours: Some(Ours { output: output.map(at) }), ..look(secs, record) }
    }

    struct Bench<'a> {
        policy: &'a Policy,
        overdue: Overdue,
    }

    impl Bench<'_> {
        fn look(&mut self, look: &Look<'_>) -> String {
            let task = TaskId::new("1").unwrap();
            let Look { secs, record, startable, in_touch, halted, ours, delegated } = look.clone();
            let seen = Seen { task: &task, record, policy: self.policy, startable, ours, delegated };
            let due = self.overdue.look([seen], Circumstances { now: at(secs), in_touch, halted });
            let next =
                due.next.map_or_else(|| "never".to_owned(), |next| at(0).until(next).as_secs().to_string());
            match (due.changes.as_slice(), due.ends.as_slice()) {
                ([(_, change)], []) => format!("{secs}: {change:?}"),
                ([], [end]) => format!("{secs}: end, {}", end.why),
                ([], []) => format!("{secs}: {next}"),
                other => panic!("{other:?}"),
            }
        }
    }

    /// What is due at each of these looks.
    fn run(policy: &Policy, looks: &[Look<'_>]) -> Vec<String> {
        let mut bench = Bench { policy, overdue: Overdue::default() };
        looks.iter().map(|look| bench.look(look)).collect()
    }

    #[test]
    fn a_failed_task_is_put_back_after_a_pause_that_doubles() {
        let policy = Policy { max_retries: 3, retry_delay_s: 10, retry_delay_max_s: 35, ..Policy::default() };
        let failed = |failures| record(TaskStatus::Failed, failures, failures);
        let delays: Vec<u64> =
            (1..=3).map(|failures| policy.retry_delay(&failed(failures)).as_secs()).collect();
        assert_eq!(
            delays,
            [10, 20, 35],
            "before jitter, which adds up to a quarter and depends on the record"
        );
        let (once, twice) = (failed(1), failed(2));
        assert_eq!(
            run(
                &policy,
                &[look(0, &once), look(9, &once), look(10, &once), look(11, &twice), look(31, &twice)]
            ),
            [
                "0: 10",
                "9: 10",
                "10: Retry(\"automatic retry 1 of 3\")",
                "11: 31",
                "31: Retry(\"automatic retry 2 of 3\")",
            ]
        );
    }

    #[test]
    fn what_failed_too_often_is_parked_and_then_left_alone() {
        let policy = Policy { max_retries: 1, ..Policy::default() };
        let failed = TaskRecord { error: Some("boom".into()), ..record(TaskStatus::Failed, 2, 2) };
        let parked = TaskRecord { parked: Some("x".into()), ..failed.clone() };
        assert_eq!(
            run(&policy, &[look(0, &failed), look(1, &parked)]),
            ["0: Park(\"failed 2 times, 1 retry allowed (max_retries = 1); last: boom\")", "1: never"]
        );
    }

    #[test]
    fn a_silent_worker_loses_its_claim_and_a_live_one_keeps_it() {
        let policy =
            Policy { heartbeat_s: 10, attempt_deadline_s: 25, on_lost: OnLost::Fail, ..Policy::default() };
        let silent = of_worker(1);
        let note = |n| TaskRecord { op_id: Uuid::from_u128(n), ..of_worker(1) };
        assert_eq!(
            run(&policy, &[look(0, &silent), look(10, &silent)])[1],
            "10: Lose(Fail, \"nothing was said of attempt 1 for 10 s (heartbeat_s)\")"
        );
        let (first, second) = (note(1), note(2));
        assert_eq!(
            run(&policy, &[look(0, &silent), look(8, &first), look(16, &second), look(25, &second)]),
            [
                "0: 10",
                "8: 18",
                "16: 25",
                "25: Lose(Fail, \"attempt 1 took longer than 25 s (attempt_deadline_s)\")",
            ]
        );
        let by_person =
            TaskRecord { claim: Some(Claim::new("me".into(), None, None, WallTime(0))), ..silent };
        assert_eq!(run(&policy, &[look(0, &by_person), look(99, &by_person)])[1], "99: never");
    }

    #[test]
    fn silence_counts_only_while_the_owner_hears_from_etcd() {
        let policy = Policy { heartbeat_s: 10, attempt_deadline_s: 40, ..Policy::default() };
        let silent = of_worker(1);
        let cut_off = |secs| Look { in_touch: false, ..look(secs, &silent) };
        assert_eq!(
            run(&policy, &[look(0, &silent), cut_off(4), cut_off(60), look(90, &silent), look(100, &silent)]),
            [
                "0: 10",
                "4: never",
                "60: never",
                "90: 100",
                "100: Lose(Retry, \"nothing was said of attempt 1 for 10 s (heartbeat_s)\")",
            ]
        );
    }

    #[test]
    fn the_policy_says_what_is_a_sign_of_life_of_a_command() {
        let begun = record(TaskStatus::InProgress, 1, 0);
        let noted = TaskRecord { op_id: Uuid::from_u128(1), ..begun.clone() };
        let looks = [ours(0, &begun, None), ours(8, &begun, Some(6)), ours(9, &noted, Some(6))];
        let ends = |heartbeat_on| {
            let policy = Policy { heartbeat_s: 10, attempt_deadline_s: 0, heartbeat_on, ..Policy::default() };
            run(&policy, &looks)
        };
        assert_eq!(ends(HeartbeatOn::Any), ["0: 10", "8: 16", "9: 19"]);
        assert_eq!(ends(HeartbeatOn::Output), ["0: 10", "8: 16", "9: 16"], "counted from the output itself");
        assert_eq!(ends(HeartbeatOn::Progress), ["0: 10", "8: 10", "9: 19"]);
    }

    #[test]
    fn a_delegated_claim_is_timed_as_a_workers() {
        let policy =
            Policy { heartbeat_s: 10, total_deadline_s: 60, attempt_deadline_s: 0, ..Policy::default() };
        let lease = crate::LeaseId::from_wire(7).unwrap();
        let guard = Guard::Owner { lease, revision: Revision::from_wire(7).unwrap() };
        let claim = Some(Claim::new("o".into(), Some(guard), None, WallTime(0)));
        let begun =
            TaskRecord { claim, first_started_at: Some(WallTime(0)), ..record(TaskStatus::InProgress, 1, 0) };
        let noted = TaskRecord { op_id: Uuid::from_u128(1), ..begun.clone() };
        let delegated = |secs, record| Look { delegated: true, ..look(secs, record) };
        let looks = [delegated(0, &begun), delegated(3, &begun), delegated(8, &noted), delegated(18, &noted)];
        let due = run(&policy, &looks);
        assert_eq!(due[..3], ["0: 3", "3: Measure", "8: Measure"], "for the next owner");
        assert!(due[3].contains("Lose(Retry") && due[3].contains("heartbeat_s"), "{due:?}");
        let own = |secs, record| Look { delegated: false, ..delegated(secs, record) };
        assert_eq!(
            run(&policy, &[own(0, &begun), own(99, &begun)]),
            ["0: 60", "99: never"],
            "left to others"
        );
    }

    #[test]
    fn a_write_of_the_owner_is_no_sign_of_life() {
        let policy = Policy { heartbeat_s: 10, attempt_deadline_s: 0, ..Policy::default() };
        let (begun, task) = (record(TaskStatus::InProgress, 1, 0), TaskId::new("1").unwrap());
        let measured = TaskRecord { op_id: Uuid::from_u128(1), spent_ms: 5_000, ..begun.clone() };
        let mut bench = Bench { policy: &policy, overdue: Overdue::default() };
        bench.look(&ours(0, &begun, None));
        bench.overdue.wrote(&task, measured.op_id);
        assert_eq!(bench.look(&ours(5, &measured, None)), "5: 10");
        let said = "10: end, it said nothing for 10s (heartbeat_s) and was ended";
        assert_eq!(bench.look(&ours(10, &measured, None)), said);
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let policy = Policy { attempt_deadline_s: 20, ..Policy::default() };
        let begun = record(TaskStatus::InProgress, 1, 0);
        let cut_off = Look { in_touch: false, ..ours(5, &begun, None) };
        assert_eq!(
            run(&policy, &[ours(0, &begun, None), cut_off, ours(20, &begun, Some(19))]),
            ["0: 20", "5: 20", "20: end, it took longer than 20s and was ended"],
            "the command works on while etcd is away"
        );
    }

    #[test]
    fn only_time_in_which_a_task_could_be_started_counts_as_waiting() {
        let policy = Policy { queue_deadline_s: 5, ..Policy::default() };
        let pending = record(TaskStatus::Pending, 0, 0);
        let held_up = |secs| Look { startable: false, ..look(secs, &pending) };
        let parked = "Park(\"could start, but was not started within 5 s (queue_deadline_s)\")";
        assert_eq!(run(&policy, &[look(0, &pending), look(5, &pending)]), ["0: 5", &format!("5: {parked}")]);
        assert_eq!(
            run(&policy, &[held_up(0), held_up(99), look(100, &pending), held_up(103), look(200, &pending)]),
            ["0: never", "99: never", "100: 105", "103: never", "200: 202"]
        );
    }

    #[test]
    fn the_total_deadline_counts_work_and_rest_and_what_could_start() {
        let policy = Policy { total_deadline_s: 60, max_retries: 9, retry_delay_s: 600, ..Policy::default() };
        let begun = |status| TaskRecord { first_started_at: Some(WallTime(0)), ..record(status, 1, 1) };
        let (running, failed, pending) =
            (begun(TaskStatus::InProgress), begun(TaskStatus::Failed), begun(TaskStatus::Pending));
        let halted = |secs| Look { halted: true, ..look(secs, &failed) };
        let held_up = |secs| Look { startable: false, ..look(secs, &pending) };
        assert_eq!(
            run(
                &policy,
                &[
                    ours(0, &running, None), // 20 s of work,
                    look(20, &failed),       // 10 s of rest,
                    halted(30),              // a pause that does not count,
                    look(100, &failed),      // 10 s of rest,
                    held_up(110),            // no free job, which does not count,
                    look(200, &pending),     // 20 s in which it could have been started.
                    look(220, &pending),
                ]
            ),
            [
                "0: 3",
                "20: 60",
                "30: 620",
                "100: 130",
                "110: never",
                "200: 220",
                "220: Park(\"not done within 60 s (total_deadline_s)\")",
            ]
        );
    }

    /// The clocks of two hosts have nothing in common; the record has.
    #[test]
    fn the_next_owner_goes_on_from_what_is_stored() {
        let policy = Policy { total_deadline_s: 60, attempt_deadline_s: 0, ..Policy::default() };
        let begun =
            TaskRecord { first_started_at: Some(WallTime(i64::MAX)), ..record(TaskStatus::InProgress, 1, 0) };
        let stored = TaskRecord { spent_ms: 50_000, op_id: Uuid::from_u128(1), ..begun.clone() };
        assert_eq!(run(&policy, &[ours(0, &begun, None), ours(3, &begun, None)]), ["0: 3", "3: Measure"]);
        assert_eq!(
            run(&policy, &[ours(0, &stored, None), ours(10, &stored, None)]),
            ["0: 3", "10: end, not done within 60 s (total_deadline_s), and was ended"]
        );
        let again = TaskRecord { spent_ms: 0, first_started_at: Some(WallTime(7)), ..stored.clone() };
        assert_eq!(
            run(&policy, &[ours(0, &stored, None), ours(9, &again, None)])[1],
            "9: 12",
            "put back by a person"
        );
    }
}
