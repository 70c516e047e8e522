//! How services share plans: by free jobs, by priority and waiting time, and after a crash.

use std::{collections::BTreeMap, time::Duration};

use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_core::{OrchestratorId, record::TermRecord};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::plan_name,
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// Runs until there is a file.
const UNTIL_GO: &str = r#"until [ -e "$TEST_DIR/go" ]; do sleep 0.1; done"#;

async fn owner(coordinator: &Coordinator, plan: &str) -> Option<OrchestratorId> {
    let queue = coordinator.queue(&plan_name(plan)).await.unwrap();
    queue.owner().map(|(_, term)| term.owner.orchestrator.clone())
}

#[case]
async fn without_a_free_job_no_further_plan_is_taken(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    for plan in ["a", "b", "c", "d"] {
        coordinator.admin().import(&plan_name(plan), &spec(2, UNTIL_GO), |_| {}).await.unwrap();
    }
    let one = env.start(&["run", "--all", "--jobs", "2", "--id", "one"], "one");
    one.until_said("a 1 started", SOON).await;
    // Both jobs are taken by one plan, or by two.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let two = env.start(&["run", "--all", "--jobs", "1", "--id", "two"], "two");
    two.until_said("1 started", SOON).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut owned: BTreeMap<OrchestratorId, usize> = BTreeMap::new();
    for plan in ["a", "b", "c", "d"] {
        if let Some(owner) = owner(&coordinator, plan).await {
            *owned.entry(owner).or_default() += 1;
        }
    }
    let of = |name: &str| owned.get(&OrchestratorId::new(name).unwrap()).copied().unwrap_or_default();
    assert!((1..=2).contains(&of("one")) && of("two") == 1, "{owned:?}: {}{}", one.said(), two.said());
    std::fs::write(env.path("go"), "").unwrap();
    finished(&coordinator, &["a", "b", "c", "d"], SOON).await;
    ended([one, two]).await;
    env.audit().await;
}

#[case]
async fn plans_come_by_priority_and_then_by_waiting_time(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    for (plan, priority) in [("z-old", 0), ("low", -1), ("high", 5), ("a-new", 0)] {
        let mut spec = spec(1, "true");
        spec.priority = priority;
        coordinator.admin().import(&plan_name(plan), &spec, |_| {}).await.unwrap();
    }
    let run = env.start(&["run", "--all"], "run");
    finished(&coordinator, &["z-old", "low", "high", "a-new"], SOON).await;
    let said = run.until_said("low finished", SOON).await;
    let acquired: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(" acquired")?.0.split_whitespace().last()).collect();
    assert_eq!(acquired, ["high", "z-old", "a-new", "low"], "{said}");
    ended([run]).await;
    env.audit().await;
}

#[case]
async fn a_plan_of_a_killed_service_goes_to_another(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan_name("taken"), &spec(2, UNTIL_GO), |_| {}).await.unwrap();
    let mut first = env.start(&["run", "--all", "--id", "first"], "first");
    first.until_said("taken 1 started", SOON).await;
    let second = env.start(&["run", "--all", "--id", "second"], "second");
    second.until_said("this is second", SOON).await;
    first.signal(Signal::SIGKILL);
    second.until_said("taken acquired", SOON).await;
    std::fs::write(env.path("go"), "").unwrap();
    finished(&coordinator, &["taken"], SOON).await;
    ended([second]).await;
    env.audit().await;
}

/// How many plans and orchestrators there are, and how far apart the latter start.
const PLANS: usize = 100;
const ORCHESTRATORS: usize = 4;
const APART: Duration = Duration::from_millis(300);

/// Each of them finishes as many plans as the others, but for a fifth, also if it came later.
#[case(one_at_a_time)]
async fn plans_spread_evenly_over_orchestrators(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let names: Vec<String> = (0..PLANS).map(|n| format!("p{n:03}")).collect();
    for name in &names {
        coordinator.admin().import(&plan_name(name), &spec(2, "exec sleep 0.5"), |_| {}).await.unwrap();
    }
    let mut processes = Vec::new();
    for n in 0..ORCHESTRATORS {
        let id = format!("o{n}");
        processes.push(env.start(&["run", "--all", "--jobs", "2", "--id", &id], &id));
        tokio::time::sleep(APART).await;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    finished(&coordinator, &names, Duration::from_secs(300)).await;
    let mut finished_by: BTreeMap<OrchestratorId, usize> = BTreeMap::new();
    let mut terms = 0;
    for name in &names {
        let (_, TermRecord { owner, number, .. }) =
            coordinator.queue(&plan_name(name)).await.unwrap().term.unwrap();
        *finished_by.entry(owner.orchestrator).or_default() += 1;
        terms += number.0;
    }
    println!(
        "measured: plans finished by each of {ORCHESTRATORS} orchestrators, {}: {:?}, {terms} terms",
        env.server.backend().module(),
        finished_by.values().collect::<Vec<_>>()
    );
    let fair = PLANS / ORCHESTRATORS;
    for (who, count) in &finished_by {
        assert!((fair * 4 / 5..=fair * 6 / 5).contains(count), "{who}: {count} of {PLANS}: {finished_by:?}");
    }
    assert_eq!(finished_by.len(), ORCHESTRATORS, "{finished_by:?}");
    ended(processes).await;
    env.audit().await;
}

async fn finished(coordinator: &Coordinator, plans: &[&str], limit: Duration) {
    for plan in plans {
        until(&format!("the end of {plan}"), limit, async || {
            let view = coordinator.plan(&plan_name(plan)).await.unwrap();
            if view.summary().is_done() { Ok(()) } else { Err(format!("{:?}", view.summary())) }
        })
        .await;
    }
}

async fn ended(processes: impl IntoIterator<Item = Process>) {
    for mut process in processes {
        process.signal(Signal::SIGTERM);
        assert_eq!(process.until_ended(SOON).await, Some(0), "{}", process.said());
    }
}
