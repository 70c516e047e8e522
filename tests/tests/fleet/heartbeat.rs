//! Commands that have to say something from time to time.

use std::time::Duration;

use planlease_core::{
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_tests::{
    cases,
    room::{Room, plan_name, task_id},
    suite::{Case, Fixture},
};

use crate::spec::spec;

pub(crate) fn cases() -> Vec<Case> {
    cases![a_command_that_says_nothing_is_ended_and_one_that_does_is_not]
}

const HEARTBEAT_S: u64 = 3;

/// The first one talks for longer than it may be silent; the second one is silent.
const WORK: &str = r#"
    [ "$PLANLEASE_TASK" = 2 ] && exec sleep 1000
    for n in $(seq 16); do
        "$PROGRAM" task progress beats 1 "{\"step\": $n}" || exit
        sleep 0.3
    done"#;

async fn a_command_that_says_nothing_is_ended_and_one_that_does_is_not(fixture: Fixture) {
    let room = Room::new(fixture, Duration::from_secs(15));
    let (coordinator, plan) = (room.coordinator().await, plan_name("beats"));
    let policy = Policy { heartbeat_s: HEARTBEAT_S, max_retries: 0, ..Policy::default() };
    coordinator.import(&plan, &PlanSpec { policy, ..spec(2, WORK) }, |_| {}).await.unwrap();
    let mut run = room.start(&["run", "beats", "--jobs", "2"], "run");
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(10), "{}", run.said());
    let view = coordinator.plan(&plan).await.unwrap();
    let (talker, silent) = (&view.tasks[&task_id("1")].record, &view.tasks[&task_id("2")].record);
    assert_eq!(talker.status, TaskStatus::Completed, "{}", run.said());
    assert_eq!(talker.progress.as_deref(), Some(r#"{"step": 16}"#));
    assert_eq!(silent.status, TaskStatus::Failed, "{}", run.said());
    let why = silent.error.as_deref().unwrap_or_default();
    assert!(why.contains("said nothing for 3s (heartbeat_s)"), "{why}");
    assert_eq!((silent.failures, silent.lost), (1, 0));
    room.until_empty().await;
    room.audit().await;
}
