//! The fleet of agents in `examples/agents`: an agent and then the orchestrator are killed in the middle, and
//! every task is merged once.

use std::{fs, path::Path, process::Command};

use nix::sys::signal::Signal;
use planlease_tests::{
    TestEnv, case,
    program::{Process, with_variable},
    signal::send,
    test_env::path_text,
    wait::{SOON, until},
};

/// How many tasks the plan of the example has.
const TASKS: usize = 7;

fn example(file: &str) -> String {
    path_text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/agents").join(file)).to_owned()
}

/// Runs a program of this machine, with planlease on its path.
fn command(env: &TestEnv, program: &str, args: &[&str]) -> String {
    let planlease = planlease_tests::program::planlease();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", planlease.parent().unwrap().display());
    let mut command = Command::new(program);
    command.args(args).current_dir(env.folder()).envs(env.variables()).env("PATH", path);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

fn run(env: &TestEnv, name: &str) -> Process {
    let planlease = planlease_tests::program::planlease();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", planlease.parent().unwrap().display());
    let agents = env.program().clone().variable("PATH", path).variable("MODEL", example("model.sh"));
    let agents = agents.variable("MODEL_SECONDS", "0.5").variable("REPOSITORY", env.path("fleet/repository"));
    let agent = example("agent.sh");
    Process::start(agents.command(["run", "notes", "--jobs", "3", "--exec", &agent]), &env.path(name))
}

/// The tasks that are merged, in the order of their commits.
fn merged(env: &TestEnv) -> Vec<String> {
    let format = "--format=%(trailers:key=Task,valueonly,separator=)";
    let log = command(env, "git", &["-C", "fleet/server.git", "log", format, "--reverse", "main"]);
    log.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[case]
async fn killed_agents_lose_nothing_and_do_nothing_twice(env: TestEnv) {
    command(&env, &example("set-up.sh"), &["fleet"]);
    let mut first = run(&env, "first");
    let agent = until("agent at work", SOON, async || {
        let at_work = with_variable("PLANLEASE_TASK", "1.2");
        let model = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("model.sh"))
        };
        at_work.into_iter().find(|pid| model(pid) && env.processes().contains(pid)).ok_or("none yet")
    })
    .await;
    send(agent, Signal::SIGKILL);
    until("a merge", SOON, async || if merged(&env).is_empty() { Err("none yet") } else { Ok(()) }).await;
    first.signal(Signal::SIGKILL);
    let mut second = run(&env, "second");
    assert_eq!(second.until_ended(SOON * 3).await, Some(0), "{}", second.said());
    let mut tasks = merged(&env);
    assert_eq!(tasks.len(), TASKS, "{tasks:?}");
    tasks.sort();
    tasks.dedup();
    assert_eq!(tasks.len(), TASKS, "each once");
    let status = env.json(&["status", "notes"]).await;
    assert_eq!(status["summary"]["completed"], TASKS, "{status}");
    // What the killed ones left holds nothing that is nowhere else, or is still there.
    env.program().run_to(0, ["worktree", "clean", "--execute"]).await;
    let left = env.json(&["worktree", "list"]).await;
    let states: Vec<&str> =
        left["worktrees"].as_array().unwrap().iter().filter_map(|one| one["state"].as_str()).collect();
    assert!(states.iter().all(|state| *state == "quarantined"), "{left}");
}
