//! How `run` and `watch --until-finished` end: what a script learns from their exit status.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::Reason;
use planlease_core::{
    keys::{Key, PlanKey},
    spec::{OnLost, TaskPolicy, TaskSpec},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::{plan_name, task_id, until_free},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

const HALTED: i32 = 121;
const TASKS_FAILED: i32 = 10;
const STOPPED: i32 = 11;
const BAD_RECORD: i32 = 120;

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

/// Else `watch … --until-finished && deploy` would deploy.
#[case]
async fn an_interrupted_wait_for_the_end_is_no_success(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.coordinator().await.admin().import(&plan_name("open"), &spec(1, "true"), |_| {}).await.unwrap();
    let waits: [(&[&str], i32); 5] = [
        (&["watch", "open", "--until-finished", "--snapshot"], STOPPED),
        (&["watch", "open", "--until-finished", "--snapshot", "-o", "jsonl"], STOPPED),
        (&["watch", "open", "--snapshot"], 0),
        (&["watch", "--snapshot", "-o", "jsonl"], 0),
        (&["wait", "open"], STOPPED),
    ];
    for (n, (args, status)) in waits.into_iter().enumerate() {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGXCPU] {
            let mut waits = env.start(args, &format!("wait-{n}-{}", signal.as_str()));
            if args[0] == "watch" {
                waits.until_said("open", SOON).await;
            } else {
                takes_signals(&waits).await;
            }
            waits.signal(signal);
            assert_eq!(waits.until_ended(SOON).await, Some(status), "{args:?} {signal:?}: {}", waits.said());
        }
    }
}

/// Waits until a process handles SIGTERM.
async fn takes_signals(process: &Process) {
    until("handlers of signals", SOON, async || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
        let mask = u64::from_str_radix(mask, 16).unwrap_or(0);
        // They are taken one after the other, SIGPWR last.
        if mask >> 29 & 1 == 1 { Ok(()) } else { Err(status) }
    })
    .await;
}

/// The owner ends with its command, and the command with the plan: neither comes.
#[case]
async fn a_command_waits_for_no_end_of_its_own_owner(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let program = planlease_tests::program::planlease();
    let program = program.to_str().unwrap();
    for plan in ["outer", "other", "done"] {
        coordinator.admin().import(&plan_name(plan), &spec(1, "true"), |_| {}).await.unwrap();
    }
    env.program().run_to(0, ["run", "done"]).await;
    let refused = async |args: &[&str]| {
        let ended = env.program().run_to(100, [&["hold", "outer", "--", program], args].concat()).await;
        assert!(ended.stderr.contains("a command that waits for this one has it"), "{}", ended.stderr);
    };
    refused(&["wait", "outer"]).await;
    refused(&["wait", "outer", "--for", "unowned"]).await;
    refused(&["wait", "done", "outer"]).await;
    refused(&["watch", "outer", "--until-finished"]).await;
    refused(&["lock", "other", "git", "--", program, "wait", "outer"]).await;
    let passes = async |args: &[&str]| {
        env.program().run_to(0, [&["hold", "outer", "--", program], args].concat()).await;
    };
    passes(&["wait", "outer", "--for", "owned"]).await;
    passes(&["wait", "outer", "--for", "task=1:pending"]).await;
    passes(&["wait", "other", "--for", "unowned"]).await;
    passes(&["wait", "done"]).await;
    passes(&["watch", "done", "--until-finished"]).await;

    // The command of a task.
    let script = format!(
        r#"for wait in '' '--for unowned' '--for task=1:completed'; do
            '{program}' wait tasks $wait; echo $? >> "$TEST_DIR/statuses"
        done
        '{program}' wait tasks --for task=2:pending; echo $? >> "$TEST_DIR/statuses""#
    );
    let mut spec = spec(2, &script);
    spec.tasks[1].command = Some(vec!["true".into()]);
    spec.tasks[1].depends_on = vec![task_id("1")];
    coordinator.admin().import(&plan_name("tasks"), &spec, |_| {}).await.unwrap();
    env.program().run_to(0, ["run", "tasks"]).await;
    assert_eq!(env.text("statuses").split_whitespace().collect::<Vec<_>>(), ["100", "100", "100", "0"]);
    env.until_empty().await;
    env.audit().await;
}

/// No time makes it readable.
#[case]
async fn an_unreadable_term_ends_a_run_and_not_those_of_others(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let (mut etcd, layout) = (env.client.clone(), coordinator.layout().clone());
    let huge = format!(r#"{{"v":1,"text":"{}"}}"#, "x".repeat(900_000)).into_bytes();
    for (name, value) in
        [("garbage", b"\xff\x00 no record".to_vec()), ("newer", br#"{"v":99}"#.to_vec()), ("huge", huge)]
    {
        coordinator.admin().import(&plan_name(name), &spec(1, "true"), |_| {}).await.unwrap();
        let key = layout.key(&Key::Plan(plan_name(name), PlanKey::Term));
        etcd.put(key, value, None).await.unwrap();
        let ended = env.program().run_to(BAD_RECORD, ["run", name]).await;
        assert!(ended.stderr.contains(&format!("`plans/{name}/term`")), "{}", ended.stderr);
        env.program().run_to(BAD_RECORD, ["hold", name, "--", "true"]).await;
    }
    coordinator.admin().import(&plan_name("good"), &spec(2, "true"), |_| {}).await.unwrap();
    let ended = env.program().run_to(BAD_RECORD, ["run", "--all", "--until-idle"]).await;
    for name in ["garbage", "newer", "huge"] {
        assert!(ended.stdout.contains(&format!("`plans/{name}/term`")), "{}", ended.stdout);
    }
    assert!(coordinator.plan(&plan_name("good")).await.unwrap().summary().is_done(), "{}", ended.stdout);
    // A service stays, for the others and for the repair.
    let mut service = env.start(&["run", "--all"], "service");
    coordinator.admin().import(&plan_name("later"), &spec(1, "true"), |_| {}).await.unwrap();
    service.until_said("later finished", SOON).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.until_ended(SOON).await, Some(0), "{}", service.said());
}

#[case]
async fn a_run_until_idle_does_not_wait_for_the_end_of_a_pause(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, program) = (env.coordinator().await, env.program());
    let reason = Reason::by("kim").because("the disk");
    for (name, count) in [("before", 1), ("free", 2)] {
        coordinator.admin().import(&plan_name(name), &spec(count, "true"), |_| {}).await.unwrap();
    }
    coordinator.admin().pause(&plan_name("before"), &reason).await.unwrap();
    let ended = program.run_to(HALTED, ["run", "--all", "--until-idle"]).await;
    assert!(ended.stderr.contains("plan before was not finished: it is paused by kim"), "{}", ended.stderr);
    assert!(ended.stdout.contains("free finished"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("before acquired"), "{}", ended.stdout);

    // A pause under it, one that cannot be read, and one of the fleet.
    let work =
        r#"touch "$TEST_DIR/begun-$PLANLEASE_PLAN"; while [ ! -e "$TEST_DIR/go" ]; do sleep 0.1; done"#;
    coordinator.admin().import(&plan_name("under"), &spec(2, work), |_| {}).await.unwrap();
    let mut run = env.start(&["run", "--all", "--until-idle"], "run");
    run.until_said("under 1 started", SOON).await;
    coordinator.admin().pause(&plan_name("under"), &reason).await.unwrap();
    run.until_said("under is paused", SOON).await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(SOON).await, Some(HALTED), "{}", run.said());
    assert!(run.said().contains("under released before it was finished"), "{}", run.said());
    until_free(&coordinator, &plan_name("under")).await;

    let key = coordinator.layout().key(&Key::Plan(plan_name("under"), PlanKey::Pause));
    env.client.clone().put(key.clone(), "no record", None).await.unwrap();
    program.run_to(HALTED, ["run", "--all", "--until-idle"]).await;
    env.client.clone().delete(key, None).await.unwrap();
    program.run_to(0, ["plan", "resume", "before"]).await;
    program.run_to(0, ["fleet", "pause", "--reason", "the registry"]).await;
    let ended = program.run_to(HALTED, ["run", "--all", "--until-idle"]).await;
    assert!(ended.stderr.contains("the fleet is paused by"), "{}", ended.stderr);
    program.run_to(0, ["fleet", "resume"]).await;
    program.run_to(0, ["run", "--all", "--until-idle"]).await;
    env.until_empty().await;
}

#[case]
async fn a_demo_that_is_ended_leaves_nothing(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let temporary = env.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let program = env.program().clone().variable("TMPDIR", &temporary);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut demo = Process::start(program.command(["demo"]), &env.path(signal.as_str()));
        until("a task of the demo", SOON, async || {
            let sleeps =
                |pid: &i32| planlease_tests::program::arguments(*pid).first().is_some_and(|it| it == "sleep");
            if env.processes().iter().any(sleeps) { Ok(()) } else { Err(demo.said()) }
        })
        .await;
        demo.signal(signal);
        assert_eq!(demo.until_ended(SOON).await, Some(STOPPED), "{signal:?}: {}", demo.said());
        let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().flatten().map(|it| it.path()).collect();
        assert!(left.is_empty(), "{signal:?}: {left:?}");
        assert!(env.processes().is_empty(), "{signal:?}: {}", demo.said());
    }
}
