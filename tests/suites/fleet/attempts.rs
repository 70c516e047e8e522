//! What becomes of attempts that did not come to an end of their own: stopped by planlease, lost, or never
//! started.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_core::{
    PlanName,
    record::TaskRecord,
    spec::{PlanSpec, Policy, TaskPolicy},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// A command that works until it is asked to end, and then ends as if all were well.
const POLITE: &str = r#"trap 'exit 0' TERM; touch "$TEST_DIR/begun-$PLANLEASE_TASK"; sleep 1000 & wait"#;

/// A command that is killed with its supervisor process, which is its parent.
const KILLS_SUPERVISOR: &str = r#"echo begun >> "$TEST_DIR/begun"; kill -9 $PPID; sleep 1000"#;

/// A command that kills the orchestrator, the parent of its parent.
const KILLS_ORCHESTRATOR: &str =
    r#"echo begun >> "$TEST_DIR/begun"; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 1000"#;

async fn record(coordinator: &Coordinator, plan: &PlanName, task: &str) -> TaskRecord {
    coordinator.plan(plan).await.unwrap().tasks()[&task_id(task)].record.clone()
}

async fn begun(env: &TestEnv, name: &str) {
    until("begin of a command", SOON, async || if env.path(name).exists() { Ok(()) } else { Err(()) }).await;
}

#[case]
async fn an_exit_after_our_own_signal_is_no_result(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("polite"));
    let mut late = spec(2, POLITE);
    let own = |policy| Some(Box::new(policy));
    late.tasks[0].policy = own(TaskPolicy { attempt_deadline_s: Some(1), ..TaskPolicy::default() });
    late.tasks[1].policy = own(TaskPolicy { heartbeat_s: Some(1), ..TaskPolicy::default() });
    coordinator.admin().import(&plan, &late, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "polite", "--jobs", "2"], "run");
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(10), "{}", run.said());
    for (task, said) in [("1", "took longer than 1s"), ("2", "heartbeat_s")] {
        let record = record(&coordinator, &plan, task).await;
        assert_eq!((record.status, record.failures), (TaskStatus::Failed, 1), "{}", run.said());
        let why = record.error.unwrap_or_default();
        assert!(why.contains(said), "{why}");
    }

    // The second signal stops what runs: that is neither a success nor a failure.
    let stopped = plan_name("stopped");
    coordinator.admin().import(&stopped, &spec(1, POLITE), |_| {}).await.unwrap();
    std::fs::remove_file(env.path("begun-1")).unwrap();
    let mut run = env.start(&["run", "stopped"], "stopped");
    begun(&env, "begun-1").await;
    run.signal(Signal::SIGTERM);
    run.until_said("again to stop", SOON).await;
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(11), "{}", run.said());
    let record = record(&coordinator, &stopped, "1").await;
    assert_eq!((record.status, record.failures, record.lost), (TaskStatus::Pending, 0, 0), "{}", run.said());
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_task_that_kills_its_supervisor_is_parked_after_max_lost(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("killer"));
    let policy = Policy { max_lost: 2, max_retries: 0, ..Policy::default() };
    let killer = PlanSpec { policy, ..spec(1, KILLS_SUPERVISOR) };
    coordinator.admin().import(&plan, &killer, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "killer"], "run");
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(10), "{}", run.said());
    let parked = record(&coordinator, &plan, "1").await;
    assert_eq!((parked.status, parked.attempt), (TaskStatus::Failed, 3), "{}", run.said());
    assert_eq!((parked.lost, parked.failures), (3, 0), "a lost attempt is not a failed one");
    let why = parked.parked.unwrap_or_default();
    assert!(why.contains("supervisor process") && why.contains("(max_lost)"), "{why}");
    assert_eq!(env.text("begun").lines().count(), 3);
    // An operator has looked: the count starts from zero.
    env.program().run_to(0, ["task", "retry", "killer", "1"]).await;
    assert_eq!(record(&coordinator, &plan, "1").await.lost, 0);
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_lost_task_rests_before_it_is_started_again(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("rests"));
    let policy = Policy { max_lost: 1, max_retries: 0, retry_delay_s: 2, ..Policy::default() };
    let killer = PlanSpec { policy, ..spec(1, KILLS_SUPERVISOR) };
    coordinator.admin().import(&plan, &killer, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "rests"], "run");
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(10), "{}", run.said());
    let parked = record(&coordinator, &plan, "1").await;
    assert_eq!((parked.lost, parked.attempt, parked.parked.is_some()), (2, 2, true), "{}", run.said());
    let at = |from: TaskStatus, to: TaskStatus| {
        parked.transitions.iter().find(|step| (step.from, step.to) == (from, to)).unwrap().at
    };
    let rested =
        at(TaskStatus::InProgress, TaskStatus::Failed).until(at(TaskStatus::Failed, TaskStatus::Pending));
    // One host wrote both times, up to the tick of its clock.
    assert!(rested >= Duration::from_millis(1_990), "{rested:?}");
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_task_that_kills_its_orchestrators_is_parked(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(2));
    let (coordinator, plan) = (env.coordinator().await, plan_name("fatal"));
    let policy = Policy { max_lost: 1, max_retries: 0, ..Policy::default() };
    let fatal = PlanSpec { policy, ..spec(1, KILLS_ORCHESTRATOR) };
    coordinator.admin().import(&plan, &fatal, |_| {}).await.unwrap();
    for n in 1..=2 {
        let mut run = env.start(&["run", "fatal"], &format!("run-{n}"));
        assert_eq!(run.until_ended(Duration::from_secs(60)).await, None, "killed: {}", run.said());
    }
    let mut last = env.start(&["run", "fatal"], "last");
    assert_eq!(last.until_ended(Duration::from_secs(60)).await, Some(10), "{}", last.said());
    let parked = record(&coordinator, &plan, "1").await;
    assert_eq!((parked.status, parked.attempt, parked.lost), (TaskStatus::Failed, 2, 2), "{}", last.said());
    assert!(parked.parked.unwrap_or_default().contains("(max_lost)"));
    assert_eq!(env.text("begun").lines().count(), 2);
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_wrong_configuration_is_refused_before_a_plan_is_acquired(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let with = plan_name("with");
    coordinator.admin().import(&with, &spec(40, "true"), |_| {}).await.unwrap();
    let mut bare = spec(40, "true");
    bare.tasks.iter_mut().skip(1).for_each(|task| task.command = None);
    let without = plan_name("without");
    coordinator.admin().import(&without, &bare, |_| {}).await.unwrap();
    let mut elsewhere = spec(40, "true");
    elsewhere.tasks.iter_mut().for_each(|task| task.command = Some(vec!["no-such-program".into()]));
    let other = plan_name("elsewhere");
    coordinator.admin().import(&other, &elsewhere, |_| {}).await.unwrap();
    std::fs::write(env.path("text"), "no program").unwrap();

    for (status, args, said) in [
        (2, "run with --dir nowhere", "`nowhere`: No such file"),
        (2, "run with --dir text", "`text`: it is not a folder"),
        (2, "run without --exec no-such-program", "cannot run `no-such-program`"),
        (2, "run without --exec ./text", "it cannot be executed"),
        (14, "run without", "task 2 has no command"),
        (14, "run elsewhere", "cannot run `no-such-program`"),
    ] {
        let ended = env.program().run_to(status, args.split(' ')).await;
        assert!(ended.stderr.contains(said), "{args}: {}", ended.stderr);
    }
    for plan in [&with, &without, &other] {
        let view = coordinator.plan(plan).await.unwrap();
        assert!(view.queue().term.is_none(), "{plan} was acquired");
        assert!(view.tasks().values().all(|task| task.record.attempt == 0), "{plan}");
    }
    env.audit().await;
}

#[case]
async fn commands_that_do_not_start_use_no_retry_and_release_the_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("half"));
    let mut half = spec(4, "true");
    for task in &mut half.tasks[1..] {
        task.command = Some(vec!["no-such-program".into()]);
    }
    coordinator.admin().import(&plan, &half, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "half", "--jobs", "2"], "run");
    let said = run.until_said("released; will try again in", SOON).await;
    assert!(said.contains("did not start") && said.contains("no-such-program"), "{said}");
    planlease_tests::test_env::until_free(&coordinator, &plan).await;
    let view = coordinator.plan(&plan).await.unwrap();
    for (task, view) in view.tasks().iter() {
        let expected = if *task == task_id("1") { TaskStatus::Completed } else { TaskStatus::Pending };
        let record = &view.record;
        assert_eq!((record.status, record.failures, record.lost), (expected, 0, 0), "{task}: {}", run.said());
    }
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(11), "{}", run.said());
    env.until_empty().await;
    env.audit().await;
}

/// The program is looked for again, without a start that would count as one more attempt.
#[case]
async fn a_missing_program_counts_one_attempt(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("missing"));
    let mut half = spec(2, "true");
    half.tasks[1].command = Some(vec!["no-such-program".into()]);
    coordinator.admin().import(&plan, &half, |_| {}).await.unwrap();
    let mut run = env.start(&["run", "missing"], "run");
    // It has looked three times by then.
    run.until_said("released; will try again in", SOON).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let record = &view.task(&task_id("2")).unwrap().record;
    assert_eq!(
        (record.status, record.attempt, record.failures),
        (TaskStatus::Pending, 1, 0),
        "{}",
        run.said()
    );
    run.signal(Signal::SIGTERM);
    assert_eq!(run.until_ended(SOON).await, Some(11), "{}", run.said());
    env.until_empty().await;
    env.audit().await;
}

/// It was there when the orchestrator looked.
#[case]
async fn a_folder_that_vanishes_uses_no_retry(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("vanishes"));
    std::fs::create_dir(env.path("work")).unwrap();
    coordinator.admin().import(&plan, &spec(200, r#"rm -rf "$TEST_DIR/work""#), |_| {}).await.unwrap();
    let mut run = env.start(&["run", "vanishes", "--dir", "work", "--jobs", "8"], "run");
    run.until_said("released; will try again in", SOON).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let (summary, attempts) =
        (view.summary(), view.tasks().values().map(|task| task.record.attempt).sum::<u32>());
    assert!(summary.completed > 0 && summary.failed == 0 && summary.in_progress == 0, "{}", run.said());
    assert!(view.tasks().values().all(|task| task.record.failures == 0), "{}", run.said());
    assert!(attempts < 60, "{attempts} attempts were begun: {}", run.said());
    // What is missing comes back, and the work goes on by itself.
    std::fs::create_dir(env.path("work")).unwrap();
    run.until_said("acquired, token 1.2", SOON).await;
    run.signal(Signal::SIGTERM);
    run.until_ended(SOON).await;
    env.until_empty().await;
    env.audit().await;
}
