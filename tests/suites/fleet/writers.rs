//! Processes that change the same and different tasks as fast as they can.

use std::time::Duration;

use planlease::{Audited, Delegation, Outcome};
use planlease_core::transition::Change;
use planlease_tests::{
    TestEnv, case,
    test_env::{acquired, plan_name},
    wait::SOON,
    writer::{self, Acknowledged},
};
use tokio::time::Instant;

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);
const SECONDS: u64 = 10;

/// Two processes write task 1 twice at a time each, task 2 both, and two tasks of their own; meanwhile the
/// program itself changes a seventh, a process per change.
#[case(one_at_a_time)]
async fn two_processes_write_as_fast_as_they_can_and_nothing_is_lost(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("written"));
    coordinator.admin().import(&plan, &spec(7, "true"), |_| {}).await.unwrap();
    let owner = env.session("owner").await;
    let ownership = acquired(&owner, &plan).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    for outcome in ownership.authority().update_all(&starts).await.unwrap() {
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    let authority = ownership.delegate();
    let mut writers = [
        writer::start(&env, "one", &authority, &["1", "1", "2", "3", "4"], SECONDS),
        writer::start(&env, "other", &authority, &["1", "1", "2", "5", "6"], SECONDS),
    ];
    let by_commands = change_by_commands(&env, &authority, "7").await;
    for writer in &mut writers {
        assert_eq!(writer.until_ended(SOON).await, Some(0), "{}", writer.said());
        assert!(!writer.said().contains("unknown"), "nothing was in the way: {}", writer.said());
    }
    ownership.release().await.unwrap();

    let audited = env.audit().await;
    let mut all = by_commands;
    for name in ["one", "other"] {
        let notes = writer::notes(&env, name);
        assert!(notes.len() > 100, "{name} wrote {} times only", notes.len());
        all.extend(notes);
    }
    println!("measured: acknowledged updates of three writers in {SECONDS} s, {}: {}", env.server, all.len());
    all_are_in_the_history(&audited, &all);
    // And nothing else is: creation and start of each task, and what was acknowledged.
    assert_eq!(audited.report.updates, u64::try_from(2 * starts.len() + all.len()).unwrap());
}

/// Changes a task by one command after the other.
async fn change_by_commands(env: &TestEnv, authority: &Delegation, task: &str) -> Vec<Acknowledged> {
    let program =
        env.program().clone().variable("PLANLEASE_OWNERSHIP", serde_json::to_string(authority).unwrap());
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let mut acknowledged = Vec::new();
    for verb in ["fail", "retry", "start"].into_iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let mut args = vec!["task", verb, "written", task, "-o", "json"];
        match verb {
            "fail" => args.extend(["--error", "no luck"]),
            "retry" => args.extend(["--reason", "again"]),
            _ => {}
        }
        let ended = program.run_to(0, args).await;
        let reported: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let record = &reported["record"];
        acknowledged.push(Acknowledged {
            op_id: record["op_id"].as_str().unwrap().parse().unwrap(),
            revision: record["revision"].to_string().parse().unwrap(),
        });
    }
    acknowledged
}

/// Each acknowledged change is in the history, at the revision of its answer.
#[track_caller]
pub(crate) fn all_are_in_the_history(audited: &Audited, all: &[Acknowledged]) {
    for Acknowledged { op_id, revision } in all {
        assert_eq!(audited.audit.find_write(*op_id), Some(*revision), "the acknowledged change {op_id}");
    }
}
