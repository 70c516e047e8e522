//! What an orchestrator that stays up asks of etcd, and how many plans a session of one has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use planlease::{Coordinator, EntryPoint, MAX_HELD, TryAcquire};
use planlease_core::{PlanName, offer::Load};
use planlease_orchestrator::{Options, Orchestrator, Plans, Reporter, Stop, TaskCommand};
use planlease_tests::{
    TestEnv, case,
    test_env::acquired,
    wait::{SOON, until},
};
use tokio::sync::watch;

use crate::helpers::{background, imported, plan, spec};

/// The requests of a coordinator so far, watches and renewals aside.
fn requests(coordinator: &Coordinator) -> BTreeMap<String, u64> {
    let mut traffic = coordinator.traffic();
    traffic.retain(|method, _| !method.starts_with("Watch") && !method.starts_with("LeaseKeepAlive"));
    traffic
}

/// One plan is owned by another process, one is not selected, and one appears meanwhile.
#[case(one_at_a_time)]
async fn an_idle_service_makes_no_requests_but_renewals(env: TestEnv) {
    let observer = imported(&env).await;
    let other = env.session("other").await;
    let TryAcquire::Acquired(owner) = other.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    let elsewhere = PlanName::new("elsewhere").unwrap();
    observer.admin().import(&elsewhere, &spec(), |_| {}).await.unwrap();

    let coordinator = env.coordinator().await;
    let (stop, stopping) = watch::channel(Stop::Run);
    let options = Options::new(Plans::Follow, Arc::new(EntryPoint::of_this_program("supervisor")))
        .select("team=payments".parse().unwrap())
        .command(TaskCommand::Program(vec!["true".into()]));
    let service = Orchestrator::new(coordinator.clone(), options, Reporter::new(|_| {}), stopping);
    let service = background(service.run());
    let idle = Load { free: 1, ..Load::default() };
    until("its load", SOON, async || {
        let registered = observer.orchestrators().await.unwrap();
        let written = registered.iter().any(|one| one.record.load.as_ref() == Some(&idle));
        if written && coordinator.traffic().contains_key("Watch") { Ok(()) } else { Err(registered.len()) }
    })
    .await;

    tokio::time::sleep(Duration::from_secs(1)).await; // The list, and connections, are of the beginning.
    let (before, renewals) = (requests(&coordinator), coordinator.traffic());
    observer.admin().import(&PlanName::new("another").unwrap(), &spec(), |_| {}).await.unwrap();
    // Longer than a load rests, and than a renewal.
    tokio::time::sleep(env.config.ttl / 2 + Duration::from_secs(3)).await;
    assert_eq!(requests(&coordinator), before);
    assert_ne!(coordinator.traffic(), renewals, "it renews its session");

    stop.send_replace(Stop::Drain);
    assert!(service.await.unwrap().unwrap().is_success());
    owner.release().await.unwrap();
}

/// There is one plan more than a session can have, and all of them are owned by others.
#[case(alone)]
async fn more_plans_than_a_session_can_have_end_no_run(env: TestEnv) {
    const AT_ONCE: usize = 50;
    const LIMIT: Duration = Duration::from_secs(120);
    let env = env.with_ttl(Duration::from_secs(30));
    let observer = env.coordinator().await;
    let (one, two) = (env.session("one").await, env.session("two").await);
    let plans: Vec<_> = (0..=MAX_HELD).map(|n| PlanName::new(format!("p-{n:04}")).unwrap()).collect();
    let (spec, mut owned) = (spec(), Vec::new());
    for some in plans.chunks(AT_ONCE) {
        for imported in join_all(some.iter().map(|plan| observer.admin().import(plan, &spec, |_| {}))).await {
            imported.unwrap();
        }
        let owner = if owned.len() < MAX_HELD / 2 { &one } else { &two };
        owned.extend(join_all(some.iter().map(|plan| acquired(owner, plan))).await);
    }

    let (stop, stopping) = watch::channel(Stop::Run);
    let options = Options::new(Plans::All, Arc::new(EntryPoint::of_this_program("supervisor")))
        .command(TaskCommand::Program(vec!["true".into()]));
    let run = Orchestrator::new(env.coordinator().await, options, Reporter::new(|_| {}), stopping);
    let run = background(run.run());
    until("place in as many queues as it can stand in", LIMIT, async || {
        assert!(!run.is_finished(), "it has ended");
        let waiting = observer.queue(&plans[MAX_HELD - 1]).await.unwrap().candidates().len();
        if waiting == 2 { Ok(()) } else { Err(waiting) }
    })
    .await;
    assert_eq!(observer.queue(&plans[MAX_HELD]).await.unwrap().candidates().len(), 1);
    stop.send_replace(Stop::Drain);
    let summary = run.await.unwrap().unwrap();
    assert_eq!(summary.unfinished, plans);
}
