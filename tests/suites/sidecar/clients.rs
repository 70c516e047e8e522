//! The clients in Python and Node: their own tests on a real sidecar, and their examples, orchestrators of
//! which one is killed. They run where their interpreters are; where one is missing, the output says so.

use std::{path::PathBuf, process::Command, time::Duration};

use nix::sys::signal::Signal;
use planlease_tests::{
    TestEnv, case,
    program::Process,
    wait::{SOON, until},
};

use crate::helpers::{Sidecar, sidecar};

fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// Eight tasks, two of which wait for others.
fn plan() -> String {
    let mut text = "title = \"Work\"\n".to_owned();
    for n in 1..=8 {
        let waits = if n > 6 { "depends_on = [\"1\", \"2\"]\n" } else { "" };
        text += &format!(
            "[[task]]\nid = \"{n}\"\ndescription = \"work\"\ncommand = [\"sleep\", \"0.3\"]\n{waits}"
        );
    }
    text
}

fn start(env: &TestEnv, interpreter: &str, script: &str, sidecar: &Sidecar, output: &str) -> Process {
    let mut command = Command::new(interpreter);
    command
        .arg(clients().join(script))
        .arg(&sidecar.socket)
        .args(["work", "2"])
        .env("TEST_DIR", env.folder());
    Process::start(command, &env.path(output))
}

async fn survives(env: TestEnv, interpreter: &str, script: &str) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("work", &plan()).await;
    let (one, two) = (sidecar(&env, "one", &[]).await, sidecar(&env, "two", &[]).await);
    let mut first = start(&env, interpreter, script, &one, "first");
    first.until_said("ended with 0", SOON).await;
    let mut second = start(&env, interpreter, script, &two, "second");
    until("the second in the queue", SOON, async || {
        let owner = two.client.get("/v1/plans/work/owner").await.json;
        if owner["waiting"].as_array().map(Vec::len) == Some(1) { Ok(()) } else { Err(owner.to_string()) }
    })
    .await;
    first.signal(Signal::SIGKILL);
    assert_eq!(second.until_ended(Duration::from_secs(60)).await, Some(0), "{}", second.said());
    assert!(
        second.said().contains("token 1.2") && second.said().contains("is finished"),
        "{}",
        second.said()
    );
    let status = two.client.get("/v1/plans/work/status").await.json;
    assert_eq!((&status["finished"], &status["summary"]["completed"]), (&true.into(), &8.into()));
    env.audit().await;
}

#[case]
async fn python_survives_the_kill_of_its_peer(env: TestEnv) {
    survives(env, "python3", "python/examples/orchestrator.py").await;
}

#[case]
async fn node_survives_the_kill_of_its_peer(env: TestEnv) {
    survives(env, "node", "node/examples/orchestrator.js").await;
}

/// Runs the tests of a client on a sidecar with the plan `work`.
async fn passes_its_own_tests(env: TestEnv, folder: &str, interpreter: &str, args: &[&str]) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("work", &plan()).await;
    let sidecar = sidecar(&env, "one", &[]).await;
    let mut command = Command::new(interpreter);
    command
        .args(args)
        .current_dir(clients().join(folder))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PLANLEASE_SIDECAR", &sidecar.socket)
        .env("TEST_DIR", env.folder());
    let mut tests = Process::start(command, &env.path("tests"));
    assert_eq!(tests.until_ended(Duration::from_secs(60)).await, Some(0), "{}", tests.said());
    let said = tests.said();
    // A test of a hostile text and one of a worker stand for all that need the sidecar: none of them was left
    // out.
    let ran = ["hostile text reaches subscribers", "a worker executes tasks of another program"];
    let words = said.replace('_', " ");
    assert!(ran.iter().all(|name| words.contains(name)) && !words.contains("names no sidecar"), "{said}");
    env.audit().await;
}

#[case]
async fn python_passes_its_own_tests(env: TestEnv) {
    let args = ["-m", "unittest", "discover", "-s", "tests", "-v"];
    passes_its_own_tests(env, "python", "python3", &args).await;
}

#[case]
async fn node_passes_its_own_tests(env: TestEnv) {
    passes_its_own_tests(env, "node", "node", &["--test", "--test-reporter=tap"]).await;
}
