//! What a plan says about failures: by how a command ended, and for the tasks behind it.

use std::time::Duration;

use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};

const TTL: Duration = Duration::from_secs(15);

const TASKS_FAILED: i32 = 10;

#[case]
async fn how_a_command_ends_decides_about_its_task(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let mut text = "title = \"ends\"\n[policy]\nmax_retries = 1\nretry_on = [\"70-79\", 3, \"SIGUSR1\"]\n\
                    fail_on = [78]\nask_on = [\"SIGUSR2\", 5]\n"
        .to_owned();
    for (id, script) in [
        ("retried", "exit 75"),
        ("final", "exit 78"),
        ("other", "exit 1"),
        ("asked", "exit 5"),
        ("signal", "kill -USR1 $$"),
        ("signal-asked", "kill -USR2 $$"),
    ] {
        let command = serde_json::json!(["sh", "-c", script]);
        text += &format!("[[task]]\nid = \"{id}\"\ndescription = \"x\"\ncommand = {command}\n");
    }
    env.import("ends", &text).await;
    let ended = env.program().run_to(TASKS_FAILED, ["run", "ends"]).await;
    let view = coordinator.plan(&plan_name("ends")).await.unwrap();
    for (task, attempts, why) in [
        ("retried", 2, "failed 2 times"),
        ("final", 1, "fail_on"),
        ("other", 1, "retry_on"),
        ("asked", 1, "ask_on"),
        ("signal", 2, "failed 2 times"),
        ("signal-asked", 1, "ask_on"),
    ] {
        let record = &view.tasks()[&task_id(task)].record;
        let parked = record.parked.as_deref().unwrap_or_default();
        assert_eq!(
            (record.status, record.attempt),
            (TaskStatus::Failed, attempts),
            "{task}: {}",
            ended.stdout
        );
        assert!(parked.contains(why), "{task}: {parked}");
    }
    // A person's answer gives all tries again.
    env.program().run_to(0, ["task", "retry", "ends", "asked", "--reason", "again"]).await;
    env.program().run_to(TASKS_FAILED, ["run", "ends"]).await;
    let asked = coordinator.task(&plan_name("ends"), &task_id("asked")).await.unwrap().unwrap().record;
    assert_eq!((asked.attempt, asked.failures), (2, 1));
    env.audit().await;
}

#[case]
async fn a_failed_dependency_is_what_each_task_makes_of_it(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let mut text = "title = \"chain\"\n[policy]\nmax_retries = 0\n".to_owned();
    for (id, after, on_failed, script) in [
        ("1", "", "wait", "exit 1"),
        ("skip", "1", "skip", "true"),
        ("skip.2", "skip", "skip", "true"),
        ("fail", "1", "fail", "true"),
        ("fail.skip", "fail", "skip", "true"),
        ("run", "skip.2", "run", "true"),
        ("run.2", "1", "run", "true"),
        ("after-run", "run", "wait", "true"),
        ("wait", "1", "wait", "true"),
        ("wait.2", "skip", "wait", "true"),
    ] {
        let command = serde_json::json!(["sh", "-c", script]);
        let after = if after.is_empty() { String::new() } else { format!("\"{after}\"") };
        text += &format!(
            "[[task]]\nid = \"{id}\"\ndescription = \"x\"\ncommand = {command}\ndepends_on = [{after}]\n\
             policy = {{ on_dependency_failed = \"{on_failed}\" }}\n"
        );
    }
    // Enough of them that a start reads a task's excerpt alone.
    for n in 0..20 {
        text += &format!("[[task]]\nid = \"other-{n}\"\ndescription = \"x\"\ncommand = [\"true\"]\n");
    }
    env.import("chain", &text).await;
    let ended = env.program().run_to(TASKS_FAILED, ["run", "chain"]).await;
    let view = coordinator.plan(&plan_name("chain")).await.unwrap();
    for (task, status) in [
        ("skip", TaskStatus::Skipped),
        ("skip.2", TaskStatus::Skipped),
        ("fail", TaskStatus::Failed),
        ("fail.skip", TaskStatus::Skipped),
        ("run", TaskStatus::Completed),
        ("run.2", TaskStatus::Completed),
        ("after-run", TaskStatus::Completed),
        ("wait", TaskStatus::Pending),
        ("wait.2", TaskStatus::Pending),
    ] {
        assert_eq!(view.tasks()[&task_id(task)].record.status, status, "{task}: {}", ended.stdout);
    }
    let why = env.program().run_to(0, ["why", "chain", "skip.2"]).await.stdout;
    assert!(why.contains("on_dependency_failed = skip"), "{why}");
    env.audit().await;
}

#[case]
async fn the_next_attempt_is_given_the_last_progress(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let script = r#"
        echo "$PLANLEASE_ATTEMPT:$PLANLEASE_LAST_PROGRESS" >> "$TEST_DIR/said"
        [ "$PLANLEASE_ATTEMPT" = 2 ] && exit 1
        "$PROGRAM" task progress steps 1 "step $PLANLEASE_ATTEMPT" > /dev/null || exit 9
        [ "$PLANLEASE_ATTEMPT" = 3 ]"#;
    let command = serde_json::json!(["sh", "-c", script]);
    let text = format!(
        "title = \"steps\"\n[policy]\nmax_retries = 2\n[[task]]\nid = \"1\"\ndescription = \"x\"\ncommand = {command}\n"
    );
    env.import("steps", &text).await;
    env.program().run_to(0, ["run", "steps"]).await;
    assert_eq!(env.text("said"), "1:\n2:step 1\n3:step 1\n");
    let shown = env.json(&["task", "show", "steps", "1"]).await;
    assert!(shown.to_string().contains(r#""last_progress":"step 1""#), "{shown}");
    env.audit().await;
}

/// As under `run`: a silent task is lost and put back, a failed one is tried again; not with `--no-timers`.
#[case]
async fn a_hold_keeps_the_timers_of_its_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    for (plan, flags) in [("kept", &[][..]), ("left", &["--no-timers"])] {
        let text = format!(
            "title = \"{plan}\"\n[policy]\nheartbeat_s = 2\nmax_retries = 1\n\
             [[task]]\nid = \"silent\"\ndescription = \"x\"\n[[task]]\nid = \"failing\"\ndescription = \"x\"\n"
        );
        env.import(plan, &text).await;
        let script = r#"
            "$PROGRAM" task start "$0" silent && "$PROGRAM" task start "$0" failing || exit 9
            "$PROGRAM" task fail "$0" failing --error no || exit 9
            echo begun; exec sleep 100"#;
        let args = [&["hold", plan], flags, &["--", "sh", "-c", script, plan]].concat();
        let mut hold = env.start(&args, plan);
        hold.until_said("begun", SOON).await;
        let states = async || {
            let view = coordinator.plan(&plan_name(plan)).await.unwrap();
            ["silent", "failing"].map(|task| {
                let record = &view.tasks()[&task_id(task)].record;
                (record.status, record.lost, record.failures)
            })
        };
        if flags.is_empty() {
            until("both tasks are put back", SOON, async || {
                let states = states().await;
                let wanted = [(TaskStatus::Pending, 1, 0), (TaskStatus::Pending, 0, 1)];
                if states == wanted { Ok(()) } else { Err(states) }
            })
            .await;
            hold.until_said("heartbeat_s", SOON).await;
        } else {
            tokio::time::sleep(Duration::from_secs(4)).await;
            assert_eq!(states().await, [(TaskStatus::InProgress, 0, 0), (TaskStatus::Failed, 0, 1)]);
        }
        hold.signal(nix::sys::signal::Signal::SIGTERM);
        hold.until_ended(SOON).await;
    }
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_task_is_given_what_those_before_it_have_left(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (first, second) = (
        serde_json::json!([
            "sh",
            "-c",
            "echo said; \"$PROGRAM\" findings write given 1 --content found > /dev/null"
        ]),
        serde_json::json!([
            "sh",
            "-c",
            r#"
            cp "$PLANLEASE_INPUTS" "$TEST_DIR/inputs"; stat -c %a "$PLANLEASE_INPUTS" > "$TEST_DIR/mode"
            echo "$PLANLEASE_INPUTS" > "$TEST_DIR/path"; exec sh -c 'echo "[$PLANLEASE_INPUTS]" > "$TEST_DIR/own"'"#
        ]),
    );
    let text = format!(
        "title = \"given\"\n[[task]]\nid = \"1\"\ndescription = \"x\"\ncommand = {first}\n\
         [[task]]\nid = \"2\"\ndescription = \"x\"\ncommand = {second}\ndepends_on = [\"1\"]\n"
    );
    env.import("given", &text).await;
    env.program().run_to(0, ["run", "given"]).await;
    let inputs: serde_json::Value = serde_json::from_str(&env.text("inputs")).unwrap();
    let input = &inputs["inputs"][0];
    assert_eq!((&input["task"], &input["status"]), (&"1".into(), &"completed".into()), "{inputs}");
    assert!(input["output"].as_str().unwrap().contains("said"), "{inputs}");
    assert!(input["findings"].as_str().unwrap().contains("found"), "{inputs}");
    assert_eq!(env.text("mode").trim(), "600");
    assert!(!std::path::Path::new(env.text("path").trim()).exists(), "removed at the end");
    env.audit().await;
}
