//! Runs all examples as real programs, each with an embedded server of its own, and compares what they print.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The programs in this file's tests; the index lists the same.
const PROGRAMS: [&str; 10] = [
    "own-a-plan",
    "worker",
    "watcher",
    "takeover",
    "fence-http",
    "lock",
    "import",
    "graceful-drain",
    "embed-orchestrator",
    "tls",
];

/// How long a program may take; one that hangs fails its test.
const LONGEST: Duration = Duration::from_secs(60);

fn start(program: &str) -> Child {
    let mut command = Command::new(program);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a program to its end, and returns the lines that it printed.
#[track_caller]
fn lines(program: &str) -> Vec<String> {
    let child = start(program);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (ended, watched) = mpsc::channel::<()>();
    thread::spawn(move || {
        if watched.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL); // Or it ended at this moment.
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{program}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn own_a_plan() {
    let expected = [
        "owns release with token 1.1",
        "recovered 0 tasks",
        "1.1 started, attempt 1",
        "1.1 completed",
        "1.2 started, attempt 1",
        "1.2 completed",
        "2.1 started, attempt 1",
        "2.1 completed",
        "3 of 3 tasks completed",
    ];
    assert_eq!(lines(env!("CARGO_BIN_EXE_own-a-plan")), expected);
}

#[test]
fn worker() {
    let expected = ["claimed by both: 0", "claimed in all: 6", "completed: 6"];
    assert_eq!(lines(env!("CARGO_BIN_EXE_worker")), expected);
}

#[test]
fn watcher() {
    let expected = [
        "0 plans at the beginning",
        "release appeared with 3 tasks",
        "release acquired with token 1.1",
        "release 1.1: in_progress",
        "release released by the owner with token 1.1",
    ];
    assert_eq!(lines(env!("CARGO_BIN_EXE_watcher")), expected);
}

#[test]
fn takeover() {
    let expected = [
        "the first owner started 1.1, with token 1.1",
        "the first owner died",
        "the second owner acquired release with token 1.2",
        "recovered 1.1: pending again",
        "1.1 started, attempt 2",
    ];
    assert_eq!(lines(env!("CARGO_BIN_EXE_takeover")), expected);
}

#[test]
fn fence_http() {
    let expected = [
        "token 1.1: 204 No Content",
        "token 1.2: 204 No Content",
        "token 1.1: 412 Precondition Failed: token 1.1 is lower than 1.2, which was seen before",
    ];
    assert_eq!(lines(env!("CARGO_BIN_EXE_fence-http")), expected);
}

#[test]
fn lock() {
    let expected = [
        "the first holds package-registry",
        "the second waits in the queue",
        "the first releases it",
        "the second holds package-registry",
    ];
    assert_eq!(lines(env!("CARGO_BIN_EXE_lock")), expected);
}

#[test]
fn import() {
    let lines = lines(env!("CARGO_BIN_EXE_import"));
    assert!(lines[0].starts_with("release.md:4:"), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "1 of 4 tasks completed", "{lines:?}");
}

#[test]
fn graceful_drain() {
    let mut program = start(env!("CARGO_BIN_EXE_graceful-drain"));
    let mut output = BufReader::new(program.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    assert_eq!(first, "1.1 started\n");
    kill(Pid::from_raw(program.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "draining\n1.1 completed\nreleased\n");
    assert!(program.wait().unwrap().success());
}

#[test]
fn embed_orchestrator() {
    let expected = [
        "acquired release with token 1.1",
        "1.1 completed",
        "1.2 completed",
        "2.1 completed",
        "success: true",
    ];
    assert_eq!(lines(env!("CARGO_BIN_EXE_embed-orchestrator")), expected);
}

#[test]
fn tls() {
    let lines = lines(env!("CARGO_BIN_EXE_tls"));
    assert_eq!(lines[0], "connected, generation 1");
    assert_eq!(lines[1], "refused without a client certificate");
}

#[test]
fn the_index_lists_all_programs() {
    let index = include_str!("../README.md");
    for program in PROGRAMS {
        assert!(index.contains(&format!("| [{program}](programs/")), "{program} is missing");
    }
    assert_eq!(index.matches("](programs/").count(), PROGRAMS.len());
}
