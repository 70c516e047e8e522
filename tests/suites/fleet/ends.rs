//! How `run` and `watch --until-finished` end: what a script learns from their exit status.

use std::time::Duration;

use planlease_core::{
    spec::{OnLost, TaskPolicy, TaskSpec},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
    wait::SOON,
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

const HALTED: i32 = 121;
const TASKS_FAILED: i32 = 10;

/// Work that takes as long as it may.
const LONG: &str = "sleep 1000";

#[case]
async fn a_closed_plan_is_not_run_and_the_reason_is_said(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, program) = (env.coordinator().await, env.program());
    for how in ["cancel", "archive"] {
        coordinator.admin().import(&plan_name(how), &spec(1, "true"), |_| {}).await.unwrap();
        let confirmed: &[&str] = if how == "cancel" { &["--yes"] } else { &[] };
        program.run_to(0, [&["plan", how, how, "--reason", "not needed"], confirmed].concat()).await;
        let ended = program.run_to(HALTED, ["run", how]).await;
        assert!(ended.stderr.contains(how) && ended.stderr.contains("not needed"), "{}", ended.stderr);
        let ended = program.run_to(HALTED, ["watch", how, "--until-finished"]).await;
        assert!(ended.stderr.contains("not needed"), "{}", ended.stderr);
    }
    let all = program.run_to(0, ["run", "--all", "--until-idle"]).await;
    assert!(!all.stdout.contains("acquired"), "{}", all.stdout);
    env.audit().await;
}

#[case]
async fn a_plan_that_is_cancelled_while_it_runs_is_given_back(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("cancelled"));
    let mut spec = spec(4, LONG);
    for (task, on_lost) in [(2, OnLost::Fail), (3, OnLost::Ask)] {
        spec.tasks[task].policy =
            Some(Box::new(TaskPolicy { on_lost: Some(on_lost), ..TaskPolicy::default() }));
    }
    coordinator.admin().import(&plan, &spec, |_| {}).await.unwrap();
    let mut watch = env.start(&["watch", "cancelled", "--until-finished"], "watch");
    let mut run = env.start(&["run", "cancelled", "--jobs", "4"], "run");
    run.until_said("cancelled 4 started", SOON).await;
    let mut waits = env.start(&["run", "cancelled"], "waits");
    waits.until_said("waiting", SOON).await;
    env.program().run_to(0, ["plan", "cancel", "cancelled", "--reason", "not needed", "--yes"]).await;
    for process in [&mut run, &mut waits, &mut watch] {
        assert_eq!(process.until_ended(SOON).await, Some(HALTED), "{}", process.said());
        assert!(process.said().contains("not needed"), "{}", process.said());
    }
    let view = coordinator.plan(&plan).await.unwrap();
    for (task, wanted) in [
        ("1", (TaskStatus::Pending, 0, false)),
        ("2", (TaskStatus::Pending, 0, false)),
        ("3", (TaskStatus::Failed, 1, false)),
        ("4", (TaskStatus::Failed, 1, true)),
    ] {
        let record = &view.tasks()[&task_id(task)].record;
        assert_eq!((record.status, record.lost, record.parked.is_some()), wanted, "{task}: {}", run.said());
        assert!(record.claim.is_none() && record.failures == 0, "{record:?}");
        assert_eq!(record.lost_for_good, task == "3");
        let error = record.error.as_deref().unwrap_or_default();
        assert_eq!(error.contains("not needed"), record.lost > 0, "{error}");
    }
    env.until_empty().await;
    env.audit().await;
}

/// Only what no process owns or waits for can be deleted: here between two tries.
#[case]
async fn a_plans_deletion_while_it_runs_is_reported(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let mut half = spec(2, "true");
    half.tasks[1].command = Some(vec!["no-such-program".into()]);
    coordinator.admin().import(&plan_name("deleted"), &half, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "deleted"], "run");
    run.until_said("released; will try again in", SOON).await;
    env.program().run_to(0, ["plan", "delete", "deleted", "--yes"]).await;
    assert_eq!(run.until_ended(SOON).await, Some(104), "{}", run.said());
    assert!(run.said().contains("was deleted"), "{}", run.said());
    env.until_empty().await;
}

#[case]
async fn a_failed_plan_says_what_failed(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("failed"));
    let mut failing = spec(2, "echo boom; exit 3");
    failing.tasks[1].depends_on = vec![task_id("1")];
    coordinator.admin().import(&plan, &failing, |_| {}).await.unwrap();
    // The second time there is nothing to do any more.
    for _ in 0..2 {
        let ended = env.program().run_to(TASKS_FAILED, ["run", "failed"]).await;
        for words in
            ["cannot go on", "1 failed", "1 waiting", "1 failed: failed 1 time", "boom", "task retry"]
        {
            assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
        }
    }
    // Also if every task has come to an end.
    coordinator.admin().import(&plan_name("all"), &spec(1, "echo boom; exit 3"), |_| {}).await.unwrap();
    for _ in 0..2 {
        let ended = env.program().run_to(TASKS_FAILED, ["run", "all"]).await;
        assert!(ended.stdout.contains("boom") && ended.stdout.contains("cannot go on"), "{}", ended.stdout);
    }
    env.audit().await;
}

#[case]
async fn a_watch_ends_with_what_became_of_the_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, program) = (env.coordinator().await, env.program());
    coordinator.admin().import(&plan_name("good"), &spec(1, "true"), |_| {}).await.unwrap();
    let mut stuck = spec(2, "exit 3");
    stuck.tasks[1].depends_on = vec![task_id("1")];
    stuck.tasks.push(TaskSpec { command: Some(vec!["true".into()]), ..TaskSpec::new(task_id("3"), "work") });
    coordinator.admin().import(&plan_name("stuck"), &stuck, |_| {}).await.unwrap();
    let mut watch_good = env.start(&["watch", "good", "--until-finished"], "watch-good");
    let mut watch_stuck = env.start(&["watch", "stuck", "--until-finished"], "watch-stuck");
    program.run_to(0, ["run", "good"]).await;
    assert_eq!(watch_good.until_ended(SOON).await, Some(0), "{}", watch_good.said());
    program.run_to(TASKS_FAILED, ["run", "stuck"]).await;
    assert_eq!(watch_stuck.until_ended(SOON).await, Some(TASKS_FAILED), "{}", watch_stuck.said());
    let said = watch_stuck.said();
    assert!(said.contains("cannot go on: 1 task failed, 1 waiting; task 1:"), "{said}");
    let both = program.run_to(TASKS_FAILED, ["watch", "good", "stuck", "--until-finished"]).await;
    assert!(both.stderr.contains("plan stuck"), "{}", both.stderr);
    env.audit().await;
}
