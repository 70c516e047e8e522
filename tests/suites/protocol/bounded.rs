//! Starts in a plan that bounds how many tasks are in progress.

use futures_util::future::join_all;
use planlease::{Outcome, Refused};
use planlease_core::spec::{PlanSpec, Policy, TaskSpec};
use planlease_tests::{TestEnv, case};

use crate::helpers::{audit, connected, id, plan, try_acquire};

/// Each needs a read, in which it counts, and a transaction. They would refuse each other if they were under
/// way at once.
#[case(one_at_a_time)]
async fn starts_of_one_process_do_not_refuse_each_other(env: TestEnv) {
    const BOUND: u32 = 12;
    let coordinator = env.coordinator().await;
    let tasks = (0..16).map(|n| TaskSpec::new(id(&format!("1.{n}")), "work")).collect();
    let policy = Policy { max_in_progress: BOUND, ..Policy::default() };
    coordinator
        .admin()
        .import(&plan(), &PlanSpec { tasks, policy, ..PlanSpec::default() }, |_| {})
        .await
        .unwrap();
    let session = env.session("owner").await;
    let owner = try_acquire(&session).await.unwrap();
    let (authority, view) = (owner.authority(), coordinator.plan(&plan()).await.unwrap());
    connected(&session, &["LeaseKeepAlive", "Watch"]).await; // Connections cost requests of their own.
    let sent = || {
        let traffic = session.coordinator().traffic();
        ["Txn", "Range"].map(|method| traffic.get(method).copied().unwrap_or(0)).iter().sum::<u64>()
    };
    let before = sent();
    let starts = view.tasks().keys().map(|task| authority.start(&view, task));
    let (mut started, mut full) = (0, 0);
    for outcome in join_all(starts).await {
        match outcome.unwrap() {
            Outcome::Committed(_) => started += 1,
            Outcome::Refused(Refused::Full(BOUND)) => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((started, full), (BOUND, 4));
    let requests = sent() - before;
    println!("measured: {requests} requests for {started} starts and {full} refusals");
    assert!(requests <= u64::from(2 * started + full), "{requests} requests");
    owner.release().await.unwrap();
    audit(&env).await;
}
