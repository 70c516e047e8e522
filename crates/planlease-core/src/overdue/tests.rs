//! The decisions about what is overdue, as a table of looks and what each of them finds due.

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
    let delays: Vec<u64> = (1..=3).map(|failures| policy.retry_delay(&failed(failures)).as_secs()).collect();
    assert_eq!(delays, [10, 20, 35], "before jitter, which adds up to a quarter and depends on the record");
    let (once, twice) = (failed(1), failed(2));
    assert_eq!(
        run(&policy, &[look(0, &once), look(9, &once), look(10, &once), look(11, &twice), look(31, &twice)]),
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
    let by_person = TaskRecord { claim: Some(Claim::new("me".into(), None, None, WallTime(0))), ..silent };
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
    let policy = Policy { heartbeat_s: 10, total_deadline_s: 60, attempt_deadline_s: 0, ..Policy::default() };
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
    assert_eq!(run(&policy, &[own(0, &begun), own(99, &begun)]), ["0: 60", "99: never"], "left to others");
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
