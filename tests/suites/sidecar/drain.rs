//! The end of a sidecar, and its life without etcd.

use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_core::LockName;
use planlease_tests::{
    TestEnv, case,
    test_env::{acquired, in_queue, plan_name},
    wait::{SOON, until},
};
use serde_json::json;

use crate::helpers::{sidecar, task, with_sidecar};

const OWNERSHIP: &str = "/v1/plans/release/ownership";

#[case]
async fn programs_finish_before_their_sidecar_ends(env: TestEnv) {
    let (env, mut sidecar) = with_sidecar(env).await;
    let client = sidecar.client.clone();
    let mut owner = client.stream(Method::POST, OWNERSHIP, &[], "").await;
    let session = owner.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    owner.until("granted", SOON).await;
    let claimed = client.post("/v1/plans/release/claims", &session, &json!({})).await.with(200);
    let mut events = client.stream(Method::GET, "/v1/events", &[], "").await;
    events.next(SOON).await;
    sidecar.process.signal(Signal::SIGTERM);
    owner.until("draining", SOON).await;
    assert_eq!(client.get("/readyz").await.status, 503);
    assert_eq!(client.get("/livez").await.status, 200);
    assert_eq!(
        client.post("/v1/sessions", "", &json!({ "heartbeat_s": 9 })).await.with(503).problem(),
        "draining"
    );
    let more = client.post("/v1/plans/release/claims", &session, &json!({})).await.with(503);
    assert_eq!(more.problem(), "draining");
    // What is under way is finished, and the plan released.
    let done = json!({ "change": "complete", "attempt": claimed.json["tasks"][0]["attempt"] });
    client.change(&task("1"), &session, "*", &done).await.with(200);
    client.ask(Method::DELETE, OWNERSHIP, &[("planlease-session", &session)], "").await.with(204);
    drop(owner);
    assert_eq!(sidecar.process.until_ended(SOON).await, Some(0), "{}", sidecar.process.said());
    // Streams end, rather than break.
    while events.next(SOON).await.is_some() {}
    assert!(!sidecar.socket.exists());
    let terms = env.json(&["owner", "history", "release"]).await;
    assert_eq!(terms["terms"][0]["ended"]["how"], "clean");
    env.audit().await;
}

/// Waits until the lock of the plan has this many candidates.
async fn in_lock_queue(coordinator: &Coordinator, candidates: usize) {
    until("queue of that length for the lock", SOON, async || {
        let locks = coordinator.locks(&plan_name("release")).await.unwrap();
        let found = locks.first().map_or(0, |lock| lock.queue.candidates().len());
        if found == candidates { Ok(()) } else { Err(found) }
    })
    .await;
}

#[case]
async fn who_waits_is_granted_nothing_in_a_drain(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let (client, coordinator, release) = (&sidecar.client, env.coordinator().await, plan_name("release"));
    let other = env.session("other").await;
    let owned = acquired(&other, &release).await;
    let locked = other.lock(&release, &LockName::new("git").unwrap(), None).await.unwrap();
    let opened = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 600 })).await.with(201);
    let session = opened.json["session"].as_str().unwrap();
    let mut stream = client.stream(Method::POST, OWNERSHIP, &[], "").await;
    let (lock, body) = ("/v1/plans/release/locks/git", json!({ "wait_s": 600 }));
    let draining = async {
        in_queue(&coordinator, &release, 3).await;
        in_lock_queue(&coordinator, 2).await;
        client.ask(Method::POST, "/v1/drain", &[], "").await.with(202);
    };
    let waiting =
        async { tokio::join!(client.post(OWNERSHIP, session, &body), client.post(lock, session, &body)) };
    let ((plan_refused, lock_refused), ()) = tokio::join!(waiting, draining);
    assert_eq!(plan_refused.with(503).problem(), "draining");
    assert_eq!(lock_refused.with(503).problem(), "draining");
    let stream_refused = stream.until("refused", SOON).await;
    assert_eq!(stream_refused.data["type"], "urn:planlease:problem:draining");
    // None of them waits any more; once the drain is undone, they can again.
    in_queue(&coordinator, &release, 1).await;
    in_lock_queue(&coordinator, 1).await;
    client.ask(Method::DELETE, "/v1/drain", &[], "").await.with(200);
    owned.release().await.unwrap();
    locked.release().await.unwrap();
    client.post(OWNERSHIP, session, &body).await.with(200);
    client.post(lock, session, &body).await.with(200);
    env.audit().await;
}

#[case]
async fn a_drain_is_bounded(env: TestEnv) {
    let (env, _one) = with_sidecar(env).await;
    let mut brief = sidecar(&env, "brief", &["--grace", "500ms"]).await;
    let mut owner = brief.client.stream(Method::POST, OWNERSHIP, &[], "").await;
    owner.until("granted", SOON).await;
    brief.process.signal(Signal::SIGTERM);
    // Its program goes on; the plan is released all the same, and its stream says so.
    owner.until("over", SOON).await;
    assert_eq!(brief.process.until_ended(SOON).await, Some(0), "{}", brief.process.said());
    assert!(brief.process.said().contains("1 session ended"), "{}", brief.process.said());
    let terms = env.json(&["owner", "history", "release"]).await;
    assert_eq!(terms["terms"][0]["ended"]["how"], "clean");
    env.audit().await;
}

#[case]
async fn a_hook_waits_for_the_programs(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let mut owner = sidecar.client.stream(Method::POST, OWNERSHIP, &[], "").await;
    owner.until("granted", SOON).await;
    let socket = sidecar.socket.to_str().unwrap();
    let late = env.program().run(["sidecar", "drain", "--socket", socket, "--wait", "300ms"]).await;
    assert_eq!(late.code, Some(118), "{late:?}");
    owner.until("draining", SOON).await;
    let not_ready = env.program().run(["sidecar", "probe", "ready", "--socket", socket]).await;
    assert!(not_ready.code == Some(17) && not_ready.stderr.contains("draining"), "{not_ready:?}");
    drop(owner);
    env.program().run_to(0, ["sidecar", "drain", "--socket", socket]).await;
    env.program().run_to(0, ["sidecar", "probe", "live", "--socket", socket]).await;
}

#[case]
async fn a_drain_can_be_undone(env: TestEnv) {
    let (env, mut sidecar) = with_sidecar(env).await;
    let client = sidecar.client.clone();
    let mut owner = client.stream(Method::POST, OWNERSHIP, &[], r#"{"id": "me"}"#).await;
    owner.until("granted", SOON).await;
    let began = client.ask(Method::POST, "/v1/drain", &[], "").await.with(202);
    assert_eq!(began.json["draining"], true);
    owner.until("draining", SOON).await;
    assert_eq!(client.get("/readyz").await.status, 503);
    let me = format!("uid:{},pid:{}", nix::unistd::getuid(), std::process::id());
    sidecar.process.until_said("draining: a client has asked for it", SOON).await;
    let said = sidecar.process.said();
    assert!(said.lines().any(|line| line.contains("asked for it") && line.contains(&me)), "{me}: {said}");
    let undone = client.ask(Method::DELETE, "/v1/drain", &[], "").await.with(200);
    assert_eq!(undone.json["draining"], false);
    owner.until("undrained", SOON).await;
    assert_eq!(client.get("/readyz").await.status, 200);
    client.post("/v1/sessions", "", &json!({ "heartbeat_s": 9 })).await.with(201);
    // The registration says which client it is, under any name it gives itself.
    let registered = env.json(&["orchestrator", "list"]).await;
    let mine = registered["orchestrators"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["orchestrator"] == "me")
        .unwrap();
    assert_eq!(mine["labels"]["client"], *me);
    assert_eq!(client.get("/v1/sessions").await.json["sessions"][0]["client"], *me);
    // Again from the command line; and not once the sidecar itself is to end.
    let socket = sidecar.socket.to_str().unwrap();
    client.ask(Method::POST, "/v1/drain", &[], "").await.with(202);
    env.program().run_to(0, ["sidecar", "drain", "--undo", "--socket", socket]).await;
    assert_eq!(client.get("/v1/drain").await.json["draining"], false);
    owner.until("draining", SOON).await;
    owner.until("undrained", SOON).await;
    sidecar.process.signal(Signal::SIGTERM);
    owner.until("draining", SOON).await;
    let late = client.ask(Method::DELETE, "/v1/drain", &[], "").await.with(409);
    assert_eq!(late.problem(), "wrong-state");
    drop(owner);
}

#[case(alone)]
async fn without_etcd_it_lives_and_says_nothing_old(env: TestEnv) {
    let server = env.server.clone();
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut owner = client.stream(Method::POST, OWNERSHIP, &[], r#"{"id": "me"}"#).await;
    let session = owner.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    owner.until("granted", SOON).await;
    server.kill();
    // A question for the owner gets no answer rather than a stale one.
    let unknown = client.get("/v1/plans/release/owner").await.with(503);
    assert_eq!(unknown.problem(), "unavailable");
    until("a sidecar that is not ready", SOON, async || {
        let ready = client.get("/readyz").await;
        if ready.status == 503 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    assert_eq!(client.get("/livez").await.status, 200);
    // What is owned is trusted until the deadline, and not a moment longer.
    owner.until("over", Duration::from_secs(30)).await;
    assert_eq!(owner.next(SOON).await, None);
    assert_eq!(client.get(&format!("/v1/sessions/{session}")).await.status, 404);
    server.restart().await;
    until("a sidecar that is ready again", SOON, async || {
        let ready = client.get("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    let mut again = client.stream(Method::POST, OWNERSHIP, &[], "").await;
    again.until("granted", Duration::from_secs(40)).await;
    env.audit().await;
}
