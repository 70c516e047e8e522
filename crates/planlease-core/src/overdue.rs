//! What the owner of a plan has to do because time has passed: put failed tasks back after a pause, give up what takes too
//! long, and hand to a person what it cannot go on with.
//!
//! The owner alone decides, by its own clock, and counts from when it first saw a task like that: nobody else's clock can make
//! it act early. After a takeover the new owner counts anew, so everything is late by one takeover at the most. The one
//! exception is the total deadline, which spans owners: it is told by the wall clock, of whoever started the first attempt and
//! of the owner now, and so is off by as much as these differ.
//!
//! | a task that | for | is |
//! | --- | --- | --- |
//! | failed, and may be tried again | [`Policy::retry_delay`] | put back |
//! | failed too often | | parked |
//! | may start, and does not | `queue_deadline_s` | parked |
//! | is a worker's, who says nothing of it | `heartbeat_s` | lost: `on_lost` |
//! | is a worker's | `attempt_deadline_s` | lost: `on_lost` |
//! | is not done | `total_deadline_s` | parked, between two attempts |
//!
//! What a person has claimed is left to the person, and what runs under the owner's own eyes has its deadline there.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use crate::{
    BootTime, TaskId, WallTime, counted,
    record::{Guard, TaskRecord},
    spec::Policy,
    standing::may_be_retried,
    transition::{Change, TaskStatus},
};

/// A task as its owner sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Which.
    pub task: &'a TaskId,
    /// Its record.
    pub record: &'a TaskRecord,
    /// How it is treated.
    pub policy: &'a Policy,
    /// Whether all that it waits for is done.
    pub ready: bool,
    /// Whether its attempt runs under the owner's own eyes.
    pub ours: bool,
}

/// What is due now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// What to write now.
    pub changes: Vec<(TaskId, Change)>,
    /// When the next thing is due, if nothing changes until then.
    pub next: Option<BootTime>,
}

/// Since when each task is as it is. One owner's, for one ownership.
#[derive(Clone, Debug, Default)]
pub struct Overdue {
    since: BTreeMap<TaskId, Since>,
}

#[derive(Clone, Copy, Debug)]
struct Since {
    status: TaskStatus,
    attempt: u32,
    ready: bool,
    /// When it was first seen in this status and attempt.
    began: BootTime,
    /// Its last write, and when that was first seen.
    written: (Uuid, BootTime),
}

impl Overdue {
    /// Looks at all tasks. To be called after each change, and at [`Due::next`].
    pub fn look<'a>(
        &mut self,
        tasks: impl IntoIterator<Item = Seen<'a>>,
        now: BootTime,
        wall: WallTime,
    ) -> Due {
        let mut due = Due::default();
        let mut since = BTreeMap::new();
        for seen in tasks {
            if !is_timed(&seen) {
                continue;
            }
            let known = self.since.get(seen.task).copied();
            let present = Since::of(&seen, known, now);
            since.insert(seen.task.clone(), present);
            match decide(&seen, present, now, wall) {
                Verdict::Nothing => {}
                Verdict::At(moment) => due.next = Some(due.next.map_or(moment, |next| next.min(moment))),
                Verdict::Now(change) => due.changes.push((seen.task.clone(), change)),
            }
        }
        self.since = since;
        due
    }
}

impl Since {
    fn of(seen: &Seen<'_>, known: Option<Self>, now: BootTime) -> Self {
        let Seen { record, ready, .. } = *seen;
        let same = known.filter(|known| {
            (known.status, known.attempt, known.ready) == (record.status, record.attempt, ready)
        });
        let written = known.map(|known| known.written).filter(|(op_id, _)| *op_id == record.op_id);
        Self {
            status: record.status,
            attempt: record.attempt,
            ready,
            began: same.map_or(now, |known| known.began),
            written: written.unwrap_or((record.op_id, now)),
        }
    }
}

/// Whether time can do anything to it.
fn is_timed(seen: &Seen<'_>) -> bool {
    let policy = seen.policy;
    match seen.record.status {
        TaskStatus::Failed => seen.record.parked.is_none() && !seen.record.lost_for_good,
        TaskStatus::Pending => policy.queue_deadline_s > 0 || policy.total_deadline_s > 0,
        TaskStatus::InProgress => !seen.ours && claimed_by_a_worker(seen.record),
        TaskStatus::Completed | TaskStatus::Skipped => false,
    }
}

fn claimed_by_a_worker(record: &TaskRecord) -> bool {
    record.claim.as_ref().is_some_and(|claim| matches!(claim.guard, Some(Guard::Worker { .. })))
}

enum Verdict {
    Nothing,
    At(BootTime),
    Now(Change),
}

fn decide(seen: &Seen<'_>, since: Since, now: BootTime, wall: WallTime) -> Verdict {
    let Seen { record, policy, .. } = *seen;
    let after = |since: BootTime, wait: Duration, change: &dyn Fn() -> Change| {
        let moment = since.plus(wait);
        if moment <= now { Verdict::Now(change()) } else { Verdict::At(moment) }
    };
    if record.status != TaskStatus::InProgress && total_is_over(record, policy, wall) {
        return Verdict::Now(Change::Park(format!(
            "not done {} s after its first attempt (total_deadline_s)",
            policy.total_deadline_s
        )));
    }
    match record.status {
        TaskStatus::Failed if may_be_retried(record, policy) => {
            let (failures, retries) = (record.failures, policy.max_retries);
            let delay = policy.retry_delay(record);
            after(since.began, delay, &|| Change::Retry(format!("automatic retry {failures} of {retries}")))
        }
        TaskStatus::Failed => {
            let error = record.error.as_deref().unwrap_or("no reason given");
            Verdict::Now(Change::Park(format!(
                "failed {}, of {} allowed; last: {}",
                counted(record.failures, "time"),
                policy.max_retries.saturating_add(1),
                crate::codec::shorten(error, 200)
            )))
        }
        TaskStatus::Pending if seen.ready => policy.queue_deadline().map_or(Verdict::Nothing, |queue| {
            after(since.began, queue, &|| {
                let queue = queue.as_secs();
                Change::Park(format!("could start, but was not started within {queue} s (queue_deadline_s)"))
            })
        }),
        TaskStatus::InProgress => {
            let lost = |why: String| Change::Lose(policy.on_lost, why);
            let attempt = record.attempt;
            let silent = policy.heartbeat().map(|heartbeat| {
                after(since.written.1, heartbeat, &|| {
                    let heartbeat = heartbeat.as_secs();
                    lost(format!("nothing was said of attempt {attempt} for {heartbeat} s (heartbeat_s)"))
                })
            });
            let late = policy.attempt_deadline().map(|deadline| {
                after(since.began, deadline, &|| {
                    let deadline = deadline.as_secs();
                    lost(format!("attempt {attempt} took longer than {deadline} s (attempt_deadline_s)"))
                })
            });
            [silent, late].into_iter().flatten().fold(Verdict::Nothing, earlier)
        }
        _ => Verdict::Nothing,
    }
}

fn earlier(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Now(change), _) | (_, Verdict::Now(change)) => Verdict::Now(change),
        (Verdict::At(one), Verdict::At(other)) => Verdict::At(one.min(other)),
        (Verdict::Nothing, other) | (other, Verdict::Nothing) => other,
    }
}

/// Whether all the time that the task has is used up.
#[must_use]
pub fn total_is_over(record: &TaskRecord, policy: &Policy, wall: WallTime) -> bool {
    total_left(record, policy, wall).is_some_and(|left| left.is_zero())
}

/// How much of its total time the task has left; `None` for as much as it likes.
#[must_use]
pub fn total_left(record: &TaskRecord, policy: &Policy, wall: WallTime) -> Option<Duration> {
    policy.total_deadline().map(|total| match record.first_started_at {
        Some(first) => total.saturating_sub(first.until(wall)),
        None => total,
    })
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

    /// What is due at each of these moments, about one task.
    fn run(policy: &Policy, steps: &[(u64, &TaskRecord)]) -> Vec<String> {
        let (task, mut overdue) = (TaskId::new("1").unwrap(), Overdue::default());
        let look = |(secs, record): &(u64, &TaskRecord)| {
            let seen = Seen { task: &task, record, policy, ready: true, ours: false };
            let wall = WallTime(i64::try_from(*secs).unwrap() * 1_000);
            let due = overdue.look([seen], at(*secs), wall);
            match (due.changes.as_slice(), due.next) {
                ([(_, change)], None) => format!("{secs}: {change:?}"),
                ([], Some(next)) => format!("{secs}: at {}", at(0).until(next).as_secs()),
                ([], None) => format!("{secs}: nothing"),
                other => panic!("{other:?}"),
            }
        };
        steps.iter().map(look).collect()
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
        assert_eq!(
            run(
                &policy,
                &[(0, &failed(1)), (9, &failed(1)), (10, &failed(1)), (11, &failed(2)), (31, &failed(2))]
            ),
            [
                "0: at 10",
                "9: at 10",
                "10: Retry(\"automatic retry 1 of 3\")",
                "11: at 31",
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
            run(&policy, &[(0, &failed), (1, &parked)]),
            ["0: Park(\"failed 2 times, of 2 allowed; last: boom\")", "1: nothing"]
        );
    }

    #[test]
    fn a_worker_that_says_nothing_loses_its_claim_and_one_that_does_keeps_it() {
        let policy =
            Policy { heartbeat_s: 10, attempt_deadline_s: 25, on_lost: OnLost::Fail, ..Policy::default() };
        let silent = of_worker(1);
        let note = |n| TaskRecord { op_id: Uuid::from_u128(n), ..of_worker(1) };
        assert_eq!(
            run(&policy, &[(0, &silent), (10, &silent)])[1],
            "10: Lose(Fail, \"nothing was said of attempt 1 for 10 s (heartbeat_s)\")"
        );
        assert_eq!(
            run(&policy, &[(0, &silent), (8, &note(1)), (16, &note(2)), (25, &note(2))]),
            [
                "0: at 10",
                "8: at 18",
                "16: at 25",
                "25: Lose(Fail, \"attempt 1 took longer than 25 s (attempt_deadline_s)\")",
            ]
        );
        let by_hand = TaskRecord { claim: Some(Claim::new("me".into(), None, None, WallTime(0))), ..silent };
        assert_eq!(run(&policy, &[(0, &by_hand), (99, &by_hand)])[1], "99: nothing");
    }

    #[test]
    fn what_could_start_and_is_not_started_is_parked() {
        let policy = Policy { queue_deadline_s: 5, ..Policy::default() };
        let pending = record(TaskStatus::Pending, 0, 0);
        assert_eq!(
            run(&policy, &[(0, &pending), (5, &pending)]),
            ["0: at 5", "5: Park(\"could start, but was not started within 5 s (queue_deadline_s)\")"]
        );
    }

    #[test]
    fn the_total_deadline_spans_attempts_and_owners() {
        let policy = Policy { total_deadline_s: 60, ..Policy::default() };
        let pending =
            TaskRecord { first_started_at: Some(WallTime(10_000)), ..record(TaskStatus::Pending, 1, 0) };
        assert_eq!(
            run(&policy, &[(69, &pending), (70, &pending)]),
            ["69: nothing", "70: Park(\"not done 60 s after its first attempt (total_deadline_s)\")"]
        );
        assert_eq!(total_left(&pending, &policy, WallTime(30_000)), Some(Duration::from_secs(40)));
    }
}
