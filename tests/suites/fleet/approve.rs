//! Approvals and budgets with real processes: commands under `run`, a person at the command line, hooks.

use std::time::Duration;

use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};
use serde_json::Value;

/// The documented exit status of a change that the task's status does not allow.
const WRONG_STATUS: i32 = 106;

/// The documented exit status of a plan of which tasks are left that a person has to look at.
const NOT_DONE: i32 = 10;

/// Deploying needs an approval before it, the report one after it. An agent is a script that tries to approve
/// its own work.
const PLAN: &str = r#"
title = "Release"

[[task]]
id = "build"
description = "Build it"
command = ["true"]

[[task]]
id = "deploy"
description = "Deploy it"
depends_on = ["build"]
approval = "before"
command = ["sh", "-c", "echo $PLANLEASE_ATTEMPT >> $TEST_DIR/deployed"]

[[task]]
id = "report"
description = "Write the report"
depends_on = ["deploy"]
approval = "after"
command = ["sh", "-c", '"$PROGRAM" approve release report --reason mine 2> $TEST_DIR/refused; echo $? > $TEST_DIR/status']

[[task]]
id = "send"
description = "Send it"
depends_on = ["report"]
command = ["true"]
"#;

async fn run(env: &TestEnv, code: i32) -> String {
    env.program().run_to(code, ["run", "release"]).await.stderr
}

#[case]
async fn a_plan_goes_on_when_a_person_has_approved(env: TestEnv) {
    env.import("release", PLAN).await;
    let (coordinator, plan) = (env.coordinator().await, plan_name("release"));
    run(&env, NOT_DONE).await;
    let status = env.program().run_to(0, ["status", "release"]).await.stdout;
    assert!(status.contains("needs decision") && status.contains("deploy"), "{status}");
    let why = env.program().run_to(0, ["why", "release", "deploy"]).await.stdout;
    assert!(why.contains("attempt 1 may start only when it is approved"), "{why}");
    assert!(why.contains("planlease approve release deploy"), "{why}");
    let next = env.json(&["next", "release"]).await;
    assert_eq!(next["held"][0]["state"], "approval", "{next}");
    env.program().run_to(WRONG_STATUS, ["task", "start", "release", "deploy"]).await;
    let dry = ["approve", "release", "deploy", "--reason", "r", "--dry-run", "-o", "json"];
    env.program().run_to(0, dry).await;
    assert!(coordinator.plan(&plan).await.unwrap().ready().next().is_none(), "a dry run decides nothing");

    let approve = ["approve", "release", "deploy", "--reason", "tests are green"];
    let said = env.program().run_to(0, approve).await.stderr;
    assert!(said.contains("approved: attempt 1 may start"), "{said}");
    let again = env.program().run_to(WRONG_STATUS, approve).await.stderr;
    assert!(again.contains("was approved by"), "{again}");
    run(&env, NOT_DONE).await;
    assert_eq!(env.text("deployed").trim(), "1");
    assert_ne!(env.text("status").trim(), "0", "a command does not approve itself");
    assert!(env.text("refused").contains("the owner may not approve"), "{}", env.text("refused"));
    let view = coordinator.plan(&plan).await.unwrap();
    assert_eq!(view.status(&task_id("report")), Some(TaskStatus::InProgress));
    assert_eq!(view.status(&task_id("send")), Some(TaskStatus::Pending));

    env.program().run_to(0, ["reject", "release", "report", "--reason", "no date in it"]).await;
    run(&env, NOT_DONE).await;
    let shown = env.program().run_to(0, ["task", "show", "release", "report"]).await.stdout;
    assert!(shown.contains("rejected by") && shown.contains("attempt 2 was completed by"), "{shown}");
    env.program().run_to(0, ["approve", "release", "report", "--attempt", "2", "--reason", "good"]).await;
    run(&env, 0).await;
    let view = coordinator.plan(&plan).await.unwrap();
    assert!(view.summary().is_done(), "{:?}", view.summary());
    env.audit().await;
}

#[case]
async fn decisions_are_made_about_many_tasks(env: TestEnv) {
    let task = |id: &str, labels: &str| {
        format!("[[task]]\nid = \"{id}\"\ndescription = \"d\"\nlabels = [{labels}]\napproval = \"before\"\n")
    };
    let plan = format!("title = \"Many\"\n{}{}{}", task("1", "\"a\""), task("2", "\"a\""), task("3", ""));
    env.import("many", &plan).await;
    let done = env.json(&["approve", "many", "--label", "a", "--reason", "both"]).await;
    assert_eq!(done["done"], 2, "{done}");
    env.program().run_to(0, ["reject", "many", "3", "--reason", "not now", "--then", "skip"]).await;
    let late =
        env.program().run_to(WRONG_STATUS, ["approve", "many", "3", "--reason", "after all"]).await.stderr;
    assert!(late.contains("rejected by") && late.contains("planlease task retry many 3"), "{late}");
    let view = env.coordinator().await.plan(&plan_name("many")).await.unwrap();
    assert_eq!(view.ready().count(), 2);
    assert_eq!(view.status(&task_id("3")), Some(TaskStatus::Skipped));
    env.audit().await;
}

/// The agent reports what it has spent, until it is ended; a person raises the budget and puts it back.
#[case]
async fn an_agent_above_its_budget_is_ended(env: TestEnv) {
    let plan = |budget: &str| {
        format!(
            r#"
title = "Costly"

[[task]]
id = "1"
description = "Think"
policy = {{ budget = {budget} }}
command = ["sh", "-c", '''
    for spent in 1 2.5 4; do "$PROGRAM" task progress costly 1 --spent $spent || exit 1; done
    [ "$PLANLEASE_ATTEMPT" = 2 ] && exit 0
    sleep 600
''']
"#
        )
    };
    env.import("costly", &plan("3.5")).await;
    let program = env.program();
    let ended = tokio::time::timeout(Duration::from_secs(60), program.run_to(NOT_DONE, ["run", "costly"]));
    ended.await.unwrap();
    let shown = env.program().run_to(0, ["task", "show", "costly", "1"]).await.stdout;
    assert!(
        shown.contains("cancelled by its budget: spent 4 of 3.5;") && shown.contains("4 of 3.5 spent"),
        "{shown}"
    );
    let file = env.path("costly.toml");
    std::fs::write(&file, plan("9")).unwrap();
    env.program().run_to(0, ["plan", "update", file.to_str().unwrap()]).await;
    env.program().run_to(0, ["task", "retry", "costly", "1", "--reason", "worth it"]).await;
    program.run_to(0, ["run", "costly"]).await;
    let negative = env.program().run(["task", "progress", "costly", "1", "--spent=-1"]).await;
    assert!(negative.stderr.contains("is not an amount"), "{}", negative.stderr);
    env.audit().await;
}

/// A task may begin to wait when the one before it ends, without a change of its own.
#[case]
async fn a_hook_hears_of_what_waits_for_approval(env: TestEnv) {
    env.import("release", PLAN).await;
    let hook = "log=sh -c 'cat >> $TEST_DIR/events; echo >> $TEST_DIR/events'";
    let hooks = env.start(&["hooks", "--on-event", hook, "--event", "task.needs_approval"], "hooks");
    hooks.until_said("running, from revision", SOON).await;
    env.program().run_to(0, ["task", "start", "release", "build"]).await;
    env.program().run_to(0, ["task", "complete", "release", "build"]).await;
    let event: Value = until("event", SOON, async || {
        let text = std::fs::read_to_string(env.path("events")).unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))
    })
    .await;
    assert_eq!(
        (event["type"].as_str(), event["task"].as_str()),
        (Some("task.needs_approval"), Some("deploy"))
    );
    assert_eq!(event["state"], "needs_decision");
    env.audit().await;
}
