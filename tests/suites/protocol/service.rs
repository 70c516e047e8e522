//! What an orchestrator that stays up asks of etcd.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use planlease::{Coordinator, EntryPoint, TryAcquire};
use planlease_core::{PlanName, offer::Load};
use planlease_orchestrator::{Options, Orchestrator, Plans, Reporter, Stop, TaskCommand};
use planlease_tests::{
    TestEnv, case,
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
