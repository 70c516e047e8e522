//! Several updates in one request: each with its own outcome, or all or nothing.

use http::Method;
use planlease_tests::{TestEnv, case};
use serde_json::{Value, json};

use crate::helpers::{task, with_sidecar};

const BATCH: &str = "/v1/plans/release/tasks:batch";

fn skip(task: &str) -> Value {
    json!({ "task": task, "update": { "change": "skip", "reason": "not needed" } })
}

fn complete(task: &str) -> Value {
    json!({ "task": task, "update": { "change": "complete" } })
}

#[case]
async fn each_update_of_a_batch_has_its_outcome(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let body = json!({ "updates": [skip("1"), complete("2"), skip("9")] });
    let answer = client.post(BATCH, "", &body).await.with(200);
    let outcomes: Vec<&Value> =
        answer.json["updates"].as_array().unwrap().iter().map(|update| &update["outcome"]).collect();
    assert_eq!(outcomes, ["committed", "refused", "refused"]);
    assert_eq!((&answer.json["done"], &answer.json["refused"]), (&json!(1), &json!(2)));
    assert_eq!(answer.json["schema"], "planlease.task_updates.v1");
    let start = json!({ "updates": [{ "task": "2", "update": { "change": "start" } }] });
    assert_eq!(client.post(BATCH, "", &start).await.with(400).problem(), "bad-request");
    let many: Vec<Value> = (0..1_001).map(|n| skip(&n.to_string())).collect();
    let many = client.post(BATCH, "", &json!({ "updates": many })).await.with(413);
    assert_eq!(many.problem(), "too-large");
    env.audit().await;
}

#[case]
async fn an_atomic_batch_is_carried_out_whole_or_is_a_problem(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let before = client.get(&task("1")).await.etag();
    let body = json!({ "atomic": true, "updates": [skip("1"), complete("2")] });
    let refused = client.post(BATCH, "", &body).await.with(409);
    assert_eq!((refused.problem(), &refused.json["updates"][0]["task"]), ("wrong-state", &json!("2")));
    assert_eq!(client.get(&task("1")).await.etag(), before, "nothing was changed");
    let body = json!({ "atomic": true, "updates": [skip("1"), skip("2"), skip("3")] }).to_string();
    let headers = [("idempotency-key", "9b2f1c34-0000-4000-8000-00000000000b")];
    let first = client.ask(Method::POST, BATCH, &headers, &body).await.with(200);
    let revisions: Vec<&Value> = first.json["updates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|update| &update["record"]["revision"])
        .collect();
    assert!(revisions.iter().all(|revision| *revision == revisions[0]), "{revisions:?}");
    let again = client.ask(Method::POST, BATCH, &headers, &body).await.with(200);
    assert_eq!(first.json, again.json, "the same request is carried out once");
    let seen: u64 = before.trim_matches('"').parse().unwrap();
    let retry = json!({ "change": "retry", "reason": "again" });
    let stale = json!({ "atomic": true, "updates": [
        { "task": "2", "update": retry },
        { "task": "1", "revision": seen, "update": retry },
    ] });
    assert_eq!(client.post(BATCH, "", &stale).await.with(412).problem(), "stale-revision");
    let many: Vec<Value> = (0..101).map(|n| skip(&n.to_string())).collect();
    let many = json!({ "atomic": true, "updates": many });
    assert_eq!(client.post(BATCH, "", &many).await.with(413).problem(), "too-large");
    env.audit().await;
}
