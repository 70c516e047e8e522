//! What an orchestrator writes at one moment.

use std::{collections::BTreeSet, time::Duration};

use nix::sys::signal::Signal;
use planlease_core::transition::TaskStatus;
use planlease_tests::{
    cases,
    room::{Room, plan_name},
    suite::{Case, Fixture},
    wait::{SOON, until},
};

use crate::spec::spec;

pub(crate) fn cases() -> Vec<Case> {
    cases![tasks_that_are_ready_at_once_share_a_revision]
}

const TASKS: usize = 16;

/// The first start leaves at once, and the others together behind it: not a request, and a revision, each.
async fn tasks_that_are_ready_at_once_share_a_revision(fixture: Fixture) {
    let room = Room::new(fixture, Duration::from_secs(15));
    let (coordinator, plan) = (room.coordinator().await, plan_name("together"));
    coordinator.import(&plan, &spec(TASKS, "exec sleep 1000"), |_| {}).await.unwrap();
    let mut run = room.start(&["run", "together", "--jobs", "16"], "run");
    let mut revisions = BTreeSet::new();
    until("start of all tasks", SOON, async || {
        let view = coordinator.plan(&plan).await.unwrap();
        let started = view.tasks.values().filter(|task| task.record.status == TaskStatus::InProgress);
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
    room.until_empty().await;
    room.audit().await;
}
