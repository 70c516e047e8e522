//! File descriptors: as many as the system allows are used, and a host that runs short of them costs no task
//! an attempt.

use std::{process::Command, time::Duration};

use planlease::Coordinator;
use planlease_core::transition::TaskStatus;
use planlease_tests::{
    TestEnv, case,
    program::{Process, Program},
    test_env::{plan_name, until_free},
    wait::SOON,
};

const TTL: Duration = Duration::from_secs(15);

/// So many tasks that run this command, without a retry.
async fn import(env: &TestEnv, tasks: usize, command: &str) {
    let mut text = "title = \"Busy\"\n[policy]\nmax_retries = 0\n".to_owned();
    for n in 1..=tasks {
        let command = serde_json::json!(["sh", "-c", command]);
        text += &format!("[[task]]\nid = \"{n}\"\ndescription = \"x\"\ncommand = {command}\n");
    }
    env.import("busy", &text).await;
}

/// The program under these limits of its shell.
fn limited(env: &TestEnv, limits: &str, args: &[&str], output: &str) -> Process {
    start_limited(env.program(), env, limits, args, output)
}

/// The same for a program with further variables.
pub(crate) fn start_limited<A: AsRef<std::ffi::OsStr>>(
    program: &Program,
    env: &TestEnv,
    limits: &str,
    args: &[A],
    output: &str,
) -> Process {
    let program = program.command([""; 0]);
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{limits}; exec \"$PROGRAM\" \"$@\""), "bash"]).args(args);
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(env.folder());
    Process::start(shell, &env.path(output))
}

/// Bounds the descriptors of a process that runs.
fn bound(pid: i32, descriptors: usize) {
    let limit = format!("--nofile={descriptors}:");
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
    assert!(done.expect("prlimit(1)").success());
}

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

async fn all_completed(coordinator: &Coordinator) {
    let view = coordinator.plan(&plan_name("busy")).await.unwrap();
    for task in view.tasks().values() {
        assert_eq!(task.record.status, TaskStatus::Completed, "{:?}", task.record);
        assert_eq!((task.record.failures, task.record.lost), (0, 0), "{:?}", task.record);
    }
}

#[case]
async fn a_run_that_is_short_of_descriptors_waits_and_uses_no_attempt(env: TestEnv) {
    let env = env.with_ttl(TTL);
    import(&env, 60, "sleep 0.2").await;
    let mut run = env.start(&["run", "busy", "--jobs", "30"], "run");
    run.until_said("busy acquired", SOON).await;
    // Less than the tasks of one moment need, but more than it has open for other things.
    bound(run.id(), 40);
    assert_eq!(run.until_ended(Duration::from_secs(90)).await, Some(0), "{}", run.said());
    let said = run.said();
    assert!(said.contains("short of resources") && said.contains("Too many open files"), "{said}");
    all_completed(&env.coordinator().await).await;
    env.audit().await;
}

#[case]
async fn the_soft_limit_is_raised_and_commands_get_it_back(env: TestEnv) {
    let env = env.with_ttl(TTL);
    import(&env, 60, "ulimit -Sn >> \"$TEST_DIR/limits\"; ulimit -Hn >> \"$TEST_DIR/hard\"; sleep 0.2").await;
    let mut run = limited(&env, "ulimit -Sn 128; ulimit -Hn 1000", &["run", "busy", "--jobs", "60"], "run");
    assert_eq!(run.until_ended(Duration::from_secs(60)).await, Some(0), "{}", run.said());
    let limits = |file: &str| env.text(file).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(limits("limits"), vec!["128"; 60]);
    assert_eq!(limits("hard"), vec!["1000"; 60]);
    assert!(!run.said().contains("short of resources"), "{}", run.said());
    all_completed(&env.coordinator().await).await;
    let hold = ["hold", "busy", "--", "sh", "-c", "ulimit -Sn > \"$TEST_DIR/held\""];
    let mut hold = limited(&env, "ulimit -Sn 128", &hold, "hold");
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    assert_eq!(env.text("held"), "128\n");
}

#[case]
async fn more_jobs_than_descriptors_are_refused(env: TestEnv) {
    let env = env.with_ttl(TTL);
    import(&env, 1, "true").await;
    let mut run = limited(&env, "ulimit -n 128", &["run", "busy", "--jobs", "60"], "run");
    assert_eq!(run.until_ended(SOON).await, Some(2), "{}", run.said());
    let said = run.said();
    assert!(said.contains("--jobs 60 needs") && said.contains("may have 128"), "{said}");
    let most = said.split("Say --jobs ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let mut run = limited(&env, "ulimit -n 128", &["run", "busy", "--jobs", &most], "again");
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
}

#[case]
async fn a_hold_that_is_short_of_descriptors_waits(env: TestEnv) {
    let env = env.with_ttl(TTL);
    import(&env, 1, "true").await;
    let mut owner = env.start(&["hold", "busy", "--", "cat"], "owner");
    owner.until_said("holding busy", SOON).await;
    let mut hold = env.start(&["hold", "busy", "--", "true"], "hold");
    hold.until_said("waiting", SOON).await;
    bound(hold.id(), descriptors(hold.id()));
    owner.close_input();
    hold.until_said("short of resources", SOON).await;
    bound(hold.id(), 256);
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    until_free(&env.coordinator().await, &plan_name("busy")).await;
}

#[case]
async fn a_sidecar_takes_no_more_connections_than_descriptors(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let socket = env.path("sidecar.sock");
    let socket = socket.to_str().unwrap();
    let many = ["sidecar", "--socket", socket, "--max-connections", "500"];
    let mut refused = limited(&env, "ulimit -n 128", &many, "refused");
    assert_eq!(refused.until_ended(SOON).await, Some(2), "{}", refused.said());
    let said = refused.said();
    for words in ["--max-connections 500 needs", "may have 128", "Nothing is served", "ulimit -n"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!env.path("sidecar.sock").exists());
    let most = said.split("Say --max-connections ").nth(1).unwrap().split(',').next().unwrap();
    // What it advises is enough, and so is its own choice.
    for (output, flags) in [("advised", &["--max-connections", most][..]), ("own", &[])] {
        let args = [&many[..3], flags].concat();
        let mut sidecar = limited(&env, "ulimit -n 128", &args, output);
        sidecar.until_said("serving on", SOON).await;
        sidecar.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(sidecar.until_ended(SOON).await, Some(0), "{}", sidecar.said());
    }
}
