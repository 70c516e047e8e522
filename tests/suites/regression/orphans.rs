//! Tasks whose orchestrator was killed while it worked on them.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_tests::{
    TestEnv, case,
    test_env::{in_queue, plan_name},
    wait::{SOON, until},
};
use serde_json::{Value, json};

use crate::processes::audit;

const TTL: Duration = Duration::from_secs(3);

/// The documented exit status of `run` if tasks have failed, or wait for ones that have.
const TASKS_FAILED: i32 = 10;

/// A task for each policy. None is tried again when it *fails*; their first attempts, and the second one of
/// `again`, do not end by themselves.
const PLAN: &str = r#"
title = "left in progress"
policy = { max_retries = 0 }

[[task]]
id = "again"
description = "may be done twice"
policy = { on_lost = "retry" }
command = ["sh", "-c", 'echo $PLANLEASE_ATTEMPT >> "$TEST_DIR/$PLANLEASE_TASK"; [ $PLANLEASE_ATTEMPT -gt 2 ] || exec sleep 1000']

[[task]]
id = "never"
description = "must not be done twice"
policy = { on_lost = "fail" }
command = ["sh", "-c", 'echo $PLANLEASE_ATTEMPT >> "$TEST_DIR/$PLANLEASE_TASK"; [ $PLANLEASE_ATTEMPT -gt 1 ] || exec sleep 1000']

[[task]]
id = "perhaps"
description = "somebody has to look"
policy = { on_lost = "ask" }
command = ["sh", "-c", 'echo $PLANLEASE_ATTEMPT >> "$TEST_DIR/$PLANLEASE_TASK"; [ $PLANLEASE_ATTEMPT -gt 1 ] || exec sleep 1000']

[[task]]
id = "after"
description = "waits for one that is lost"
depends_on = ["again"]
command = ["true"]
"#;

const RUN: [&str; 6] = ["run", "orphans", "--jobs", "3", "-o", "jsonl"];

#[case(one_at_a_time)]
async fn r10_tasks_in_progress_lose_their_orchestrator(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.import("orphans", PLAN).await;
    let coordinator = env.coordinator().await;
    let mut first = env.start(&RUN, "first");
    attempts(&env, &[("again", "1\n"), ("never", "1\n"), ("perhaps", "1\n")]).await;

    // There is no process for a while. Nothing happens by itself, and nothing is decided by how long that
    // lasts.
    first.signal(Signal::SIGKILL);
    until("end of the ownership", SOON, async || {
        let line = coordinator.queue(&plan_name("orphans")).await.unwrap();
        if line.candidates().is_empty() { Ok(()) } else { Err(line.candidates().len()) }
    })
    .await;
    let left = json!({"status": "in_progress", "attempt": 1, "lost": 0, "failures": 0, "parked": false});
    for task in ["again", "never", "perhaps"] {
        assert_eq!(task_now(&env, task).await, left, "{task}");
    }

    // The next owner finds all of them, and treats each as its policy says; a waiter is behind it.
    let mut second = env.start(&RUN, "second");
    attempts(&env, &[("again", "1\n2\n")]).await;
    let lost = |status, lost, attempt, parked| json!({"status": status, "attempt": attempt, "lost": lost, "failures": 0, "parked": parked});
    assert_eq!(task_now(&env, "again").await, lost("in_progress", 1, 2, false));
    assert_eq!(task_now(&env, "never").await, lost("failed", 1, 1, false));
    assert_eq!(task_now(&env, "perhaps").await, lost("failed", 1, 1, true));
    let mut third = env.start(&RUN, "third");
    in_queue(&coordinator, &plan_name("orphans"), 2).await;

    // Lost twice, and still not failed.
    second.signal(Signal::SIGKILL);
    assert_eq!(third.until_ended(SOON).await, Some(TASKS_FAILED), "{}", third.said());
    assert!(third.said().contains(r#""recovered":1"#), "{}", third.said());
    assert_eq!(task_now(&env, "again").await, lost("completed", 2, 3, false));
    assert_eq!(task_now(&env, "after").await, lost("completed", 0, 1, false));
    assert_eq!(task_now(&env, "never").await, lost("failed", 1, 1, false));
    assert_eq!(task_now(&env, "perhaps").await, lost("failed", 1, 1, true));

    // What an operator decides is done.
    env.program().run_to(0, ["task", "retry", "orphans", "perhaps", "--reason", "nothing was done"]).await;
    env.program().run_to(0, ["task", "skip", "orphans", "never", "--reason", "it was done"]).await;
    env.program().run_to(0, RUN).await;
    // A retry by an operator starts the counts from zero.
    assert_eq!(task_now(&env, "perhaps").await, lost("completed", 0, 2, false));
    attempts(&env, &[("again", "1\n2\n3\n"), ("never", "1\n"), ("perhaps", "1\n2\n")]).await;
    let report = audit(&env).await;
    assert_eq!((&report["terms"], &report["unclean"]), (&json!(4), &json!(2)), "{report}");
}

/// Waits until the attempts of each task that have begun are these.
async fn attempts(env: &TestEnv, expected: &[(&str, &str)]) {
    for (task, begun) in expected {
        until("attempts", SOON, async || {
            let text = env.text(task);
            if text == *begun { Ok(()) } else { Err((*task, text)) }
        })
        .await;
    }
}

/// The state of a task, as the program reports it.
async fn task_now(env: &TestEnv, task: &str) -> Value {
    let shown = env.json(&["task", "show", "orphans", task]).await;
    json!({
        "status": shown["status"], "attempt": shown["attempt"], "lost": shown["lost"],
        "failures": shown["failures"], "parked": !shown["parked"].is_null(),
    })
}
