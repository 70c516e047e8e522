//! Pools with real processes: two orchestrators on two plans, a kill, and what people read meanwhile; locks
//! without a plan.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_core::{PoolName, transition::TaskStatus};
use planlease_tests::{
    TestEnv, case,
    test_env::plan_name,
    wait::{SOON, until},
};

const TTL: Duration = Duration::from_secs(4);

/// How long all of a test's work may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The documented exit statuses.
const BLOCKED: i32 = 109;
const IN_USE: i32 = 26;
const OWNED: i32 = 100;
const NO_SUCH: i32 = 16;

/// Writes down how many are at work, itself included.
const COUNTED: &str = r#"
    touch "$TEST_DIR/at-work-$PLANLEASE_PLAN-$PLANLEASE_TASK"
    ls "$TEST_DIR" | grep -c '^at-work-' >> "$TEST_DIR/counts"
    sleep 0.1
    rm "$TEST_DIR/at-work-$PLANLEASE_PLAN-$PLANLEASE_TASK"
"#;

/// Waits until a file says so.
const WAITS: &str = r#"
    echo "$PLANLEASE_TASK" >> "$TEST_DIR/begun"
    while [ ! -e "$TEST_DIR/go" ]; do sleep 0.1; done
"#;

/// A plan file whose tasks use one permit each.
fn file(tasks: usize, script: &str) -> String {
    let command = serde_json::json!(["sh", "-c", script]);
    let mut text = "title = \"pooled\"\n[policy]\npools = [\"gpu\"]\non_lost = \"retry\"\n".to_owned();
    for n in 1..=tasks {
        text += &format!("[[task]]\nid = \"{n}\"\ndescription = \"work\"\ncommand = {command}\n");
    }
    text
}

#[case(one_at_a_time)]
async fn runs_of_two_plans_share_the_permits_of_a_pool(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let coordinator = env.coordinator().await;
    let set = env.json(&["pool", "set", "gpu", "2", "--description", "cards"]).await;
    assert_eq!((&set["pool"], &set["size"]), (&"gpu".into(), &2.into()), "{set}");
    for plan in ["one", "two"] {
        env.import(plan, &file(8, COUNTED)).await;
    }
    let mut runs = ["one", "two"].map(|plan| env.start(&["run", plan, "--jobs", "4"], plan));
    for run in &mut runs {
        assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    }
    let counts: Vec<u32> = env.text("counts").lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(counts.len(), 16);
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert!(counts.contains(&2), "both permits are used: {counts:?}");
    let list = env.json(&["pool", "list"]).await;
    assert_eq!((&list["pools"][0]["used"], &list["pools"][0]["description"]), (&0.into(), &"cards".into()));
    assert_eq!(coordinator.pools().await.unwrap().0.0[&PoolName::new("gpu").unwrap()].used(), 0);
    env.audit().await;
}

#[case(one_at_a_time)]
async fn a_killed_run_gives_its_permits_to_the_next(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    // Before the pool is there, and while it is full, people read why.
    env.import("one", &file(1, WAITS)).await;
    let mut first = env.start(&["run", "one"], "first");
    first.until_said("pool gpu is not defined", SOON).await;
    let why = env.program().run_to(0, ["why", "one", "1"]).await.stdout;
    assert!(why.contains("pool gpu is not defined") && why.contains("pool set gpu"), "{why}");
    env.program().run_to(BLOCKED, ["task", "start", "one", "1"]).await;
    env.program().run_to(0, ["pool", "set", "gpu", "1"]).await;
    until("begin of the first", SOON, async || {
        let begun = env.text("begun").lines().count();
        if begun == 1 { Ok(()) } else { Err(begun) }
    })
    .await;
    env.import("two", &file(1, WAITS)).await;
    let mut second = env.start(&["run", "two"], "second");
    second.until_said("waits for pool gpu (1 of 1 in use: one/1)", SOON).await;
    let why = env.program().run_to(0, ["why", "two", "1"]).await.stdout;
    assert!(why.contains("waits for pool gpu (1 of 1 in use: one/1)"), "{why}");
    let why = env.program().run_to(0, ["why", "two"]).await.stdout;
    assert!(why.contains("none can start") && why.contains("pool show gpu"), "{why}");
    let next = env.json(&["next", "two"]).await;
    assert!(next["ready"][0]["waits_for_pool"].as_str().unwrap().contains("1 of 1"), "{next}");
    let status = env.program().run_to(0, ["status", "two"]).await;
    assert!(status.stderr.contains("waits for pool gpu"), "{}", status.stderr);
    assert_eq!(env.json(&["status", "two"]).await["state"], "waiting");
    let shown = env.json(&["pool", "show", "gpu"]).await;
    assert_eq!((&shown["permits"][0]["plan"], &shown["permits"][0]["task"]), (&"one".into(), &"1".into()));
    env.program().run_to(IN_USE, ["pool", "delete", "gpu"]).await;
    let metrics = env.program().run_to(0, ["metrics"]).await.stdout;
    assert!(metrics.contains("planlease_pool_tasks_waiting{pool=\"gpu\"} 1"), "{metrics}");
    assert!(metrics.contains("planlease_pool_permits_in_use{pool=\"gpu\"} 1"), "{metrics}");

    first.signal(Signal::SIGKILL);
    until("begin of the second", LIMIT, async || {
        let begun = env.text("begun").lines().count();
        if begun == 2 { Ok(()) } else { Err(begun) }
    })
    .await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(second.until_ended(LIMIT).await, Some(0), "{}", second.said());
    let mut again = env.start(&["run", "one"], "again");
    assert_eq!(again.until_ended(LIMIT).await, Some(0), "{}", again.said());
    assert_eq!(
        coordinator.plan(&plan_name("one")).await.unwrap().tasks().values().next().unwrap().record.status,
        TaskStatus::Completed
    );
    let dry = env.json(&["pool", "delete", "gpu", "--dry-run"]).await;
    assert_eq!(dry["dry_run"], true, "{dry}");
    env.program().run_to(0, ["pool", "delete", "gpu"]).await;
    env.program().run_to(NO_SUCH, ["pool", "show", "gpu"]).await;
    env.program().run_to(NO_SUCH, ["pool", "delete", "gpu"]).await;
    env.audit().await;
}

#[case]
async fn an_import_warns_of_pools_that_are_not_there(env: TestEnv) {
    let path = env.path("pooled.toml");
    std::fs::write(&path, file(1, "true")).unwrap();
    let path = path.to_str().unwrap();
    let said = env.program().run_to(0, ["plan", "import", path]).await.stderr;
    assert!(said.contains("pool gpu") && said.contains("planlease pool set gpu"), "{said}");
    env.program().run_to(0, ["pool", "set", "gpu", "1"]).await;
    let said = env.program().run_to(0, ["plan", "import", path, "--plan", "again"]).await.stderr;
    assert!(!said.contains("pool gpu"), "{said}");
}

#[case]
async fn a_lock_without_a_plan_is_held_by_one_command(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let script = "echo \"$PLANLEASE_LOCK $PLANLEASE_LOCK_TOKEN\" >> \"$TEST_DIR/begun\"; \
                  while [ ! -e \"$TEST_DIR/go\" ]; do sleep 0.1; done";
    let lock = ["lock", "--global", "nightly-backup", "--", "sh", "-c", script];
    let mut first = env.start(&lock, "first");
    until("begin of the first", SOON, async || {
        let begun = env.text("begun");
        if begun.starts_with("nightly-backup ") { Ok(()) } else { Err(begun) }
    })
    .await;
    let refused =
        env.program().run_to(OWNED, ["lock", "--global", "nightly-backup", "--no-wait", "--", "true"]).await;
    assert!(refused.stderr.contains("lock nightly-backup is held by"), "{}", refused.stderr);
    let mut second = env.start(&lock, "second");
    second.until_said("waiting for lock nightly-backup", SOON).await;
    let locks = env.json(&["locks", "--global"]).await;
    assert_eq!(locks["locks"][0]["waiting"].as_array().unwrap().len(), 1, "{locks}");
    let permits = ["lock", "--global", "nightly-backup", "--permits", "2", "--", "true"];
    let refused = env.program().run_to(IN_USE, permits).await;
    assert!(refused.stderr.contains("used with 1 permit by"), "{}", refused.stderr);
    first.signal(Signal::SIGKILL);
    until("begin of the second", LIMIT, async || {
        let begun = env.text("begun").lines().count();
        if begun == 2 { Ok(()) } else { Err(begun) }
    })
    .await;
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(second.until_ended(SOON).await, Some(0), "{}", second.said());
}
