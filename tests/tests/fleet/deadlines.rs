//! The durations of a plan's policy: what they may be, and which time they count.

use std::time::Duration;

use planlease_core::{
    keys::PlanKey,
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_tests::{
    cases,
    room::{Room, plan_name, task_id},
    suite::{Case, Fixture},
};
use serde_json::json;

use crate::spec::spec;

pub(crate) fn cases() -> Vec<Case> {
    cases![a_stored_duration_of_any_length_is_survived]
}

const LIMIT: Duration = Duration::from_secs(60);

/// Another client, or an older version, may have stored what an import refuses today.
async fn a_stored_duration_of_any_length_is_survived(fixture: Fixture) {
    let mut client = fixture.client.clone();
    let room = Room::new(fixture, Duration::from_secs(15));
    let (coordinator, plan) = (room.coordinator().await, plan_name("endless"));
    let fails_once = r#"[ "$PLANLEASE_ATTEMPT" = 2 ]"#;
    let policy = Policy { max_retries: 1, ..Policy::default() };
    coordinator.import(&plan, &PlanSpec { policy, ..spec(2, fails_once) }, |_| {}).await.unwrap();
    let key = coordinator.layout().of(&plan, &PlanKey::Spec);
    let stored = client.get(key.clone(), None).await.unwrap();
    let mut stored: serde_json::Value = serde_json::from_slice(stored.kvs()[0].value()).unwrap();
    for name in ["attempt_deadline_s", "total_deadline_s", "queue_deadline_s", "heartbeat_s"] {
        stored["policy"][name] = json!(u64::MAX);
    }
    stored["policy"]["retry_delay_max_s"] = json!(u64::MAX);
    stored["tasks"][1]["policy"] = json!({ "attempt_deadline_s": i64::MAX, "heartbeat_s": u64::MAX });
    client.put(key, stored.to_string(), None).await.unwrap();
    let mut run = room.start(&["run", "endless"], "run");
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    let view = coordinator.plan(&plan).await.unwrap();
    for task in ["1", "2"] {
        let record = &view.tasks[&task_id(task)].record;
        assert_eq!((record.status, record.attempt), (TaskStatus::Completed, 2), "{}", run.said());
    }
    room.until_empty().await;
    room.audit().await;
}
