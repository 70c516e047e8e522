//! The durations of a plan's policy: what they may be, and which time they count.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::{Coordinator, TaskView};
use planlease_core::{
    PlanName, WallTime, codec,
    keys::PlanKey,
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
    wait::until,
};
use serde_json::json;

use crate::spec::spec;

const LIMIT: Duration = Duration::from_secs(60);

/// Short, so that a killed owner is soon followed.
const TTL: Duration = Duration::from_secs(3);

/// As far as the clocks of two hosts are apart.
const TWO_HOURS_MS: i64 = 2 * 3_600_000;

/// Another client, or an older version, may have stored what an import refuses today.
#[case]
async fn a_stored_duration_of_any_length_is_survived(env: TestEnv) {
    let mut client = env.client.clone();
    let env = env.with_ttl(Duration::from_secs(15));
    let (coordinator, plan) = (env.coordinator().await, plan_name("endless"));
    let fails_once = r#"[ "$PLANLEASE_ATTEMPT" = 2 ]"#;
    let policy = Policy { max_retries: 1, ..Policy::default() };
    coordinator.admin().import(&plan, &PlanSpec { policy, ..spec(2, fails_once) }, |_| {}).await.unwrap();
    let key = coordinator.layout().of(&plan, &PlanKey::Spec);
    let stored = client.get(key.clone(), None).await.unwrap();
    let mut stored: serde_json::Value = serde_json::from_slice(stored.kvs()[0].value()).unwrap();
    for name in ["attempt_deadline_s", "total_deadline_s", "queue_deadline_s", "heartbeat_s"] {
        stored["policy"][name] = json!(u64::MAX);
    }
    stored["policy"]["retry_delay_max_s"] = json!(u64::MAX);
    stored["tasks"][1]["policy"] = json!({ "attempt_deadline_s": i64::MAX, "heartbeat_s": u64::MAX });
    client.put(key, stored.to_string(), None).await.unwrap();
    let mut run = env.start(&["run", "endless"], "run");
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    let view = coordinator.plan(&plan).await.unwrap();
    for task in ["1", "2"] {
        let record = &view.tasks()[&task_id(task)].record;
        assert_eq!((record.status, record.attempt), (TaskStatus::Completed, 2), "{}", run.said());
    }
    env.until_empty().await;
    env.audit().await;
}

/// Each task takes longer than one may wait: what is held up by a pause, by `max_in_progress` or by `--jobs`
/// is not parked for it.
#[case]
async fn no_task_waits_too_long_while_it_may_not_start(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let coordinator = env.coordinator().await;
    let policy = Policy { queue_deadline_s: 1, max_retries: 0, ..Policy::default() };
    for (name, max_in_progress) in [("paused", 0), ("bounded", 1), ("crowded", 0)] {
        let policy = Policy { max_in_progress, ..policy.clone() };
        let spec = PlanSpec { policy, ..spec(3, "sleep 2") };
        coordinator.admin().import(&plan_name(name), &spec, |_| {}).await.unwrap();
    }
    env.program().run_to(0, ["plan", "pause", "paused", "--reason", "a test"]).await;
    let mut runs = [("paused", "4"), ("bounded", "4"), ("crowded", "1")]
        .map(|(name, jobs)| (name, env.start(&["run", name, "--jobs", jobs], name)));
    // By the time that the others are done, the paused plan has been held up for six times as long as its
    // tasks may wait.
    for (name, run) in &mut runs[1..] {
        assert_eq!(run.until_ended(LIMIT).await, Some(0), "{name}: {}", run.said());
    }
    env.program().run_to(0, ["plan", "resume", "paused"]).await;
    let (_, run) = &mut runs[0];
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    for (name, run) in &runs {
        let view = coordinator.plan(&plan_name(name)).await.unwrap();
        assert_eq!(view.summary().completed, 3, "{name}: {}", run.said());
    }
    env.until_empty().await;
    env.audit().await;
}

/// Waits until the task is in progress in this attempt, and at least this much of its time is used up.
async fn until_spent(coordinator: &Coordinator, plan: &PlanName, attempt: u32, spent_ms: u64) -> TaskView {
    until("progress of that attempt", LIMIT, async || {
        let task = coordinator.task(plan, &task_id("1")).await.unwrap().unwrap();
        let record = &task.record;
        let there = record.status == TaskStatus::InProgress && record.attempt == attempt;
        if there && record.spent_ms >= spent_ms { Ok(task) } else { Err((record.attempt, record.spent_ms)) }
    })
    .await
}

/// The first owner is killed in the middle; the second one goes on from what the first has measured, and does
/// not end.
#[case]
async fn the_next_owner_goes_on_counting_the_total_deadline(env: TestEnv) {
    const TOTAL_S: u64 = 10;
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("endless"));
    let policy = Policy { total_deadline_s: TOTAL_S, max_retries: 9, ..Policy::default() };
    coordinator
        .admin()
        .import(&plan, &PlanSpec { policy, ..spec(1, "exec sleep 1000") }, |_| {})
        .await
        .unwrap();
    let mut first = env.start(&["run", "endless"], "first");
    let before = until_spent(&coordinator, &plan, 1, TOTAL_S * 1000 / 2).await.record;
    first.signal(Signal::SIGKILL);
    first.until_ended(LIMIT).await;
    let mut second = env.start(&["run", "endless"], "second");
    let taken_over = until_spent(&coordinator, &plan, 2, 1).await.record;
    assert!(taken_over.spent_ms >= before.spent_ms, "{} after {}", taken_over.spent_ms, before.spent_ms);
    let stored = until_spent(&coordinator, &plan, 2, taken_over.spent_ms + 1).await.record;
    assert!(stored.spent_ms < TOTAL_S * 1000, "{}", stored.spent_ms);
    assert_eq!(second.until_ended(LIMIT).await, Some(10), "{}", second.said());
    let record = coordinator.task(&plan, &task_id("1")).await.unwrap().unwrap().record;
    assert_eq!(record.attempt, 2, "{}", second.said());
    assert!(record.spent_ms >= TOTAL_S * 1000, "{}", record.spent_ms);
    let why = record.parked.unwrap_or_default();
    assert_eq!(why, "not done within 10 s (total_deadline_s)");
    env.until_empty().await;
    env.audit().await;
}

/// Its host was two hours behind, or ahead; the next owner goes by what was measured.
#[case]
async fn the_wall_clock_of_the_owner_before_counts_for_nothing(env: TestEnv) {
    let mut client = env.client.clone();
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    for (name, off) in [("behind", -TWO_HOURS_MS), ("ahead", TWO_HOURS_MS)] {
        let plan = plan_name(name);
        let policy = Policy { total_deadline_s: 600, ..Policy::default() };
        let work = r#"[ "$PLANLEASE_ATTEMPT" = 1 ] && exec sleep 1000; true"#;
        coordinator.admin().import(&plan, &PlanSpec { policy, ..spec(1, work) }, |_| {}).await.unwrap();
        let mut first = env.start(&["run", name], &format!("{name}.first"));
        until_spent(&coordinator, &plan, 1, 0).await;
        first.signal(Signal::SIGKILL);
        first.until_ended(LIMIT).await;
        // What the first owner would have written.
        let mut record = coordinator.task(&plan, &task_id("1")).await.unwrap().unwrap().record;
        record.first_started_at = record.first_started_at.map(|at| WallTime(at.0 + off));
        record.started_at = record.started_at.map(|at| WallTime(at.0 + off));
        let key = coordinator.layout().of(&plan, &PlanKey::Task(task_id("1")));
        client.put(key, codec::encode(&record).unwrap(), None).await.unwrap();
        let mut second = env.start(&["run", name], &format!("{name}.second"));
        assert_eq!(second.until_ended(LIMIT).await, Some(0), "{name}: {}", second.said());
        let record = coordinator.task(&plan, &task_id("1")).await.unwrap().unwrap().record;
        assert_eq!((record.status, record.attempt), (TaskStatus::Completed, 2), "{}", second.said());
    }
    env.until_empty().await;
}
