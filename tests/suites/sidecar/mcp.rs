//! Agents over MCP at a sidecar: their sessions are the sidecar's, named by an argument.

use std::time::Duration;

use planlease_tests::{
    TestEnv,
    agent::{Agent, BEFORE, PRESENT},
    case,
    wait::{SOON, until},
};
use serde_json::{Value, json};

use crate::helpers::{PLAN, Sidecar, TOKEN, say, sidecar, with_port};

/// How often eight agents race.
const RACES: usize = 20;

/// A token that may only read.
const VIEWER: &str = "a-token-to-look-with";

async fn served(env: &TestEnv) -> (Sidecar, u16) {
    let token = env.path("token");
    std::fs::write(&token, TOKEN).unwrap();
    let viewers = env.path("viewers");
    std::fs::write(&viewers, format!("wall {VIEWER}\n")).unwrap();
    let (file, local) = (token.to_str().unwrap(), "127.0.0.1:0");
    let viewers = viewers.to_str().unwrap();
    let flags = ["--listen", local, "--token-file", file, "--viewer-token-file", viewers, "--metrics", local];
    let sidecar = sidecar(env, "one", &flags).await;
    let port = with_port(&sidecar).await;
    (sidecar, port)
}

#[case]
async fn agents_work_through_the_sidecar(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let (sidecar, port) = served(&env).await;
    let mut sessions = Vec::new();
    for version in [BEFORE, PRESENT] {
        let Some(mut agent) = Agent::of_sidecar(&env, version, version, port, TOKEN).await else { return };
        let claimed = agent.call("claim", json!({ "plan": "release" })).await.document();
        let (task, session) = (&claimed["tasks"][0]["task"], &claimed["session"]);
        assert!(claimed["heartbeat_s"].as_u64().is_some_and(|seconds| seconds >= 60), "{claimed}");
        let (what, _) = agent.call("complete", json!({ "plan": "release", "task": task })).await.refusal();
        assert!(what.contains("`session` is missing"), "{what}");
        let progress = json!({ "plan": "release", "task": task, "session": session, "text": "half" });
        assert_eq!(agent.call("progress", progress).await.document()["record"]["progress"], "half");
        let other = sessions.last().unwrap_or(session).clone();
        let complete = |session: &Value| json!({ "plan": "release", "task": task, "session": session });
        if other != *session {
            let (what, _) = agent.call("complete", complete(&other)).await.refusal();
            assert!(what.contains("is claimed by"), "{what}");
        }
        let ended = agent.call("complete", complete(session)).await.document();
        assert_eq!(ended["record"]["status"], "completed");
        let again = agent.call("claim", json!({ "plan": "release", "session": session })).await.document();
        assert_eq!(again["session"], *session, "the same session");
        let reason = json!({ "plan": "release", "task": again["tasks"][0]["task"], "session": session, "reason": "no" });
        let _ = agent.call("return", reason).await.document();
        sessions.push(session.clone());
        agent.end().await;
    }
    let port = until("a port for metrics", SOON, async || {
        sidecar.port("metrics and probes").ok_or_else(|| sidecar.process.said())
    })
    .await;
    let metrics = say(port, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let committed = metrics.lines().find(|line| line.contains("outcome=\"committed\"")).unwrap_or_default();
    assert!(committed.ends_with(" 6"), "{metrics}");
    env.audit().await;
}

#[case]
async fn a_silent_agents_tasks_are_claimed_by_the_next(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(120));
    env.import("release", PLAN).await;
    let (sidecar, port) = served(&env).await;
    let Some(mut agent) = Agent::of_sidecar(&env, PRESENT, "silent", port, TOKEN).await else { return };
    let opened = sidecar.client.post("/v1/sessions", "", &json!({ "heartbeat_s": 5 })).await;
    let session = &opened.json["session"];
    let claimed = agent.call("claim", json!({ "plan": "release", "task": "1", "session": session })).await;
    assert_eq!(claimed.tasks(), ["1"]);
    let claim = json!({ "plan": "release", "task": "1" });
    let (what, _) = agent.call("claim", claim.clone()).await.refusal();
    assert!(what.contains("is claimed by"), "{what}");
    until("the end of a session that is not heard of", SOON, async || {
        let answer = sidecar.client.get(&format!("/v1/sessions/{}", session.as_str().unwrap())).await;
        if answer.status == 404 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    let (what, _) =
        agent.call("complete", json!({ "plan": "release", "task": "1", "session": session })).await.refusal();
    assert!(what.contains("it is over"), "{what}");
    let claimed = until("a claim of what the silent one has left", SOON, async || {
        let called = agent.call("claim", claim.clone()).await;
        if format!("{called:?}").contains("is claimed by") { Err(called) } else { Ok(called.document()) }
    })
    .await;
    assert_eq!(claimed["tasks"][0]["attempt"], 2);
    agent.end().await;
    env.audit().await;
}

#[case(one_at_a_time)]
async fn agents_of_one_sidecar_race_and_one_wins(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(120));
    let mut plan = "title = \"Race\"\n".to_owned();
    for id in 1..=RACES {
        plan += &format!("[[task]]\nid = \"{id}\"\ndescription = \"work\"\n");
    }
    env.import("race", &plan).await;
    let (sidecar, port) = served(&env).await;
    let mut agents = Vec::new();
    for n in 0..8 {
        let version = if n % 2 == 0 { PRESENT } else { BEFORE };
        let Some(agent) = Agent::of_sidecar(&env, version, &format!("agent-{n}"), port, TOKEN).await else {
            return;
        };
        agents.push(agent);
    }
    for race in 1..=RACES {
        for agent in &mut agents {
            agent.ask("claim", json!({ "plan": "race", "task": race.to_string() }));
        }
        let mut winners = 0;
        for agent in &mut agents {
            let called = agent.called().await;
            if format!("{called:?}").contains("is claimed by") {
                assert_eq!(called.refusal().1["record"]["status"], "in_progress");
            } else {
                assert_eq!(called.tasks(), [race.to_string()]);
                winners += 1;
            }
        }
        assert_eq!(winners, 1, "race {race}");
    }
    let sessions = sidecar.client.get("/v1/sessions").await.json;
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), RACES, "those of the losers are over");
    env.audit().await;
}

#[case]
async fn without_a_token_there_are_no_tools(env: TestEnv) {
    let (sidecar, port) = served(&env).await;
    let request = |token: &str, more: &str| request("POST", token, more, &message("tools/list", &json!({})));
    let answer = say(port, &request("another", "")).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let answer = say(port, &request(TOKEN, "Origin: http://example.org\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let answer = say(port, &request(TOKEN, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"claim\""), "{answer}");
    let answer = sidecar.client.get("/mcp").await;
    assert_eq!(answer.status, 405, "{}", answer.text);
}

#[case]
async fn a_viewer_gets_the_tools_that_read(env: TestEnv) {
    env.import("release", PLAN).await;
    let (sidecar, port) = served(&env).await;
    let ask = async |method: &str, with: Value| {
        let answer = say(port, &request("POST", VIEWER, "", &message(method, &with))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {with}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        answer["result"].clone()
    };
    let listed = ask("tools/list", json!({})).await;
    let names: Vec<_> = listed["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["plans", "next", "why"]);
    for (tool, with) in [
        ("plans", json!({})),
        ("next", json!({ "plan": "release" })),
        ("why", json!({ "plan": "release", "task": "1" })),
    ] {
        let answer = ask("tools/call", json!({ "name": tool, "arguments": with })).await;
        assert_ne!(answer["isError"], true, "{tool}: {answer}");
    }
    let read = ask("resources/read", json!({ "uri": "planlease://release" })).await;
    assert!(read["contents"][0]["text"].as_str().is_some_and(|text| text.contains("release")), "{read}");
    for (tool, with) in [
        ("claim", json!({ "plan": "release" })),
        ("progress", json!({ "plan": "release", "task": "1", "text": "half" })),
        ("complete", json!({ "plan": "release", "task": "1" })),
        ("pause", json!({ "plan": "release", "reason": "no" })),
    ] {
        let answer = ask("tools/call", json!({ "name": tool, "arguments": with })).await;
        let why = answer["content"][0]["text"].as_str().unwrap_or_default();
        assert_eq!(answer["isError"], true, "{tool}: {answer}");
        assert!(why.starts_with(tool) && why.contains("token \"wall\" is read-only"), "{tool}: {why}");
    }
    let sessions = sidecar.client.get("/v1/sessions").await.json;
    assert_eq!(sessions["sessions"], json!([]), "no session was opened");
    let removed = say(port, &request("DELETE", VIEWER, "", "")).await;
    assert!(removed.starts_with("HTTP/1.1 403") && removed.contains("read-only"), "{removed}");
    let client = say(port, &request("POST", TOKEN, "", &message("tools/list", &json!({})))).await;
    assert!(client.contains("\"claim\""), "{client}");
    env.audit().await;
}

/// A message of the protocol before the present one.
fn message(method: &str, with: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": with }).to_string()
}

/// A request to the tools.
fn request(method: &str, token: &str, more: &str, body: &str) -> String {
    format!(
        "{method} /mcp HTTP/1.1\r\nHost: localhost\r\nPlanlease-Request: true\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
