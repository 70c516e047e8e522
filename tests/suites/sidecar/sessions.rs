//! Sessions: with a connection, with heartbeats, as many as there may be.

use std::time::Duration;

use http::Method;
use planlease::LockOptions;
use planlease_core::LockName;
use planlease_tests::{
    TestEnv, case,
    test_env::plan_name,
    wait::{SOON, until},
};
use serde_json::json;
use tokio::time::Instant;

use crate::helpers::{PLAN, sidecar, with_sidecar};

const OWNERSHIP: &str = "/v1/plans/release/ownership";

#[case]
async fn a_session_that_is_not_heard_of_ends(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let opened = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 2.0 })).await.with(201);
    let session = opened.json["session"].as_str().unwrap().to_owned();
    client.post(OWNERSHIP, &session, &json!({})).await.with(200);
    // Heard of, it lives on, beyond the time that it may be silent.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let beat = client.post(&format!("/v1/sessions/{session}/heartbeat"), "", &json!({})).await.with(200);
        assert_eq!(beat.json["plans"][0]["plan"], "release");
    }
    until("the end of a session that is silent", SOON, async || {
        let answer = client.get(&format!("/v1/sessions/{session}")).await;
        if answer.status == 404 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    until("a free plan", SOON, async || {
        let owner = client.get("/v1/plans/release/owner").await.json;
        if owner["owner"].is_null() { Ok(()) } else { Err(owner.to_string()) }
    })
    .await;
    assert_eq!(client.post(OWNERSHIP, &session, &json!({})).await.with(404).problem(), "no-such-session");
    env.audit().await;
}

#[case]
async fn two_programs_behind_one_sidecar_are_two_candidates(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut first = client.stream(Method::POST, OWNERSHIP, &[], r#"{"id": "first"}"#).await;
    let session = first.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    first.until("granted", SOON).await;
    // One that does not want to wait learns the owner.
    let mut hasty = client.stream(Method::POST, OWNERSHIP, &[], r#"{"id": "hasty", "wait_s": 0}"#).await;
    let refused = hasty.until("refused", SOON).await;
    assert_eq!((&refused.data["status"], &refused.data["owner"]), (&json!(409), &json!("first")));
    assert_eq!(hasty.next(SOON).await, None);
    // One that waits has its turn when the first one lets go.
    let mut second = client.stream(Method::POST, OWNERSHIP, &[], r#"{"id": "second"}"#).await;
    second.until("session", SOON).await;
    until("the second in the queue", SOON, async || {
        let seen = client.get("/v1/plans/release/owner").await.json;
        if seen["waiting"][0]["name"] == "second" { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    let headers = [("planlease-session", session.as_str())];
    client.ask(Method::DELETE, OWNERSHIP, &headers, "").await.with(204);
    let granted = second.until("granted", SOON).await;
    assert_eq!(granted.data["token"], "1.2");
    // A name is one incarnation's.
    let taken = client
        .ask(Method::POST, "/v1/sessions", &[("accept", "text/event-stream")], r#"{"id": "second"}"#)
        .await
        .with(409);
    assert_eq!(taken.problem(), "exists");
    env.audit().await;
}

#[case]
async fn a_lock_is_one_programs_at_a_time(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let open = || client.stream(Method::POST, "/v1/sessions", &[], "");
    let (mut one, mut two) = (open().await, open().await);
    let one_id = one.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    let two_id = two.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    let lock = "/v1/plans/release/locks/git";
    let first = client.post(lock, &one_id, &json!({})).await.with(200);
    assert_eq!(client.post(lock, &two_id, &json!({})).await.with(409).problem(), "held");
    assert_eq!(client.post(lock, "", &json!({})).await.with(403).problem(), "not-allowed");
    // Its program dies while the other one waits.
    let body = json!({ "wait_s": 30 });
    let waiting = client.post(lock, &two_id, &body);
    let dying = async {
        until("one in the queue", SOON, async || {
            let locks = client.get("/v1/plans/release/locks").await.json;
            if locks["locks"][0]["waiting"].as_array().map(Vec::len) == Some(1) {
                Ok(())
            } else {
                Err(locks.to_string())
            }
        })
        .await;
        drop(one);
    };
    let (second, ()) = tokio::join!(waiting, dying);
    let token = |answer: &planlease_tests::http::Answer| answer.json["token"].as_str().unwrap().to_owned();
    assert!(token(&second.clone().with(200)) != token(&first));
    let headers = [("planlease-session", two_id.as_str())];
    client.ask(Method::DELETE, lock, &headers, "").await.with(204);
    assert_eq!(client.ask(Method::DELETE, lock, &headers, "").await.with(409).problem(), "right-gone");
    env.audit().await;
}

/// Programs behind a sidecar take locks for one holder at a time.
#[case]
async fn a_lock_with_several_permits_is_another_ones(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let other = env.session("other").await;
    let several = LockOptions::default().of_plan(plan_name("release")).permits(2);
    let held = other.lock_with(&LockName::new("git").unwrap(), several).await.unwrap();
    let opened = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 600 })).await.with(201);
    let session = opened.json["session"].as_str().unwrap();
    let lock = "/v1/plans/release/locks/git";
    for wait_s in [0, 600] {
        let refused = client.post(lock, session, &json!({ "wait_s": wait_s })).await.with(409);
        assert_eq!(refused.problem(), "held");
        assert!(refused.json["detail"].as_str().unwrap().contains("2 permits"), "{}", refused.text);
    }
    held.release().await.unwrap();
    client.post(lock, session, &json!({ "wait_s": 600 })).await.with(200);
    env.audit().await;
}

#[case]
async fn a_forced_release_is_reported(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut owner = client.stream(Method::POST, OWNERSHIP, &[], r#"{"id": "owner"}"#).await;
    let session = owner.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    owner.until("granted", SOON).await;
    let wrong = json!({ "expected": "another", "reason": "x" });
    assert_eq!(client.post("/v1/plans/release/owner/release", "", &wrong).await.with(409).problem(), "held");
    let force = json!({ "expected": "owner", "reason": "it hangs" });
    client.post("/v1/plans/release/owner/release", "", &force).await.with(200);
    let lost = owner.until("lost", SOON).await;
    assert_eq!(lost.data["plan"], "release");
    owner.until("over", SOON).await;
    assert_eq!(owner.next(SOON).await, None, "what was asked for is over");
    // Under its authority nothing is written any more.
    let late = client.change("/v1/plans/release/tasks/1", &session, "*", &json!({ "change": "start" })).await;
    assert!([404, 409].contains(&late.status.as_u16()), "{}", late.text);
    env.audit().await;
}

/// A request that does not want to wait learns how long it would have to; repeated, it gets the plan when the
/// delay is over.
#[case]
async fn a_lock_delay_is_kept_by_requests_that_do_not_wait(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    env.import("delayed", &format!("{PLAN}\n[policy]\nlock_delay_s = 2\n")).await;
    let client = &sidecar.client;
    let url = "/v1/plans/delayed/ownership";
    let open = async |id: &str| {
        let opened = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 30, "id": id })).await.with(201);
        opened.json["session"].as_str().unwrap().to_owned()
    };
    let (first, next) = (open("first").await, open("next").await);
    client.post(url, &first, &json!({})).await.with(200);
    let ended = Instant::now();
    let force = json!({ "expected": "first", "reason": "it hangs" });
    client.post("/v1/plans/delayed/owner/release", "", &force).await.with(200);
    let refused = client.post(url, &next, &json!({ "wait_s": 0 })).await.with(409);
    assert_eq!(refused.problem(), "held");
    assert!(refused.json["detail"].as_str().unwrap().contains("lock delay"), "{}", refused.text);
    assert!(
        refused.json["retry_after_s"].as_u64().is_some_and(|left| (1..=2).contains(&left)),
        "{}",
        refused.text
    );
    let granted = until("the end of the lock delay", SOON, async || {
        let answer = client.post(url, &next, &json!({ "wait_s": 0 })).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer.text) }
    })
    .await;
    assert!(ended.elapsed() >= Duration::from_secs(2), "granted after {:?}", ended.elapsed());
    assert_eq!(granted.json["token"], "1.2");
    env.audit().await;
}

#[case]
async fn there_are_as_many_sessions_as_there_may_be(env: TestEnv) {
    let (env, _one) = with_sidecar(env).await;
    let small = sidecar(&env, "small", &["--max-sessions", "2"]).await;
    let client = &small.client;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = client.stream(Method::POST, "/v1/sessions", &[], "").await;
        stream.until("session", SOON).await;
        streams.push(stream);
    }
    let more = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 9 })).await.with(429);
    assert_eq!(more.problem(), "too-many");
    assert_eq!(client.get("/v1/sessions").await.json["sessions"].as_array().unwrap().len(), 2);
    streams.pop();
    until("space for one more", SOON, async || {
        let answer = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 9 })).await;
        if answer.status == 201 { Ok(()) } else { Err(answer.text) }
    })
    .await;
}
