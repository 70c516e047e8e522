//! What operators ask of programs at a sidecar: cancelled attempts, a pause of the fleet, a cordon; and
//! the probe that load balancers ask.

use http::Method;
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use serde_json::json;

use crate::helpers::with_sidecar;

const TASK: &str = "/v1/plans/release/tasks/1";

#[case]
async fn a_program_learns_that_its_attempt_is_cancelled(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let opened = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 30 })).await.with(201);
    let silent = opened.json["session"].as_str().unwrap().to_owned();
    let mut stream = client.stream(Method::POST, "/v1/sessions", &[], "").await;
    let streamed = stream.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    client.change(TASK, &silent, "*", &json!({ "change": "start" })).await.with(200);
    client.post("/v1/plans/release/claims", &streamed, &json!({})).await.with(200);
    for task in ["1", "2"] {
        let cancel = json!({ "change": "cancel", "reason": "wrong branch", "then": "skip" });
        let asked =
            client.change(&format!("/v1/plans/release/tasks/{task}"), "", "*", &cancel).await.with(200);
        assert_eq!(asked.json["record"]["status"], "in_progress", "{}", asked.text);
    }
    let event = stream.until("cancelled", SOON).await;
    assert_eq!((&event.data["task"], &event.data["why"]), (&json!("2"), &json!("wrong branch")));
    let beat = format!("/v1/sessions/{silent}/heartbeat");
    until("a heartbeat that says so", SOON, async || {
        let beat = client.post(&beat, "", &json!({})).await.with(200);
        if beat.json["cancelled"][0]["task"] == "1" { Ok(()) } else { Err(beat.text) }
    })
    .await;

    let late = client.change(TASK, &silent, "*", &json!({ "change": "complete" })).await.with(409);
    assert_eq!(late.problem(), "wrong-state");
    assert!(late.text.contains("cancelled by"), "{}", late.text);
    let given_up = json!({ "change": "return", "reason": "stopped" });
    let ended = client.change(TASK, &silent, "*", &given_up).await.with(200);
    assert_eq!(ended.json["record"]["status"], "skipped", "{}", ended.text);
    until("a heartbeat without it", SOON, async || {
        let beat = client.post(&beat, "", &json!({})).await.with(200);
        if beat.json["cancelled"].is_null() { Ok(()) } else { Err(beat.text) }
    })
    .await;
    env.audit().await;
}

#[case]
async fn a_cordon_and_a_pause_stop_programs_from_starting(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let opened =
        client.post("/v1/sessions", "", &json!({ "heartbeat_s": 30, "id": "worker" })).await.with(201);
    let session = opened.json["session"].as_str().unwrap().to_owned();
    let start = json!({ "change": "start" });
    env.program().run_to(0, ["orchestrator", "cordon", "worker", "--reason", "disk"]).await;
    for answer in [
        client.post("/v1/plans/release/ownership", &session, &json!({})).await.with(409),
        client.post("/v1/plans/release/claims", &session, &json!({})).await.with(409),
        client.change(TASK, &session, "*", &start).await.with(409),
    ] {
        assert_eq!(answer.problem(), "halted", "{}", answer.text);
        assert!(answer.text.contains("disk"), "{}", answer.text);
    }
    env.program().run_to(0, ["orchestrator", "uncordon", "worker"]).await;
    env.program().run_to(0, ["fleet", "pause", "--reason", "registry"]).await;
    let paused = client.change(TASK, &session, "*", &start).await.with(409);
    assert!(paused.problem() == "halted" && paused.text.contains("registry"), "{}", paused.text);
    for view in ["", "/release/status", "/release/next", "/release/why", "/release/tasks/1/why"] {
        let shown = client.get(&format!("/v1/plans{view}")).await.with(200);
        assert_eq!(shown.json["fleet_paused"]["why"], "registry", "{view}: {}", shown.text);
    }
    env.program().run_to(0, ["fleet", "resume"]).await;
    client.change(TASK, &session, "*", &start).await.with(200);
    env.audit().await;
}

#[case]
async fn only_the_owners_sidecar_answers_the_probe(env: TestEnv) {
    const PROBE: &str = "/v1/plans/release/owned-here";
    let (env, sidecar) = with_sidecar(env).await;
    let other = crate::helpers::sidecar(&env, "other", &[]).await;
    let client = &sidecar.client;
    let opened = client.post("/v1/sessions", "", &json!({ "heartbeat_s": 30 })).await.with(201);
    let session = opened.json["session"].as_str().unwrap().to_owned();
    assert_eq!(client.get(PROBE).await.with(503).problem(), "not-owned-here");
    client.post("/v1/plans/release/ownership", &session, &json!({})).await.with(200);
    assert_eq!(client.get(PROBE).await.with(200).json["plan"], "release");
    client.ask(Method::HEAD, PROBE, &[], "").await.with(200);
    other.client.get(PROBE).await.with(503);
    other.client.ask(Method::HEAD, PROBE, &[], "").await.with(503);
    env.program().run_to(0, ["owner", "release", "release", "--reason", "probe", "--yes"]).await;
    until("the end of the ownership", SOON, async || {
        let answer = client.get(PROBE).await;
        if answer.status == 503 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    env.audit().await;
}

#[case]
async fn an_operator_steers_the_fleet_over_http(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let shown = async || client.get("/v1/fleet").await.with(200).json;
    assert_eq!((&shown().await["now"], &shown().await["paused"]), (&json!("running"), &json!(null)));
    for path in ["/v1/fleet/pause", "/v1/orchestrators/a/cordon", "/v1/orchestrators/a/drain"] {
        assert_eq!(client.post(path, "", &json!({ "reason": " " })).await.with(400).problem(), "bad-request");
        client.post(path, "", &json!({})).await.with(400);
    }
    let pause = json!({ "reason": "registry" });
    let paused = client.post("/v1/fleet/pause", "", &pause).await.with(200).json;
    assert_eq!((&paused["now"], &paused["changed"]), (&json!("paused"), &json!(true)), "{paused}");
    // The pause that is there stays: the answer says whose it is.
    let again = client.post("/v1/fleet/pause", "", &json!({ "reason": "other" })).await.with(200).json;
    assert_eq!((&again["changed"], &again["paused"]["why"]), (&json!(false), &json!("registry")), "{again}");
    let by = shown().await["paused"]["by"].as_str().unwrap().to_owned();
    assert!(by.contains("(uid:"), "recorded with what the sidecar knows by itself: {by}");
    let resumed =
        client.post("/v1/fleet/resume", "", &json!({ "reason": "it is back" })).await.with(200).json;
    assert_eq!((&resumed["now"], &resumed["changed"]), (&json!("running"), &json!(true)), "{resumed}");
    until("the reason in the log", SOON, async || {
        let said = sidecar.process.said();
        if said.contains("it is back") { Ok(()) } else { Err(said) }
    })
    .await;

    for (act, state) in [("cordon", "cordoned"), ("drain", "draining")] {
        let body = match act {
            "cordon" => json!({ "reason": "disk" }),
            _ => json!({ "reason": "disk", "deadline_s": 20 }),
        };
        let answer = client.post(&format!("/v1/orchestrators/b-1/{act}"), "", &body).await.with(200).json;
        assert_eq!((&answer["orchestrator"], &answer["state"]), (&json!("b-1"), &json!(state)), "{answer}");
        let cordon = shown().await["cordons"][0].clone();
        assert_eq!((&cordon["state"], &cordon["why"]), (&json!(state), &json!("disk")), "{cordon}");
    }
    assert_eq!(shown().await["cordons"][0]["deadline_s"], json!(20));
    let long = json!({ "reason": "disk", "deadline_s": 700_000 });
    client.post("/v1/orchestrators/b-1/drain", "", &long).await.with(400);
    client.post("/v1/orchestrators/a%2Fb/uncordon", "", &json!({})).await.with(400);
    client.post("/v1/orchestrators/b-1/uncordon", "", &json!({})).await.with(200);
    assert_eq!(shown().await["cordons"], json!([]));
    env.audit().await;
}

#[case]
async fn a_plan_moves_only_from_the_owner_that_was_seen(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let path = "/v1/plans/release/owner/move";
    let request = |to: &str, expected: &str| json!({ "to": to, "expected": expected, "reason": "new host", "deadline_s": 5 });
    assert_eq!(client.post(path, "", &request("new", "old")).await.with(409).problem(), "wrong-state");
    let exec = ["--shell", "--exec", "sleep 600"];
    let start = |id: &'static str| env.start(&[&["run", "release", "--id", id][..], &exec].concat(), id);
    let mut old = start("old");
    let owner = async || {
        let shown = client.get("/v1/plans/release/owner").await.with(200).json;
        shown["owner"]["orchestrator"].as_str().unwrap_or_default().to_owned()
    };
    until("an owner", SOON, async || if owner().await == "old" { Ok(()) } else { Err(owner().await) }).await;
    // Nothing of that name is registered, and another process than the expected one owns the plan.
    assert_eq!(client.post(path, "", &request("new", "old")).await.with(409).problem(), "wrong-state");
    let mut new = start("new");
    until("two orchestrators", SOON, async || {
        let shown = client.get("/v1/orchestrators").await.with(200);
        if shown.text.contains("\"new\"") { Ok(()) } else { Err(shown.text) }
    })
    .await;
    assert_eq!(client.post(path, "", &request("new", "other")).await.with(409).problem(), "held");
    assert_eq!(client.get("/v1/fleet").await.with(200).json["moves"], json!([]), "a refusal changes nothing");
    let asked = client.post(path, "", &request("new", "old")).await.with(200).json;
    assert_eq!((&asked["from"], &asked["to"], &asked["done"]), (&json!("old"), &json!("new"), &json!(false)));
    until("the new owner", SOON, async || if owner().await == "new" { Ok(()) } else { Err(owner().await) })
        .await;
    // That request is spent: the next one counts, although the first one has not ended by itself.
    client.post(path, "", &request("old", "new")).await.with(200);
    until("the old owner", SOON, async || if owner().await == "old" { Ok(()) } else { Err(owner().await) })
        .await;
    client.ask(Method::DELETE, path, &[], "").await.with(204);
    assert_eq!(client.ask(Method::DELETE, path, &[], "").await.with(404).problem(), "not-found");
    for process in [&mut old, &mut new] {
        process.signal(nix::sys::signal::Signal::SIGKILL);
        process.until_ended(SOON).await;
    }
    env.audit().await;
}

#[case]
async fn changes_bring_the_states_of_their_plans(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut events = client.stream(Method::GET, "/v1/events", &[], "").await;
    let snapshot = events.until("snapshot", SOON).await.data;
    assert_eq!(snapshot["plans"][0]["state"], "waiting", "{snapshot}");
    client.change(TASK, "", "*", &json!({ "change": "start" })).await.with(200);
    let changes = events.until("changes", SOON).await.data;
    assert_eq!(changes["states"], json!({ "release": "running" }), "{changes}");
    client.post("/v1/plans/release/pause", "", &json!({ "why": "lunch" })).await.with(200);
    let changes = events.until("changes", SOON).await.data;
    assert_eq!(changes["states"], json!({ "release": "paused" }), "{changes}");
    env.audit().await;
}

#[case]
async fn tasks_that_no_orchestrator_runs_need_a_person(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let plan = "title = \"GPU\"\n[[task]]\nid = \"1\"\ndescription = \"train\"\nneeds = [\"gpu\"]\n";
    env.import("training", plan).await;
    let needed = async || client.get("/v1/attention").await.with(200).json["attention"].clone();
    assert_eq!(needed().await, json!([]), "without orchestrators nothing is known");
    let mut run = env.start(&["run", "--all", "--id", "cpu", "--exec", "true"], "run");
    until("what needs a person", SOON, async || {
        let needed = needed().await;
        let is_it = needed[0]["need"] == "unrunnable" && needed[0]["plan"] == "training";
        let says_why = needed[0]["what"] == "no orchestrator runs it: it needs gpu";
        if is_it && says_why { Ok(()) } else { Err(needed.to_string()) }
    })
    .await;
    run.signal(nix::sys::signal::Signal::SIGKILL);
    run.until_ended(SOON).await;
    env.audit().await;
}
