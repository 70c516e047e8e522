//! A plan that is executed while everything that executes it is killed at random, the server too.

use std::{collections::BTreeMap, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::Coordinator;
use planlease_core::{
    PlanName,
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::{plan_name, task_id},
    wait::until,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(3);
const TASKS: usize = 40;
const ORCHESTRATORS: usize = 3;
const KILLS: u32 = 20;

/// From the last kill to the end of the plan: a takeover, and what is left of the work.
const LIMIT: Duration = Duration::from_secs(60);

/// Leaves a line when it begins and one when it ends.
const WORK: &str = r#"
    echo "begin $PLANLEASE_TASK $PLANLEASE_ATTEMPT" >> "$TEST_DIR/log"
    sleep 0.6
    echo "end $PLANLEASE_TASK $PLANLEASE_ATTEMPT" >> "$TEST_DIR/log"
"#;

#[case(alone, one_at_a_time)]
async fn a_plan_is_finished_despite_random_kills(env: TestEnv) {
    let seed: u64 = std::env::var("FLEET_SEED")
        .map_or(uuid::Uuid::new_v4().as_u64_pair().0, |seed| seed.parse().unwrap());
    println!("the seed is FLEET_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("beset"));
    coordinator.admin().import(&plan, &layers(), |_| {}).await.unwrap();

    let mut fleet: Vec<Process> = (0..ORCHESTRATORS).map(|n| orchestrator(&env, n)).collect();
    for n in 1..=KILLS {
        sleep(Duration::from_millis(random.random_range(300..1200))).await;
        if n == KILLS / 2 {
            env.server.kill();
            env.server.restart().await;
        }
        kill_one(&env, &mut fleet, &mut random);
        restore(&env, &mut fleet);
    }
    let calm = Instant::now();
    until("end of the plan", LIMIT, async || {
        restore(&env, &mut fleet);
        let summary = coordinator.plan(&plan).await.unwrap().summary();
        if summary.is_finished() { Ok(()) } else { Err(summary) }
    })
    .await;
    println!(
        "measured: {KILLS} kills, then the plan was done after another {:.1?}, {}",
        calm.elapsed(),
        env.server
    );
    every_task_was_done(&env, &coordinator, &plan).await;
    // The last one that was killed may have been replaced after the end; each finds that nothing is left to
    // be done.
    until("good end of all orchestrators", LIMIT, async || {
        restore(&env, &mut fleet);
        let running =
            fleet.iter_mut().filter_map(|process| process.ended().is_none().then(|| process.said())).next();
        running.map_or(Ok(()), Err)
    })
    .await;
    env.until_empty().await;
    env.audit().await;
}

/// Four layers of ten tasks; each waits for one of the layer before it. Killed commands count as failed, so
/// that many failures have to be allowed.
fn layers() -> PlanSpec {
    let mut spec = spec(TASKS, WORK);
    for (n, task) in spec.tasks.iter_mut().enumerate().skip(10) {
        task.depends_on = vec![task_id(&(n + 1 - 10).to_string())];
    }
    PlanSpec { policy: Policy { max_retries: 1000, max_lost: 1000, ..Policy::default() }, ..spec }
}

fn orchestrator(env: &TestEnv, n: usize) -> Process {
    env.start(&["run", "beset", "--jobs", "4"], &format!("orchestrator-{n}"))
}

/// Starts a new orchestrator in the place of each that was killed. One that has ended well is not needed any
/// more.
fn restore(env: &TestEnv, fleet: &mut [Process]) {
    for (n, process) in fleet.iter_mut().enumerate() {
        if let Some(status) = process.ended()
            && !status.success()
        {
            assert_eq!(status.code(), None, "only what we kill ends badly: {}", process.said());
            *process = orchestrator(env, n);
        }
    }
}

/// Kills an orchestrator in half of the cases, else any process of the fleet: a supervisor, a command, a
/// child of it.
fn kill_one(env: &TestEnv, fleet: &mut [Process], random: &mut StdRng) {
    let running = env.processes();
    if random.random_bool(0.5) || running.is_empty() {
        let chosen = random.random_range(0..fleet.len());
        fleet[chosen].signal(Signal::SIGKILL);
    } else {
        let chosen = running[random.random_range(0..running.len())];
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(chosen), Signal::SIGKILL);
    }
}

/// Each task is completed, and the attempt that completed it ran to its end, once.
async fn every_task_was_done(env: &TestEnv, coordinator: &Coordinator, plan: &PlanName) {
    let log = std::fs::read_to_string(env.path("log")).unwrap();
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines() {
        *lines.entry(line).or_default() += 1;
    }
    let view = coordinator.plan(plan).await.unwrap();
    assert_eq!(view.tasks().len(), TASKS);
    for task in view.tasks().values() {
        assert_eq!(task.record.status, TaskStatus::Completed);
        let end = format!("end {} {}", task.id, task.record.attempt);
        assert_eq!(lines.get(end.as_str()), Some(&1), "{end}");
    }
    assert!(lines.values().all(|times| *times == 1), "an attempt ran twice: {lines:?}");
}
