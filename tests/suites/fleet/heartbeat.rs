//! Commands that have to give a sign of life from time to time.

use std::time::Duration;

use planlease_core::{
    spec::{HeartbeatOn, PlanSpec, Policy, TaskPolicy},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
};

use crate::spec::spec;

const HEARTBEAT_S: u64 = 5;

/// Tasks 1 to 3 note their progress for longer than they may be silent, tasks 4 to 6 write output for as
/// long, task 7 is silent.
const WORK: &str = r#"
    [ "$PLANLEASE_TASK" = 7 ] && exec sleep 1000
    for n in $(seq 24); do
        if [ "$PLANLEASE_TASK" -le 3 ]; then
            "$PROGRAM" task progress beats "$PLANLEASE_TASK" "{\"step\": $n}" > /dev/null 2>&1 || exit
        else
            echo "step $n"
        fi
        sleep 0.3
    done"#;

#[case]
async fn the_policy_says_what_keeps_a_command_alive(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let (coordinator, plan) = (env.coordinator().await, plan_name("beats"));
    let policy = Policy { heartbeat_s: HEARTBEAT_S, max_retries: 0, ..Policy::default() };
    let mut spec = PlanSpec { policy, ..spec(7, WORK) };
    let kinds = [None, Some(HeartbeatOn::Progress), Some(HeartbeatOn::Output)].into_iter().cycle();
    for (task, heartbeat_on) in spec.tasks.iter_mut().zip(kinds) {
        task.policy = Some(Box::new(TaskPolicy { heartbeat_on, ..TaskPolicy::default() }));
    }
    coordinator.admin().import(&plan, &spec, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "beats", "--jobs", "7"], "run");
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(10), "{}", run.said());
    let view = coordinator.plan(&plan).await.unwrap();
    // Notes: any, progress, output. Output: the same. Silence.
    for (task, lives) in
        [("1", true), ("2", true), ("3", false), ("4", true), ("5", false), ("6", true), ("7", false)]
    {
        let record = &view.tasks()[&task_id(task)].record;
        let why = record.error.as_deref().unwrap_or_default();
        if lives {
            assert_eq!(record.status, TaskStatus::Completed, "{task}: {why}; {}", run.said());
        } else {
            assert_eq!(record.status, TaskStatus::Failed, "{task}: {}", run.said());
            assert!(why.contains("said nothing for 5s (heartbeat_s)"), "{task}: {why}");
            assert_eq!((record.failures, record.lost), (1, 0), "{task}");
        }
    }
    let noted = &view.tasks()[&task_id("1")].record.progress;
    assert_eq!(noted.as_deref(), Some(r#"{"step": 24}"#));
    env.until_empty().await;
    env.audit().await;
}
