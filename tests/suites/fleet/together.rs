//! What an orchestrator writes at one moment.

use std::{collections::BTreeSet, time::Duration};

use nix::sys::signal::Signal;
use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    test_env::plan_name,
    wait::{SOON, until},
};

use crate::spec::spec;

const TASKS: usize = 16;

/// The first start leaves at once, and the others together behind it: not a request, and a revision, each.
#[case(one_at_a_time)]
async fn tasks_that_are_ready_at_once_share_a_revision(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let (coordinator, plan) = (env.coordinator().await, plan_name("together"));
    coordinator.admin().import(&plan, &spec(TASKS, "exec sleep 1000"), |_| {}).await.unwrap();
    let mut run = env.start(&["run", "together", "--jobs", "16"], "run");
    let mut revisions = BTreeSet::new();
    until("start of all tasks", SOON, async || {
        let view = coordinator.plan(&plan).await.unwrap();
        let started = view.tasks().values().filter(|task| task.record.status == TaskStatus::InProgress);
        let started: Vec<_> = started.map(|task| task.revision).collect();
        if started.len() < TASKS {
            return Err(run.said());
        }
        revisions = started.into_iter().collect();
        Ok(())
    })
    .await;
    assert!(revisions.len() <= 4, "{revisions:?}");
    run.signal(Signal::SIGKILL);
    run.until_ended(SOON).await;
    env.until_empty().await;
    env.audit().await;
}
