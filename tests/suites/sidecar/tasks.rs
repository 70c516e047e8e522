//! Updates of tasks: under conditions, under an authority, once.

use std::time::Duration;

use http::Method;
use planlease_core::approval::ApprovalOf;
use planlease_tests::{
    TestEnv, case,
    test_env::plan_name,
    wait::{SOON, until},
};
use serde_json::json;

use crate::helpers::{PLAN, say, sidecar, task, with_sidecar};

#[case]
async fn an_update_names_the_revision_that_it_is_about(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let seen = client.get(&task("1")).await.with(200);
    assert_eq!(seen.json["revision"].to_string(), seen.etag().trim_matches('"'));
    let start = json!({ "change": "start" });
    let unconditional = client.ask(Method::PATCH, &task("1"), &[], &start.to_string()).await.with(428);
    assert_eq!(unconditional.problem(), "precondition-required");
    let started = client.change(&task("1"), "", &seen.etag(), &start).await.with(200);
    assert_eq!(started.json["record"]["status"], "in_progress");
    assert_ne!(started.etag(), seen.etag());
    // The old one is stale now, and the answer has the present one.
    let stale = client.change(&task("1"), "", &seen.etag(), &json!({ "change": "complete" })).await.with(412);
    assert_eq!(
        (stale.problem(), &stale.json["present"]["status"]),
        ("stale-revision", &json!("in_progress"))
    );
    assert_eq!(stale.json["revision"].to_string(), started.etag().trim_matches('"'));
    // What waits is blocked, what is as it was is not sent again.
    let waiting = client.get(&task("3")).await;
    let blocked = client.change(&task("3"), "", &waiting.etag(), &start).await.with(409);
    assert_eq!(blocked.problem(), "blocked");
    let same = client.ask(Method::GET, &task("3"), &[("if-none-match", &waiting.etag())], "").await.with(304);
    assert_eq!(same.text, "");
    let done = json!({ "change": "complete", "notes": "tagged", "attempt": 1 });
    let done = client.change(&task("1"), "", "*", &done).await.with(200);
    assert_eq!(done.json["record"]["notes"], "tagged");
    let again = client.change(&task("1"), "", &done.etag(), &json!({ "change": "complete" })).await.with(409);
    assert_eq!(again.problem(), "wrong-state");
    env.audit().await;
}

#[case]
async fn a_repeated_request_gets_the_same_answer(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let seen = client.get(&task("1")).await.etag();
    let id = "9b2f1c34-0000-4000-8000-00000000000a";
    let headers = [("if-match", seen.as_str()), ("idempotency-key", id)];
    let start = json!({ "change": "start" }).to_string();
    let first = client.ask(Method::PATCH, &task("1"), &headers, &start).await.with(200);
    let again = client.ask(Method::PATCH, &task("1"), &headers, &start).await.with(200);
    assert_eq!((first.etag(), &first.json), (again.etag(), &again.json));
    // Also after another writer has overwritten it: the answer is the one that it had.
    client
        .change(&task("1"), "", &first.etag(), &json!({ "change": "progress", "progress": "half" }))
        .await
        .with(200);
    let late = client.ask(Method::PATCH, &task("1"), &headers, &start).await.with(200);
    assert_eq!((late.etag(), &late.json), (first.etag(), &first.json));
    // Another one with the same condition is refused.
    let other = [("if-match", seen.as_str()), ("idempotency-key", "9b2f1c34-0000-4000-8000-00000000000b")];
    client.ask(Method::PATCH, &task("1"), &other, &start).await.with(412);
    // With `*` it is recognised as long as no other writer has overwritten it.
    let note = json!({ "change": "progress", "progress": "most" }).to_string();
    let any = [("if-match", "*"), ("idempotency-key", "9b2f1c34-0000-4000-8000-00000000000c")];
    let noted = client.ask(Method::PATCH, &task("1"), &any, &note).await.with(200);
    assert_eq!(client.ask(Method::PATCH, &task("1"), &any, &note).await.with(200).etag(), noted.etag());
    // A key that is used for something else as well names another write: of another record, another task,
    // another change.
    let used = ("idempotency-key", id);
    let present = [("if-match", "*"), used];
    client.ask(Method::PATCH, &task("1"), &present, &note).await.with(200);
    client.ask(Method::PATCH, &task("2"), &present, &start).await.with(200);
    let done = json!({ "change": "complete" }).to_string();
    client.ask(Method::PATCH, &task("1"), &present, &done).await.with(200);
    let audited = env.audit().await;
    assert_eq!(audited.report.updates, 3 + 6, "made, and each of six writes once");
}

#[case]
async fn an_owner_executes_a_plan(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut owner = client.stream(Method::POST, "/v1/plans/release/ownership", &[], r#"{"id": "me"}"#).await;
    let session = owner.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    let granted = owner.until("granted", SOON).await;
    assert_eq!((&granted.data["token"], &granted.data["plan"]), (&json!("1.1"), &json!("release")));
    assert!(granted.data["trusted_for_s"].as_f64().unwrap() > 1.0);
    let seen = client.get("/v1/plans/release/owner").await.with(200);
    assert_eq!(seen.json["owner"]["orchestrator"], "me");
    assert!(seen.json["trusted_until"].is_string(), "{}", seen.text);
    for round in [2, 1] {
        let claimed =
            client.post("/v1/plans/release/claims", &session, &json!({ "count": 9 })).await.with(200);
        let tasks = claimed.json["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), round);
        for claimed in tasks {
            let path = task(claimed["task"].as_str().unwrap());
            let done = json!({ "change": "complete", "attempt": claimed["attempt"] });
            let tag = format!("\"{}\"", claimed["revision"]);
            let done = client.change(&path, &session, &tag, &done).await.with(200);
            assert_eq!(done.json["record"]["written_as"], "owner");
        }
    }
    let none = client.post("/v1/plans/release/claims", &session, &json!({})).await.with(200);
    assert_eq!(none.json["tasks"], json!([]));
    assert_eq!(client.get("/v1/plans/release/status").await.json["finished"], true);
    // Released in order: the term ends cleanly.
    client.ask(Method::DELETE, &format!("/v1/sessions/{session}"), &[], "").await.with(204);
    owner.until("over", SOON).await;
    assert_eq!(owner.next(SOON).await, None);
    let terms = client.get("/v1/plans/release/terms").await.json;
    assert_eq!(
        (&terms["terms"][0]["ended"]["how"], &terms["terms"][0]["deeds"]["completed"]),
        (&json!("clean"), &json!(3))
    );
    assert_eq!(client.get(&format!("/v1/sessions/{session}")).await.with(404).problem(), "no-such-session");
    env.audit().await;
}

#[case]
async fn the_watchers_knowledge_is_not_read_again(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let sidecar = sidecar(&env, "one", &["--metrics", "127.0.0.1:0"]).await;
    let client = &sidecar.client;
    let port = until("a port", SOON, async || {
        sidecar.port("metrics and probes").ok_or_else(|| sidecar.process.said())
    })
    .await;
    let mut owner = client.stream(Method::POST, "/v1/plans/release/ownership", &[], r#"{"id": "me"}"#).await;
    let session = owner.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    owner.until("granted", SOON).await;
    let mut tag = client.get(&task("1")).await.etag();
    let (before, count) = (requests(port).await, 40);
    let first = tag.clone();
    for n in 0..count {
        let change = match n {
            0 => json!({ "change": "start" }),
            n => json!({ "change": "progress", "progress": n.to_string() }),
        };
        tag = client.change(&task("1"), &session, &tag, &change).await.with(200).etag();
    }
    let asked = requests(port).await - before;
    // A watch that is late for once makes the plan be read.
    assert!((count..count * 3 / 2).contains(&asked), "{asked} requests for {count} updates");
    // What was refused is decided on what is there, and changes nothing.
    let note = json!({ "change": "progress", "progress": "stale" });
    let stale = client.change(&task("1"), &session, &first, &note).await.with(412);
    assert_eq!(stale.json["present"]["progress"], (count - 1).to_string());
    let third = client.get(&task("3")).await.etag();
    let blocked = client.change(&task("3"), &session, &third, &json!({ "change": "start" })).await.with(409);
    assert_eq!(blocked.problem(), "blocked");
    assert_eq!(client.get(&task("1")).await.etag(), tag);
    env.audit().await;
}

/// How many transactions and reads have gone to etcd.
async fn requests(port: u16) -> u64 {
    let metrics = say(port, "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let counts = metrics.lines().filter(|line| {
        line.starts_with("planlease_sidecar_etcd_requests_total")
            && (line.contains("Txn") || line.contains("Range"))
    });
    let counts: Vec<u64> = counts.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(!counts.is_empty(), "{metrics}");
    counts.into_iter().sum()
}

const TICKED: &str =
    "# Release\n\n## Phase 1: Build\n\n- [x] 1.1 build it\n- [ ] 1.2 test it (depends: 1.1)\n";

#[case]
async fn ticked_boxes_count_as_the_request_says(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let markdown = [("content-type", "text/markdown")];
    let put = async |to: &str, text: &str| {
        client.ask(Method::PUT, &format!("/v1/plans/{to}"), &markdown, text).await
    };
    let status = async |task: &str| client.get(&format!("/v1/plans/{task}")).await.json["status"].clone();
    for (to, status_then, are_done) in [
        ("default", "completed", true),
        ("pending?ticked=pending", "pending", false),
        ("done?ticked=done", "completed", true),
    ] {
        let made = put(to, TICKED).await.with(201).json;
        let import = &made["imports"][0];
        assert_eq!(
            (&import["ticked"], &import["ticked_are_done"]),
            (&json!(["1.1"]), &json!(are_done)),
            "{made}"
        );
        let plan = to.split('?').next().unwrap();
        assert_eq!(status(&format!("{plan}/tasks/1.1")).await, status_then);
        assert_eq!(status(&format!("{plan}/tasks/1.2")).await, "pending");
    }
    put("asked?ticked=ask", TICKED).await.with(400);
    // Boxes that are ticked later, and a new task that is done already.
    let later = TICKED.replace("[ ]", "[x]") + "- [x] 1.3 ship it\n";
    let plain = put("pending?update=true", &later).await.with(200).json;
    assert_eq!(plain["recorded_as_done"], json!([]), "{plain}");
    let counted = put("done?update=true&ticked=done", &later).await.with(200).json;
    assert_eq!(counted["recorded_as_done"], json!(["1.2", "1.3"]), "{counted}");
    assert_eq!(status("done/tasks/1.2").await, "skipped");
    assert_eq!(status("done/tasks/1.3").await, "completed");
    assert_eq!(status("pending/tasks/1.3").await, "pending");
    env.audit().await;
}

#[case]
async fn a_claim_without_a_session_has_the_limit_that_is_asked_for(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let start = |for_s: u64| json!({ "change": "start", "for_s": for_s });
    for wrong in [0, 40_000_000] {
        let refused = client.change(&task("1"), "", "*", &start(wrong)).await.with(400);
        assert!(refused.text.contains("for_s has to be 1 to 31536000"), "{}", refused.text);
    }
    let mut session = client.stream(Method::POST, "/v1/plans/release/ownership", &[], "{}").await;
    let id = session.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    session.until("granted", SOON).await;
    let refused = client.change(&task("1"), &id, "*", &start(60)).await.with(400);
    assert!(refused.text.contains("without a session"), "{}", refused.text);
    client.change(&task("1"), "", "*", &start(60)).await.with(200);
    client.change(&task("2"), "", "*", &json!({ "change": "start" })).await.with(200);
    let list = client.get("/v1/plans/release/tasks").await.json;
    let of =
        |n: usize| (list["tasks"][n]["claim"]["limit_s"].clone(), list["tasks"][n]["claim_left_s"].as_u64());
    let ((first, left), (second, _)) = (of(0), of(1));
    assert_eq!((first, second), (json!(60), json!(28_800)), "{list}");
    assert!(left.is_some_and(|left| (1..=60).contains(&left)), "{list}");
    assert_eq!(list["tasks"][0]["claimant_gone"], false);
    env.audit().await;
}

/// The chart's alerts and dashboard, and what a sidecar with an owned plan serves.
#[case]
async fn each_alert_is_about_a_metric_that_is_there(env: TestEnv) {
    let alerts = include_str!("../../../charts/planlease/files/alerts.yaml");
    let dashboard = include_str!("../../../charts/planlease/dashboards/planlease.json");
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let sidecar = sidecar(&env, "one", &["--metrics", "[::]:0"]).await;
    let port = until("a port", SOON, async || {
        sidecar.port("metrics and probes").ok_or_else(|| sidecar.process.said())
    })
    .await;
    let mut owner = sidecar.client.stream(Method::POST, "/v1/plans/release/ownership", &[], "{}").await;
    owner.until("granted", SOON).await;
    let seen = sidecar.client.get(&task("1")).await.etag();
    sidecar.client.change(&task("1"), "", &seen, &json!({ "change": "start" })).await;
    let metrics = say(port, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let all = format!("{alerts}{dashboard}");
    let mut names: Vec<&str> = all
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("planlease_sidecar_"))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let there = metrics
            .lines()
            .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(there, "{name}: {metrics}");
    }
}

#[case]
async fn a_late_result_is_refused_and_kept(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let open = |id: &'static str| client.stream(Method::POST, "/v1/sessions", &[], id);
    let (mut owner, mut worker) = (open(r#"{"id": "owner"}"#).await, open(r#"{"id": "worker"}"#).await);
    let [owner_id, worker_id] = [
        owner.until("session", SOON).await.data["session"].as_str().unwrap().to_owned(),
        worker.until("session", SOON).await.data["session"].as_str().unwrap().to_owned(),
    ];
    client.post("/v1/plans/release/ownership", &owner_id, &json!({})).await.with(200);
    let claimed = client.post("/v1/plans/release/claims", &worker_id, &json!({})).await.with(200);
    assert_eq!(claimed.json["tasks"][0]["task"], "1");
    // The worker dies; the owner's side of it puts the task back.
    drop(worker);
    until("the recovery of a lost worker's task", SOON, async || {
        let seen = client.get(&task("1")).await.json;
        if seen["status"] == "pending" && seen["lost"] == 1 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    assert_eq!(owner.until("recovered", SOON).await.data["tasks"], json!(["1"]));
    // What it says now is refused: its session is over.
    let late = json!({ "change": "complete", "attempt": 1, "notes": "was done after all" });
    assert_eq!(
        client.change(&task("1"), &worker_id, "*", &late).await.with(404).problem(),
        "no-such-session"
    );
    // And what the owner says of the old attempt, when there is a new one, is kept.
    client.post("/v1/plans/release/claims", &owner_id, &json!({})).await.with(200);
    let stale = client.change(&task("1"), &owner_id, "*", &late).await.with(409);
    assert_eq!(stale.problem(), "stale-attempt");
    let why = client.get(&format!("{}/why", task("1"))).await.with(200).json;
    assert_eq!(
        (&why["late"][0]["said"], &why["late"][0]["attempt"]),
        (&json!("was done after all"), &json!(1))
    );
    env.audit().await;
}

#[case]
async fn plans_are_made_read_and_deleted(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let toml = [("content-type", "application/toml")];
    let text = PLAN;
    client.ask(Method::PUT, "/v1/plans/another", &toml, text).await.with(201);
    client.ask(Method::PUT, "/v1/plans/another", &toml, text).await.with(200);
    let other = text.replace("announce", "tell");
    assert_eq!(
        client.ask(Method::PUT, "/v1/plans/another", &toml, &other).await.with(409).problem(),
        "exists"
    );
    let edited = client.ask(Method::PUT, "/v1/plans/another?update=true", &toml, &other).await.with(200);
    assert!(edited.json["revision"].is_number(), "{}", edited.text);
    for view in [
        "",
        "/status",
        "/next",
        "/deps",
        "/phases",
        "/estimate?jobs=2&guess_s=60",
        "/why",
        "/terms",
        "/locks",
        "/owner",
        "/tasks",
    ] {
        let shown = client.get(&format!("/v1/plans/another{view}")).await.with(200);
        assert!(shown.json["schema"].as_str().unwrap().starts_with("planlease."), "{view}");
    }
    assert_eq!(client.get("/v1/plans").await.json["plans"].as_array().unwrap().len(), 2);
    assert!(client.get("/openapi.json").await.with(200).json["paths"]["/v1/plans"]["get"].is_object());
    client.post("/v1/plans/another/pause", "", &json!({ "why": "lunch" })).await.with(200);
    let tag = client.get("/v1/plans/another/tasks/1").await.etag();
    let halted =
        client.change("/v1/plans/another/tasks/1", "", &tag, &json!({ "change": "start" })).await.with(409);
    assert_eq!(halted.problem(), "halted");
    client.post("/v1/plans/another/resume", "", &json!({})).await.with(200);
    let findings = "/v1/plans/another/tasks/1/findings";
    assert_eq!(client.get(findings).await.with(404).problem(), "not-found");
    client.ask(Method::PUT, findings, &[("content-type", "text/plain")], "all well").await.with(200);
    assert_eq!(client.get(findings).await.with(200).json["text"], "all well");
    client.ask(Method::DELETE, "/v1/plans/another", &[], "").await.with(200);
    assert_eq!(client.get("/v1/plans/another").await.with(404).problem(), "no-such-plan");
    env.audit().await;
}

/// A program with a session works, an operator decides; each is refused what is the other's.
#[case]
async fn an_operator_decides_about_a_programs_result(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut spec = env.coordinator().await.plan(&plan_name("release")).await.unwrap().spec().as_ref().clone();
    spec.tasks[0].approval = Some(ApprovalOf::After);
    spec.policy.budget = "5".parse().unwrap();
    env.coordinator().await.admin().edit(&plan_name("release"), &spec).await.unwrap();
    let mut worker = client.stream(Method::POST, "/v1/sessions", &[], r#"{"id": "worker"}"#).await;
    let session = worker.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    let change = async |session: &str, change: serde_json::Value| {
        client.change(&task("1"), session, "*", &change).await
    };
    change(&session, json!({ "change": "start" })).await.with(200);
    let spent = change(&session, json!({ "change": "progress", "spent": 4.5 })).await.with(200);
    assert_eq!(spent.json["record"]["budget"]["spent"], 4.5);
    for bad in ["-1", "1e12", "\"4\""] {
        let body = format!(r#"{{"change": "progress", "spent": {bad}}}"#);
        let headers = [("if-match", "*"), ("planlease-session", session.as_str())];
        client.ask(Method::PATCH, &task("1"), &headers, &body).await.with(400);
    }
    let done = change(&session, json!({ "change": "complete", "attempt": 1 })).await.with(200);
    assert_eq!(done.json["record"]["status"], "in_progress");
    assert_eq!(done.json["record"]["approval"]["waits"], 1);
    let approve = json!({ "change": "approve", "reason": "mine", "attempt": 1 });
    assert_eq!(change(&session, approve.clone()).await.with(403).problem(), "not-allowed");
    let attention = client.get("/v1/attention").await.with(200);
    assert_eq!(attention.json["attention"][0]["need"], "approval", "{}", attention.text);
    assert!(attention.text.contains("waits for approval"), "{}", attention.text);
    let rejected = change("", json!({ "change": "reject", "reason": "too short" })).await.with(200);
    assert_eq!(rejected.json["record"]["status"], "pending");
    let late = change("", approve).await.with(409);
    assert_eq!(late.problem(), "wrong-state");
    env.audit().await;
}
