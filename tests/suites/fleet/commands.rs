//! Whose commands `run` executes: those of the plan, the one of the command line, or none.

use std::time::Duration;

use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    test_env::{path_text, plan_name},
};

const TTL: Duration = Duration::from_secs(15);

/// The documented exit statuses.
const USAGE: i32 = 2;
const CANNOT_START: i32 = 14;

const PLAN: &str = r#"
title = "Of others"
[[task]]
id = "1"
description = "with a command of its own"
command = ["sh", "-c", "echo plan >> \"$TEST_DIR/done\""]
[[task]]
id = "2"
description = "without one"
"#;

const EXEC: &str = "echo \"exec $PLANLEASE_TASK\" >> \"$TEST_DIR/done\"";

#[case]
async fn a_host_runs_only_the_commands_that_it_allows(env: TestEnv) {
    let env = env.with_ttl(TTL);
    for name in ["none", "nothing", "exec", "file", "plan"] {
        env.import(name, PLAN).await;
    }
    let program = env.program();
    let untouched = async |plan: &str| {
        assert_eq!(env.text("done"), "", "a command was run");
        let view = env.coordinator().await.plan(&plan_name(plan)).await.unwrap();
        for task in view.tasks().values() {
            assert_eq!((task.record.status, task.record.attempt), (TaskStatus::Pending, 0), "{task:?}");
        }
    };
    let shell = |plan: &'static str| ["run", plan, "--shell", "--exec", EXEC];

    let none = program.run_to(CANNOT_START, [&shell("none")[..], &["--commands", "none"]].concat()).await;
    assert!(none.stderr.contains("--commands none runs no commands here"), "{}", none.stderr);
    untouched("none").await;
    let without = program.run_to(USAGE, ["run", "exec", "--commands", "exec"]).await;
    assert!(without.stderr.contains("runs --exec only"), "{}", without.stderr);
    untouched("exec").await;

    // For this host, on every store; the flag and its variable say otherwise.
    let config = env.path("config.toml");
    std::fs::write(&config, "commands = \"none\"\n").unwrap();
    let hosted = program.clone().variable("PLANLEASE_CONFIG", path_text(&config));
    let refused = hosted.run_to(CANNOT_START, shell("nothing")).await;
    assert!(refused.stderr.contains("--commands none"), "{}", refused.stderr);
    untouched("nothing").await;
    let settings = hosted.run_to(0, ["context", "show"]).await.stdout;
    let line = settings.lines().find(|line| line.starts_with("commands")).unwrap_or_default().to_owned();
    assert!(line.contains("none") && line.contains("config.toml"), "{settings}");
    std::fs::write(&config, "commands = \"exec\"\n").unwrap();
    hosted.run_to(0, shell("file")).await;
    assert_eq!(sorted(&env), ["exec 1", "exec 2"], "the plan's command was run");

    program.run_to(0, [&shell("exec")[..], &["--commands", "exec"]].concat()).await;
    assert_eq!(sorted(&env), ["exec 1", "exec 1", "exec 2", "exec 2"]);
    hosted.variable("PLANLEASE_COMMANDS", "plan").run_to(0, shell("plan")).await;
    assert_eq!(sorted(&env), ["exec 1", "exec 1", "exec 2", "exec 2", "exec 2", "plan"]);
}

fn sorted(env: &TestEnv) -> Vec<String> {
    let mut lines: Vec<String> = env.text("done").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
