//! What commands find in their environment: what says what they are for, and the way to the store; no flag of
//! the caller's.

use std::{collections::BTreeSet, time::Duration};

use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    program::{Process, Program},
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// How to reach the store.
const CONNECTION: [&str; 13] = [
    "CONFIG",
    "CONTEXT",
    "ENDPOINTS",
    "CACERT",
    "CERT",
    "KEY",
    "SERVER_NAME",
    "USER",
    "PASSWORD_FILE",
    "NAMESPACE",
    "ROOT",
    "TIMEOUT",
    "TTL",
];

/// Flags of the caller, as variables; each of them means something else to a planlease that a command starts.
fn with_flags(program: &Program) -> Program {
    let flags = [
        ("LABEL", "kind=x"),
        ("JOBS", "2"),
        ("LOG", "off"),
        ("OUTPUT", "json"),
        ("REASON", "x"),
        ("NEW", "x"),
    ];
    flags
        .into_iter()
        .fold(program.clone(), |program, (name, value)| program.variable(&format!("PLANLEASE_{name}"), value))
}

/// The variables of planlease in the output of `env`, without those of the connection.
fn found(env: &str) -> BTreeSet<String> {
    let names = env.lines().filter_map(|line| line.split_once('=')?.0.strip_prefix("PLANLEASE_"));
    names.filter(|name| !CONNECTION.contains(name)).map(str::to_owned).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[case]
async fn commands_find_the_documented_variables_only(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("env"));
    let script = r#"env > "$TEST_DIR/run"; "$PROGRAM" next env -o json > "$TEST_DIR/next"; "$PROGRAM" lock env git -- sh -c 'env > "$TEST_DIR/inner"'"#;
    coordinator.admin().import(&plan, &spec(2, script), |_| {}).await.unwrap();
    let program = with_flags(env.program());
    program.run_to(0, ["run", "env", "--jobs", "1"]).await;
    let own = ["PLAN", "TASK", "TASK_DESCRIPTION", "ATTEMPT", "FENCING_TOKEN", "OWNERSHIP"];
    assert_eq!(found(&env.text("run")), names(&own));
    // What a task says about itself still holds below a lock that it takes.
    assert_eq!(found(&env.text("inner")), names(&[&own[..], &["LOCK", "LOCK_TOKEN", "HELD"]].concat()));
    assert!(!env.text("next").is_empty());
    let view = coordinator.plan(&plan).await.unwrap();
    assert_eq!(view.tasks()[&task_id("1")].record.status, TaskStatus::Completed);

    let write = |name: &str| format!(r#"env > "$TEST_DIR/{name}""#);
    coordinator.admin().import(&plan_name("held"), &spec(1, "true"), |_| {}).await.unwrap();
    program.run_to(0, ["hold", "held", "--", "sh", "-c", &write("hold")]).await;
    assert_eq!(found(&env.text("hold")), names(&["PLAN", "FENCING_TOKEN", "OWNERSHIP"]));
    program.run_to(0, ["lock", "held", "git", "--", "sh", "-c", &write("lock")]).await;
    assert_eq!(found(&env.text("lock")), names(&["LOCK", "LOCK_TOKEN", "HELD"]));
    env.audit().await;
}

#[case]
async fn the_processes_of_a_demo_inherit_no_flags(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let program = with_flags(env.program());
    let mut demo = Process::start(program.command(["demo", "--no-crash"]), &env.path("demo"));
    let environment = until("an orchestrator of the demo", SOON, async || {
        let members = env.processes().into_iter().filter(|pid| *pid != demo.id());
        let runs = members
            .filter(|pid| planlease_tests::program::arguments(*pid).get(1).is_some_and(|word| word == "run"));
        let read = |pid| std::fs::read_to_string(format!("/proc/{pid}/environ")).ok();
        runs.filter_map(read).next().ok_or_else(|| demo.said())
    })
    .await;
    assert_eq!(found(&environment.replace('\0', "\n")), names(&[]));
    demo.signal(nix::sys::signal::Signal::SIGTERM);
    demo.until_ended(SOON).await;
    env.until_empty().await;
}
