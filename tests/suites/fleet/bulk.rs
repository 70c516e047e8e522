//! Commands about many tasks and plans: what they select, what they report, and that a dry run changes
//! nothing.

use planlease_tests::{TestEnv, case};
use serde_json::{Value, json};

/// The documented status of a command of which some was done and some was not.
const PARTIAL: i32 = 18;

/// The documented status of a change that the task's status does not allow.
const WRONG_TRANSITION: i32 = 106;

/// Four tasks in two phases, of which the last waits for the third.
const PLAN: &str = r#"
title = "Release"

[[phase]]
number = "1"
name = "Build"

[[phase]]
number = "2"
name = "Ship"

[[task]]
id = "1"
phase = "1"
description = "tag"
labels = ["gpu"]

[[task]]
id = "2"
phase = "1"
description = "announce"

[[task]]
id = "3"
phase = "2"
description = "publish"
labels = ["gpu"]

[[task]]
id = "4"
phase = "2"
description = "close"
depends_on = ["3"]
"#;

/// The plans `a` and `b`.
async fn two_plans(env: TestEnv) -> TestEnv {
    env.import("a", PLAN).await;
    env.import("b", PLAN).await;
    env
}

/// Lets a task fail.
async fn fail(env: &TestEnv, plan: &str, task: &str) {
    env.program().run_to(0, ["task", "start", plan, task]).await;
    env.program().run_to(0, ["task", "fail", plan, task, "--error", "boom"]).await;
}

/// The status of each task of a plan.
async fn statuses(env: &TestEnv, plan: &str) -> Vec<String> {
    let listed = env.json(&["task", "list", plan]).await;
    let tasks = listed["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["status"].as_str().unwrap().to_owned()).collect()
}

/// The state of each plan.
async fn states(env: &TestEnv) -> Vec<String> {
    let listed = env.json(&["plan", "list"]).await;
    listed["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| plan["state"].as_str().unwrap().to_owned())
        .collect()
}

/// Plan, task and outcome of each update.
fn outcomes(shown: &Value) -> Vec<(&str, &str, &str)> {
    let updates = shown["updates"].as_array().unwrap().iter();
    updates
        .map(|update| {
            let text = |name: &str| update[name].as_str().unwrap();
            (text("plan"), text("task"), text("outcome"))
        })
        .collect()
}

#[case]
async fn a_bulk_retry_changes_what_is_selected_and_no_more(env: TestEnv) {
    let env = two_plans(env).await;
    fail(&env, "a", "1").await;
    fail(&env, "a", "2").await;
    fail(&env, "b", "3").await;
    assert_eq!(states(&env).await, ["waiting", "waiting"]);
    // Only a look.
    let args = ["task", "retry", "--all-plans", "--status", "failed", "--dry-run"];
    let dry = env.json(&args).await;
    assert_eq!(outcomes(&dry), [("a", "1", "possible"), ("a", "2", "possible"), ("b", "3", "possible")]);
    assert_eq!((&dry["dry_run"], &dry["done"]), (&json!(true), &json!(3)));
    assert_eq!(statuses(&env, "a").await, ["failed", "failed", "pending", "pending"]);
    // By label: what failed, and nothing else that has it.
    let gpu = env.json(&["task", "retry", "a", "--label", "gpu"]).await;
    assert_eq!(outcomes(&gpu), [("a", "1", "committed")]);
    let rest = env.json(&["task", "retry", "--all-plans", "--status", "failed"]).await;
    assert_eq!(outcomes(&rest), [("a", "2", "committed"), ("b", "3", "committed")]);
    let none = env.json(&["task", "retry", "--all-plans", "--status", "failed"]).await;
    assert_eq!(outcomes(&none), []);
    let phase = env.json(&["task", "skip", "b", "--phase", "2", "--reason", "later"]).await;
    assert_eq!(outcomes(&phase), [("b", "3", "committed"), ("b", "4", "committed")]);
    let nothing_said = env.program().run_to(2, ["task", "retry", "a"]).await;
    assert!(nothing_said.stderr.contains("--status"), "{}", nothing_said.stderr);
    env.audit().await;
}

#[case]
async fn a_partial_result_has_a_status_of_its_own(env: TestEnv) {
    let env = two_plans(env).await;
    let program = env.program();
    program.run_to(0, ["task", "start", "a", "1"]).await;
    let some = program.run_to(PARTIAL, ["task", "complete", "a", "1", "2", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&some.stdout).unwrap();
    assert_eq!(outcomes(&shown), [("a", "1", "committed"), ("a", "2", "refused")]);
    assert!(some.stderr.contains("cannot complete 1 of 2 tasks"), "{}", some.stderr);
    program.run_to(WRONG_TRANSITION, ["task", "complete", "a", "2", "3"]).await;
    // All or nothing: the one that cannot be done keeps the other from it.
    program.run_to(0, ["task", "start", "a", "2"]).await;
    let args = ["task", "complete", "a", "2", "3", "--atomic", "-o", "json"];
    let none = program.run_to(WRONG_TRANSITION, args).await;
    let shown: Value = serde_json::from_str(&none.stdout).unwrap();
    assert_eq!(outcomes(&shown), [("a", "2", "refused"), ("a", "3", "refused")]);
    assert_eq!(statuses(&env, "a").await, ["completed", "in_progress", "pending", "pending"]);
    program.run_to(0, ["task", "start", "a", "3"]).await;
    let all = env.json(&["task", "complete", "a", "2", "3", "--atomic"]).await;
    let revisions: Vec<&Value> =
        all["updates"].as_array().unwrap().iter().map(|update| &update["record"]["revision"]).collect();
    assert_eq!(revisions[0], revisions[1], "one transaction");
    env.audit().await;
}

#[case]
async fn a_dry_run_says_what_the_change_would_be_told(env: TestEnv) {
    let env = two_plans(env).await;
    fail(&env, "a", "1").await;
    let dry = env.json(&["task", "retry", "a", "1", "2", "--atomic", "--dry-run"]).await;
    assert_eq!(outcomes(&dry), [("a", "1", "refused"), ("a", "2", "refused")]);
    assert_eq!((&dry["done"], &dry["refused"]), (&json!(0), &json!(2)), "all or nothing");

    let file = "title = \"P\"\n[policy]\npools = [\"gpu\"]\n[[task]]\nid = \"1\"\ndescription = \"draw\"\n";
    env.import("p", file).await;
    let start = async || env.json(&["task", "start", "p", "1", "--dry-run"]).await["updates"][0].clone();
    let refused = start().await;
    assert!(refused["outcome"] == "refused" && refused["reason"].to_string().contains("gpu"), "{refused}");
    env.program().run_to(0, ["pool", "set", "gpu", "1"]).await;
    assert_eq!(start().await["outcome"], "possible");
    env.program().run_to(0, ["fleet", "pause", "--reason", "maintenance"]).await;
    let refused = start().await;
    assert!(refused["reason"].to_string().contains("the fleet was paused"), "{refused}");
    env.program().run_to(0, ["fleet", "resume"]).await;
    env.program().run_to(0, ["task", "start", "p", "1"]).await;
    env.audit().await;
}

#[case]
async fn pausing_all_plans_leaves_the_closed_ones_alone(env: TestEnv) {
    let env = two_plans(env).await;
    env.import("c", PLAN).await;
    let program = env.program();
    program.run_to(0, ["plan", "cancel", "c", "--yes"]).await;
    program.run_to(0, ["plan", "pause", "--all", "--dry-run"]).await;
    program.run_to(0, ["plan", "cancel", "a", "--dry-run"]).await;
    assert_eq!(states(&env).await, ["waiting", "waiting", "cancelled"]);
    let paused = env.json(&["plan", "pause", "--all", "--reason", "maintenance"]).await;
    assert_eq!(paused["plans"].as_array().unwrap().len(), 2, "{paused}");
    assert_eq!(states(&env).await, ["paused", "paused", "cancelled"]);
    let missing = program.run_to(PARTIAL, ["plan", "pause", "a", "missing", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&missing.stdout).unwrap();
    assert!(shown["plans"][1]["error"].as_str().unwrap().contains("missing"), "{shown}");
    program.run_to(0, ["plan", "resume", "--all"]).await;
    assert_eq!(states(&env).await, ["waiting", "waiting", "cancelled"]);
    program.run_to(0, ["plan", "resume", "a", "c"]).await;
    assert_eq!(states(&env).await, ["waiting", "waiting", "waiting"]);
    env.audit().await;
}

#[case]
async fn a_selector_pauses_the_plans_with_these_labels(env: TestEnv) {
    let env = two_plans(env).await;
    let labelled =
        PLAN.replace("title = \"Release\"", "title = \"Release\"\nlabels = { team = \"payments\" }");
    env.import("c", &labelled).await;
    let program = env.program();
    let paused = env.json(&["plan", "pause", "--select", "team=payments"]).await;
    assert_eq!((&paused["plans"][0]["plan"], &paused["plans"][1]), (&json!("c"), &Value::Null));
    assert_eq!(states(&env).await, ["waiting", "waiting", "paused"]);
    program.run_to(0, ["plan", "pause", "a"]).await;
    program.run_to(0, ["plan", "resume", "--select", "team"]).await;
    assert_eq!(states(&env).await, ["paused", "waiting", "waiting"]);
    let wrong = program.run_to(2, ["plan", "pause", "--select", "team in (a"]).await;
    assert!(wrong.stderr.contains("label selector"), "{}", wrong.stderr);
    env.audit().await;
}

#[case]
async fn tasks_of_all_plans_are_listed_filtered_and_sorted(env: TestEnv) {
    let env = two_plans(env).await;
    fail(&env, "b", "1").await;
    fail(&env, "a", "2").await;
    let program = env.program();
    let args = ["task", "list", "--all-plans", "--status", "failed", "--status", "skipped", "-o", "name"];
    assert_eq!(program.run_to(0, args).await.stdout, "a 2\nb 1\n");
    let args = ["task", "list", "--all-plans", "--sort", "attempt", "--label", "gpu", "-o", "name"];
    assert_eq!(program.run_to(0, args).await.stdout, "b 1\na 1\na 3\nb 3\n");
    assert_eq!(program.run_to(0, ["plan", "list", "-o", "name"]).await.stdout, "a\nb\n");
    let wide = program.run_to(0, ["task", "list", "a", "-o", "wide"]).await.stdout;
    assert!(wide.lines().next().unwrap().contains("DEPENDS ON"), "{wide}");
    let yaml = program.run_to(0, ["plan", "list", "-o", "yaml"]).await.stdout;
    assert!(yaml.contains("schema: planlease.plans.v1") && yaml.contains("state: waiting"), "{yaml}");
    let table = program.run_to(0, ["status"]).await.stdout;
    assert!(table.lines().next().unwrap().contains("STATE"), "{table}");
    env.audit().await;
}
