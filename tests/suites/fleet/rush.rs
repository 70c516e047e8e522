//! Many processes that start the same plan at once.

use std::time::Duration;

use planlease::Coordinator;
use planlease_core::PlanName;
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::{in_queue, plan_name},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);
const PROCESSES: usize = 50;
const ROUNDS: u64 = 10;

/// The documented exit status.
const OWNED_BY_OTHER: i32 = 100;

/// Every entry and every exit in one file, whose lines are written whole: they must alternate.
const WORK: &str = "echo begin >> \"$TEST_DIR/log\"; cat > /dev/null; echo end >> \"$TEST_DIR/log\"";

#[case(one_at_a_time)]
async fn one_of_fifty_owns_and_the_others_are_refused(env: TestEnv) {
    let (env, coordinator, plan) = prepared(env).await;
    for round in 1..=ROUNDS {
        let mut processes = rush(&env, &["hold", plan.as_str(), "--no-wait", "--", "sh", "-c", WORK]);
        let reported = until("end of all but one", SOON, async || {
            let ended = processes.iter_mut().filter_map(Process::ended).count();
            if ended >= PROCESSES - 1 { Ok(ended) } else { Err(ended) }
        })
        .await;
        assert_eq!(reported, PROCESSES - 1, "one of them owns the plan and runs");
        let line = coordinator.queue(&plan).await.unwrap();
        let (owner, term) = line.owner().expect("one of them owns the plan");
        assert_eq!((line.candidates().len(), term.number.0), (1, round));
        let name = owner.name();
        for process in &mut processes {
            if let Some(status) = process.ended() {
                let said = process.said();
                assert_eq!(status.code(), Some(OWNED_BY_OTHER), "{said}");
                assert!(said.contains(&name), "the owner, {name}, is named: {said}");
            }
        }
        let mut owner =
            processes.into_iter().find_map(|mut process| process.ended().is_none().then_some(process));
        let owner = owner.as_mut().unwrap();
        owner.close_input();
        assert_eq!(owner.until_ended(SOON).await, Some(0), "{}", owner.said());
        in_nobodys_hands(&coordinator, &plan).await;
    }
    finished(&env, usize::try_from(ROUNDS).unwrap()).await;
}

#[case(one_at_a_time)]
async fn one_of_fifty_owns_and_the_others_queue(env: TestEnv) {
    let (env, coordinator, plan) = prepared(env).await;
    let each = u64::try_from(PROCESSES).unwrap();
    for round in 0..ROUNDS {
        let mut processes = rush(&env, &["hold", plan.as_str(), "--", "sh", "-c", WORK]);
        in_queue(&coordinator, &plan, PROCESSES).await;
        let line = coordinator.queue(&plan).await.unwrap();
        assert_eq!(line.owner().unwrap().1.number.0, round * each + 1, "one of them owns the plan");
        processes.iter_mut().for_each(Process::close_input); // Each ends as soon as it has had the plan.
        for process in &mut processes {
            assert_eq!(process.until_ended(SOON).await, Some(0), "{}", process.said());
        }
        in_nobodys_hands(&coordinator, &plan).await;
        let line = coordinator.queue(&plan).await.unwrap();
        assert_eq!(line.term.unwrap().1.number.0, (round + 1) * each, "each of them has had it once");
    }
    finished(&env, PROCESSES * usize::try_from(ROUNDS).unwrap()).await;
}

async fn prepared(env: TestEnv) -> (TestEnv, Coordinator, PlanName) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("wanted"));
    coordinator.admin().import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    (env, coordinator, plan)
}

/// Starts them, waiting before a gate each, and opens all gates.
fn rush(env: &TestEnv, args: &[&str]) -> Vec<Process> {
    let start = |n: usize| {
        let output = env.path(&format!("process-{n}"));
        let _ = std::fs::remove_file(&output); // What one of an earlier round said.
        Process::start(env.program().gated(args), &output)
    };
    let mut processes: Vec<Process> = (0..PROCESSES).map(start).collect();
    for process in &mut processes {
        process.say("go");
    }
    processes
}

async fn in_nobodys_hands(coordinator: &Coordinator, plan: &PlanName) {
    until("empty line", SOON, async || {
        let left = coordinator.queue(plan).await.unwrap().candidates().len();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

/// The commands ran one after the other, this many of them.
async fn finished(env: &TestEnv, runs: usize) {
    let log = std::fs::read_to_string(env.path("log")).unwrap();
    assert_eq!(log, "begin\nend\n".repeat(runs), "two ran at once");
    env.until_empty().await;
    env.audit().await;
}
