//! The clients in Python and Node: their own tests on a real sidecar, and their examples, orchestrators of
//! which one is killed. They run where their interpreters are; where one is missing, the output says so.

use std::{path::PathBuf, process::Command, time::Duration};

use nix::sys::signal::Signal;
use planlease_tests::{
    cases,
    packages::not_run,
    program::Process,
    room::Room,
    suite::{Case, Fixture},
    wait::{SOON, until},
};

use crate::scene::{Sidecar, sidecar};

/// The tests whose interpreters are here.
pub(crate) fn cases() -> Vec<Case> {
    let wanted = [
        ("python3", cases![python_survives_the_kill_of_its_peer, python_passes_its_own_tests]),
        ("node", cases![node_survives_the_kill_of_its_peer, node_passes_its_own_tests]),
    ];
    let here = wanted.into_iter().filter(|(interpreter, _)| is_here(interpreter));
    here.flat_map(|(_, cases)| cases).collect()
}

/// Whether it can be run; says so if it cannot.
fn is_here(interpreter: &str) -> bool {
    let found =
        Command::new(interpreter).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        not_run(&format!("the client of the sidecar for {interpreter}"), "it is not installed");
    }
    found
}

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

fn start(room: &Room, interpreter: &str, script: &str, sidecar: &Sidecar, output: &str) -> Process {
    let mut command = Command::new(interpreter);
    command.arg(clients().join(script)).arg(&sidecar.socket).args(["work", "2"]).env("ROOM", room.folder());
    Process::start(command, &room.path(output))
}

async fn survives(fixture: Fixture, interpreter: &str, script: &str) {
    let room = Room::new(fixture, Duration::from_secs(15));
    room.import("work", &plan()).await;
    let (one, two) = (sidecar(&room, "one", &[]).await, sidecar(&room, "two", &[]).await);
    let mut first = start(&room, interpreter, script, &one, "first");
    first.until_said("ended with 0", SOON).await;
    let mut second = start(&room, interpreter, script, &two, "second");
    until("the second in line", SOON, async || {
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
    room.audit().await;
}

async fn python_survives_the_kill_of_its_peer(fixture: Fixture) {
    survives(fixture, "python3", "python/examples/orchestrator.py").await;
}

async fn node_survives_the_kill_of_its_peer(fixture: Fixture) {
    survives(fixture, "node", "node/examples/orchestrator.js").await;
}

/// Runs the tests of a client on a sidecar with the plan `work`.
async fn passes_its_own_tests(fixture: Fixture, folder: &str, interpreter: &str, args: &[&str]) {
    let room = Room::new(fixture, Duration::from_secs(15));
    room.import("work", &plan()).await;
    let sidecar = sidecar(&room, "one", &[]).await;
    let mut command = Command::new(interpreter);
    command
        .args(args)
        .current_dir(clients().join(folder))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PLANLEASE_SIDECAR", &sidecar.socket)
        .env("ROOM", room.folder());
    let mut tests = Process::start(command, &room.path("tests"));
    assert_eq!(tests.until_ended(Duration::from_secs(60)).await, Some(0), "{}", tests.said());
    let said = tests.said();
    // A test of a hostile text and one of a worker stand for all that need the sidecar: none of them was left
    // out.
    let ran = ["hostile text reaches subscribers", "a worker executes tasks of another program"];
    let words = said.replace('_', " ");
    assert!(ran.iter().all(|name| words.contains(name)) && !words.contains("names no sidecar"), "{said}");
    room.audit().await;
}

async fn python_passes_its_own_tests(fixture: Fixture) {
    let args = ["-m", "unittest", "discover", "-s", "tests", "-v"];
    passes_its_own_tests(fixture, "python", "python3", &args).await;
}

async fn node_passes_its_own_tests(fixture: Fixture) {
    passes_its_own_tests(fixture, "node", "node", &["--test", "--test-reporter=tap"]).await;
}
