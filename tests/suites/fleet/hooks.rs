//! Hooks: each event is delivered at least once, in order, whichever process runs them and whichever receiver
//! is dead.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::sys::signal::Signal;
use planlease_core::{HookName, keys::Key};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    wait::{SOON, until},
};
use serde_json::Value;
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Two tasks that wait for nothing and may fail once.
const PLAN: &str = r#"
title = "Release"

[policy]
max_retries = 0

[[task]]
id = "1"
description = "tag"

[[task]]
id = "2"
description = "announce"
"#;

/// A hook whose command keeps what it receives in the file `events`, one a line.
const LOG: &str = "log=sh -c 'cat >> $TEST_DIR/events; echo >> $TEST_DIR/events'";

/// Starts hooks, and waits until they run.
async fn hooks(env: &TestEnv, args: &[&str], output: &str) -> Process {
    let process = env.start(&[&["hooks"], args].concat(), output);
    process.until_said("running, from revision", SOON).await;
    process
}

async fn fail(env: &TestEnv, plan: &str, task: &str) {
    env.program().run_to(0, ["task", "start", plan, task]).await;
    env.program().run_to(0, ["task", "fail", plan, task, "--error", "boom"]).await;
}

/// The type, plan and task of each event that the command received.
fn received(env: &TestEnv) -> Vec<String> {
    let text = env.text("events");
    let events = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["schema"], "planlease.event.v1");
        let word = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", word("type"), word("plan"), word("task"))
    });
    events.collect()
}

async fn until_received(env: &TestEnv, expected: &[&str]) {
    until("the events", SOON, async || {
        let found = received(env);
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

#[case]
async fn events_are_delivered_in_order_across_runners(env: TestEnv) {
    env.import("a", PLAN).await;
    let mut first = hooks(&env, &["--on-event", LOG], "first").await;
    fail(&env, "a", "1").await;
    let failed = "task.failed a 1";
    until_received(&env, &[failed]).await;
    // What was delivered has moved the position; a second runner waits, and takes over from there.
    let second = env.start(&["hooks", "--on-event", LOG], "second");
    first.signal(Signal::SIGKILL);
    env.program().run_to(0, ["task", "skip", "a", "2", "--reason", "later"]).await;
    let finished = [failed, "plan.failed a -"];
    until("the events", SOON, async || {
        // At least once: the one that was delivered when its runner was killed may come again.
        let mut found = received(&env);
        found.dedup();
        if found == finished { Ok(()) } else { Err((found, second.said())) }
    })
    .await;
    env.program().run_to(0, ["task", "retry", "a", "1"]).await;
    env.program().run_to(0, ["task", "skip", "a", "1", "--reason", "later"]).await;
    until("the end of the plan", SOON, async || {
        let found = received(&env);
        if found.last().is_some_and(|last| last == "plan.finished a -") { Ok(()) } else { Err(found) }
    })
    .await;
    env.audit().await;
}

/// Events that happen while no process runs the hook are delivered by the next one.
#[case]
async fn events_without_a_runner_are_delivered_later(env: TestEnv) {
    env.import("a", PLAN).await;
    let mut first = hooks(&env, &["--on-event", LOG, "--event", "task.failed"], "first").await;
    fail(&env, "a", "1").await;
    until_received(&env, &["task.failed a 1"]).await;
    first.signal(Signal::SIGTERM);
    assert_eq!(first.until_ended(SOON).await, Some(0), "{}", first.said());
    fail(&env, "a", "2").await;
    // It is not for what the filter leaves out, and delivers nothing twice after an orderly end.
    let _second = hooks(&env, &["--on-event", LOG, "--event", "task.failed"], "second").await;
    until_received(&env, &["task.failed a 1", "task.failed a 2"]).await;
    env.audit().await;
}

#[case]
async fn a_dead_receiver_keeps_no_other_hook_from_its_events(env: TestEnv) {
    env.import("a", PLAN).await;
    let dead = "dead=http://127.0.0.1:1/";
    let args = ["--on-event", dead, "--on-event", LOG, "--attempts", "2", "--event", "task.failed"];
    let process = hooks(&env, &args, "hooks").await;
    process.until_said("hook dead: running", SOON).await;
    process.until_said("hook log: running", SOON).await;
    let began = tokio::time::Instant::now();
    fail(&env, "a", "1").await;
    until_received(&env, &["task.failed a 1"]).await;
    let took = began.elapsed();
    println!("measured: an event beside a dead receiver: {} ms with two commands", took.as_millis());
    process.until_said("hook dead: gave up task.failed", SOON).await;
    fail(&env, "a", "2").await;
    until_received(&env, &["task.failed a 1", "task.failed a 2"]).await;
    // A dead receiver has one try for each further event.
    until("the second event is given up", SOON, async || {
        let said = process.said();
        if said.contains("a-2 after 1") { Ok(()) } else { Err(said) }
    })
    .await;
    env.audit().await;
}

/// A process that was stopped for longer than its TTL goes on under another session, from the position.
#[case]
async fn a_lost_session_is_followed_by_another_one(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(3));
    env.import("a", PLAN).await;
    let mut process = hooks(&env, &["--on-event", LOG, "--event", "task.failed"], "hooks").await;
    process.signal(Signal::SIGSTOP);
    fail(&env, "a", "1").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    process.signal(Signal::SIGCONT);
    process.until_said("go on under another one", SOON).await;
    until_received(&env, &["task.failed a 1"]).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(process.until_ended(SOON).await, Some(0), "{}", process.said());
    env.audit().await;
}

/// Without its position, which an operator has removed while it runs, it goes on from that moment.
#[case]
async fn a_hook_whose_position_is_removed_is_run_again(env: TestEnv) {
    env.import("a", PLAN).await;
    let process = hooks(&env, &["--on-event", LOG, "--event", "task.failed"], "hooks").await;
    fail(&env, "a", "1").await;
    until_received(&env, &["task.failed a 1"]).await;
    let position = env.coordinator().await.layout().key(&Key::Hook(HookName::new("log").unwrap()));
    env.client.clone().delete(position, None).await.unwrap();
    // At the latest when it has delivered this.
    fail(&env, "a", "2").await;
    until("the hook that runs again", SOON, async || {
        let said = process.said();
        if said.matches("running, from revision").count() > 1 { Ok(()) } else { Err(said) }
    })
    .await;
    env.program().run_to(0, ["task", "retry", "a", "1"]).await;
    fail(&env, "a", "1").await;
    until("what happened since", SOON, async || {
        let found = received(&env);
        if found.iter().filter(|event| *event == "task.failed a 1").count() > 1 { Ok(()) } else { Err(found) }
    })
    .await;
    env.audit().await;
}

/// A server that refuses the first requests.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

async fn server(refusals: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&requests);
    planlease_tests::test_env::background(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            let mut bytes = [0; 4_096];
            while !is_whole(&text) {
                let read = stream.read(&mut bytes).await.unwrap();
                if read == 0 {
                    break;
                }
                text += &String::from_utf8_lossy(&bytes[..read]);
            }
            let count = {
                let mut kept = kept.lock().unwrap();
                kept.push(text);
                kept.len()
            };
            let status = if count <= refusals { "500 Internal Server Error" } else { "204 No Content" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Server { port, requests }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    header(head, "content-length").is_some_and(|length| length.parse::<usize>().unwrap() <= body.len())
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let lines = request.split("\r\n");
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, v)| v)
}

/// What a receiver compares the header with.
fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let hex = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256={hex}")
}

#[case]
async fn a_webhook_is_signed_and_tried_again_with_the_same_id(env: TestEnv) {
    env.import("a", PLAN).await;
    let server = server(2).await;
    let secret = env.path("secret");
    std::fs::write(&secret, "a secret\n").unwrap();
    let target = format!("pager=http://127.0.0.1:{}/planlease?x=1", server.port);
    let args = ["--on-event", &target, "--secret-file", secret.to_str().unwrap(), "--event", "task.failed"];
    let process = hooks(&env, &args, "hooks").await;
    fail(&env, "a", "1").await;
    process.until_said("(try 3)", Duration::from_secs(30)).await;
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    let ids: Vec<_> = requests.iter().map(|request| header(request, "planlease-delivery").unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for request in &requests {
        assert!(request.starts_with("POST /planlease?x=1 HTTP/1.1"), "{request}");
        assert_eq!(header(request, "planlease-event"), Some("task.failed"));
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(header(request, "planlease-signature-256"), Some(signature("a secret", body).as_str()));
        let event: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&event["task"], &event["what"]), (&"1".into(), &"boom".into()));
    }
    env.audit().await;
}
