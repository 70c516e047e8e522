//! The timers of plans that client sessions own.

use std::time::Duration;

use http::Method;
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use serde_json::json;

use crate::helpers::{PLAN, sidecar, task};

/// The program that owns the plan says nothing of its task; a note would keep it.
#[case]
async fn a_sidecar_keeps_the_timers_of_owned_plans(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", &format!("{PLAN}\n[policy]\nheartbeat_s = 3\n")).await;
    let sidecar = sidecar(&env, "one", &[]).await;
    let client = &sidecar.client;
    for timers in [true, false] {
        let mut events = client.stream(Method::POST, "/v1/sessions", &[], "{}").await;
        let session = events.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
        let acquire = json!({ "wait_s": 10, "timers": timers });
        client.post("/v1/plans/release/ownership", &session, &acquire).await.with(200);
        client.change(&task("1"), &session, "*", &json!({ "change": "start" })).await.with(200);
        if timers {
            let due = events.until("due", SOON).await.data;
            assert_eq!((&due["task"], &due["status"]), (&json!("1"), &json!("pending")));
            assert!(due["why"].as_str().unwrap().contains("heartbeat_s"), "{due}");
            until("the task is put back", SOON, async || {
                let seen = client.get(&task("1")).await.json;
                if seen["status"] == "pending" && seen["lost"] == 1 { Ok(()) } else { Err(seen.to_string()) }
            })
            .await;
        } else {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let seen = client.get(&task("1")).await.json;
            assert_eq!(seen["status"], "in_progress", "{seen}");
        }
        let path = format!("/v1/sessions/{session}");
        client.ask(Method::DELETE, &path, &[], "").await.with(204);
    }
    env.audit().await;
}
