//! Cancelling the attempts of tasks: a command under `run`, and a claimant under `hold`.

use std::time::Duration;

use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// The documented exit status of a change that the task's status does not allow.
const WRONG_STATUS: i32 = 106;

/// Works until it is asked to end, then reads why, and ends as if all were well. The second attempt does
/// nothing.
const WORK: &str = r#"
    [ "$PLANLEASE_ATTEMPT" = 1 ] || exit 0
    why() {
        "$PROGRAM" task show "$PLANLEASE_PLAN" "$PLANLEASE_TASK" -o json > "$TEST_DIR/why-$PLANLEASE_TASK"
        exit 0
    }
    trap why TERM
    touch "$TEST_DIR/begun-$PLANLEASE_TASK"
    while :; do sleep 0.1; done
"#;

async fn begun(env: &TestEnv, name: &str) {
    until("begin of a command", SOON, async || if env.path(name).exists() { Ok(()) } else { Err(()) }).await;
}

#[case]
async fn a_cancelled_command_ends_with_the_reason(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("cancels"));
    coordinator.admin().import(&plan, &spec(3, WORK), |_| {}).await.unwrap();
    let mut run = env.start(&["run", "cancels", "--jobs", "3"], "run");
    for (task, then) in [("1", "skip"), ("2", "fail"), ("3", "retry")] {
        begun(&env, &format!("begun-{task}")).await;
        let args = ["task", "cancel", "cancels", task, "--reason", "wrong branch", "--then", then];
        let asked = env.program().run_to(0, args).await;
        assert!(asked.stdout.contains("cancelled"), "{}", asked.stdout);
    }
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(10), "{}", run.said());
    let view = coordinator.plan(&plan).await.unwrap();
    let record = |task| &view.tasks()[&task_id(task)].record;
    for (task, status, attempt) in
        [("1", TaskStatus::Skipped, 1), ("2", TaskStatus::Failed, 1), ("3", TaskStatus::Completed, 2)]
    {
        let found = record(task);
        assert_eq!((found.status, found.attempt), (status, attempt), "{task}: {}", run.said());
        assert_eq!((found.failures, found.lost, found.cancel.is_some()), (0, 0, false), "{task}");
        let cancelled = found.transitions.iter().filter_map(|step| step.why.as_deref());
        let cancelled = cancelled.filter(|why| why.contains("cancelled by") && why.contains("wrong branch"));
        assert_eq!(cancelled.count(), 1, "{task}: {:?}", found.transitions);
        let read: serde_json::Value = serde_json::from_str(&env.text(&format!("why-{task}"))).unwrap();
        assert_eq!(read["cancel"]["why"], "wrong branch", "{read}");
    }
    env.until_empty().await;
    env.audit().await;
}

/// A command that ignores SIGTERM is killed after the grace.
#[case]
async fn a_cancelled_command_that_stays_is_killed(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("stays"));
    let work = r#"trap '' TERM; touch "$TEST_DIR/begun"; while :; do sleep 0.1; done"#;
    coordinator.admin().import(&plan, &spec(1, work), |_| {}).await.unwrap();
    let mut run = env.start(&["run", "stays", "--grace", "500ms"], "run");
    begun(&env, "begun").await;
    env.program().run_to(0, ["task", "cancel", "stays", "1", "--reason", "r", "--then", "skip"]).await;
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    let view = coordinator.plan(&plan).await.unwrap();
    assert_eq!(view.status(&task_id("1")), Some(TaskStatus::Skipped));
    env.until_empty().await;
    env.audit().await;
}

/// The claimant learns of it at its next report, and cannot complete the attempt any more.
#[case]
async fn a_claimant_under_hold_is_refused_with_the_reason(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("held"));
    coordinator.admin().import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let work = r#"
        "$PROGRAM" task start held 1 > /dev/null
        touch "$TEST_DIR/begun"
        while [ ! -e "$TEST_DIR/go" ]; do sleep 0.05; done
        "$PROGRAM" task complete held 1 2> "$TEST_DIR/refused"
        echo $? > "$TEST_DIR/status"
        "$PROGRAM" task fail held 1 --error 'cancelled'
    "#;
    let mut hold = env.start(&["hold", "held", "--", "sh", "-c", work], "hold");
    begun(&env, "begun").await;
    env.program().run_to(0, ["task", "cancel", "held", "1", "--reason", "no need", "--then", "skip"]).await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    let refused = env.text("refused");
    assert!(refused.contains("was cancelled by") && refused.contains("no need"), "{refused}");
    assert_eq!(env.text("status").trim(), WRONG_STATUS.to_string());
    let view = coordinator.plan(&plan).await.unwrap();
    assert_eq!(view.status(&task_id("1")), Some(TaskStatus::Skipped));
    env.until_empty().await;
    env.audit().await;
}
