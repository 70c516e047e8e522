//! What a sidecar watches: what its clients have subscribed to, for as long as they do; counted in bytes that
//! it receives from the server.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use http::Method;
use planlease::{Coordinator, Outcome, UpdateRequest};
use planlease_core::{PlanName, transition::Change};
use planlease_tests::{
    TestEnv, case,
    proxy::Proxy,
    test_env::{plan_name, task_id},
    wait::{SOON, until},
};
use serde_json::json;

use crate::helpers::{PLAN, Sidecar, say, sidecar, task};

const KIB: u64 = 1024;

/// For how long a sidecar keeps a watcher without a subscriber.
const IDLE: Duration = Duration::from_secs(30);

/// A plan file of so many tasks.
fn large(tasks: usize) -> String {
    let mut file = "title = \"Large\"\n".to_owned();
    for n in 0..tasks {
        write!(file, "[[task]]\nid = \"{n}\"\ndescription = \"do thing number {n}, with care\"\n").unwrap();
    }
    file
}

/// A sidecar whose answers from the server are counted, beside the plan `release` and one of 2,000 tasks.
async fn counted(env: TestEnv) -> (TestEnv, Proxy, Sidecar) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    env.import("large", &large(2_000)).await;
    let upstream = env.server.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::before(upstream);
    let sidecar = sidecar(&env, "one", &["--endpoints", &proxy.endpoint(), "--metrics", "127.0.0.1:0"]).await;
    (env, proxy, sidecar)
}

async fn metrics(sidecar: &Sidecar) -> BTreeMap<String, f64> {
    let port = until("a port", SOON, async || {
        sidecar.port("metrics and probes").ok_or_else(|| sidecar.process.said())
    })
    .await;
    let text = say(port, "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// The memory that it has, as the kernel says.
fn memory(sidecar: &Sidecar) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.process.id())).unwrap();
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("?").trim().to_owned()
}

async fn watches(sidecar: &Sidecar) -> f64 {
    metrics(sidecar).await["planlease_sidecar_watches"]
}

/// So many changes of a plan that no client of the sidecar has asked for.
async fn changed(coordinator: &Coordinator, plan: &PlanName, times: usize) {
    let operator = coordinator.as_operator(plan, "me");
    let changed = async |change| {
        let outcome = operator.submit(&UpdateRequest::new(task_id("0"), change)).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    };
    changed(Change::Start).await;
    for n in 0..times {
        changed(Change::Progress(format!("step {n}, {}", "x".repeat(100)))).await;
    }
}

#[case(one_at_a_time)]
async fn an_idle_sidecar_watches_nothing_and_is_ready(env: TestEnv) {
    let (env, proxy, sidecar) = counted(env).await;
    let client = &sidecar.client;
    let before = proxy.answered();
    changed(&env.coordinator().await, &plan_name("large"), 200).await;
    for path in ["/readyz", "/startupz", "/livez"] {
        client.get(path).await.with(200);
    }
    client.get(&task("1")).await.with(200);
    let bytes = proxy.answered() - before;
    assert!(bytes < 16 * KIB, "{bytes} bytes for three probes and one task");
    let metrics = metrics(&sidecar).await;
    assert_eq!(metrics["planlease_sidecar_watches"], 0.0);
    assert_eq!(metrics["planlease_sidecar_watch_connected"], 1.0);
    assert!(metrics["planlease_sidecar_etcd_silent_seconds"] < 10.0, "{metrics:?}");
    assert!(!metrics.keys().any(|name| name.contains("\"Watch\"")), "{metrics:?}");
    println!("measured: an idle sidecar beside 2,003 tasks has {}", memory(&sidecar));
}

#[case(one_at_a_time)]
async fn an_unrelated_plans_changes_cost_a_subscriber_nothing(env: TestEnv) {
    let (env, proxy, sidecar) = counted(env).await;
    let client = &sidecar.client;
    let before = proxy.answered();
    let mut events = client.stream(Method::GET, "/v1/events?plan=release", &[], "").await;
    assert_eq!(events.next(SOON).await.unwrap().name, "snapshot");
    let bytes = proxy.answered() - before;
    assert!(bytes < 16 * KIB, "{bytes} bytes for the snapshot of three tasks");
    assert_eq!(watches(&sidecar).await, 1.0);

    // Now and then the watch is asked whether it is alive.
    let before = proxy.answered();
    changed(&env.coordinator().await, &plan_name("large"), 1_000).await;
    let bytes = proxy.answered() - before;
    assert!(bytes < 8 * KIB, "{bytes} bytes for 1,000 changes of another plan");
    println!("measured: 1,000 changes of another plan cost a subscriber {bytes} bytes");
    client.change(&task("1"), "", "*", &json!({ "change": "start" })).await.with(200);
    let change = events.until("changes", SOON).await;
    assert_eq!(change.data["changes"][0]["plan"], "release");
    assert_eq!(watches(&sidecar).await, 1.0);

    // A second subscriber to the same plan has the same watch; one to everything, another.
    let mut same = client.stream(Method::GET, "/v1/events?plan=release", &[], "").await;
    same.next(SOON).await.unwrap();
    assert_eq!(watches(&sidecar).await, 1.0);
    let mut all = client.stream(Method::GET, "/v1/events", &[], "").await;
    assert_eq!(all.next(SOON).await.unwrap().data["plans"].as_array().unwrap().len(), 2);
    assert_eq!(watches(&sidecar).await, 2.0);
    drop((events, same, all));
    env.audit().await;
}

/// What is without a subscriber is kept for some time, and dropped.
#[case]
async fn a_watch_ends_some_time_after_its_last_subscriber(env: TestEnv) {
    let (env, _proxy, sidecar) = counted(env).await;
    let client = &sidecar.client;
    let mut events = client.stream(Method::GET, "/v1/events?plan=release", &[], "").await;
    events.next(SOON).await.unwrap();
    let mut all = client.stream(Method::GET, "/v1/events", &[], "").await;
    all.next(SOON).await.unwrap();
    drop(all);
    tokio::time::sleep(IDLE / 2).await;
    assert_eq!(watches(&sidecar).await, 2.0);
    until_watches(&sidecar, 1.0).await;
    client.get("/readyz").await.with(200);
    drop(events);
    until_watches(&sidecar, 0.0).await;
    client.get("/readyz").await.with(200);
    env.audit().await;
}

/// Waits until that many watches are left.
async fn until_watches(sidecar: &Sidecar, left: f64) {
    until("the end of a watch", 3 * IDLE, async || {
        let watches = watches(sidecar).await;
        if (watches - left).abs() < 0.1 { Ok(()) } else { Err(watches) }
    })
    .await;
}

/// What is read of all plans is as fresh as a read of etcd, whether a watcher runs or not, and costs less if
/// one does.
#[case(one_at_a_time)]
async fn a_running_watcher_answers_for_all_plans(env: TestEnv) {
    let (env, proxy, sidecar) = counted(env).await;
    let client = &sidecar.client;
    let mut owner = client.stream(Method::POST, "/v1/plans/release/ownership", &[], r#"{"id": "me"}"#).await;
    owner.until("granted", SOON).await;
    let listed = async || {
        let before = proxy.answered();
        let mut answers = Vec::new();
        for path in ["/v1/orchestrators", "/v1/attention"] {
            let mut answer = client.get(path).await.with(200).json;
            for one in answer["orchestrators"].as_array_mut().into_iter().flatten() {
                one["renewed_ago_s"] = json!(null); // Goes on.
            }
            answer["revision"] = json!(null);
            answers.push(answer);
        }
        (answers, proxy.answered() - before)
    };
    let (read, whole) = listed().await;
    assert_eq!(read[0]["orchestrators"][0]["owns"], json!(["release"]));
    assert!(whole > 256 * KIB, "{whole} bytes: both have read all plans");

    let mut all = client.stream(Method::GET, "/v1/events", &[], "").await;
    all.next(SOON).await.unwrap();
    let (watched, few) = listed().await;
    assert_eq!(watched, read);
    assert!(few < 8 * KIB, "{few} bytes although all plans are watched");
    println!("measured: orchestrators and attention take {whole} bytes, {few} beside a watcher");

    // Whatever was written before is in it.
    for n in 0..20 {
        let session = env.session(&format!("new-{n}")).await;
        let listed = client.get("/v1/orchestrators").await.with(200).json;
        let ids = listed["orchestrators"].as_array().unwrap().iter().map(|one| &one["orchestrator"]);
        assert!(ids.clone().any(|id| *id == json!(session.id().as_str())), "{n}: {listed}");
        session.close().await.unwrap();
    }
    drop((owner, all));
}

/// A program that names the revision which it was answered with needs no read, and no watcher.
#[case(one_at_a_time)]
async fn an_update_of_an_answered_record_reads_nothing(env: TestEnv) {
    let (_env, proxy, sidecar) = counted(env).await;
    let client = &sidecar.client;
    let mut session = client.stream(Method::POST, "/v1/sessions", &[], r#"{"id": "worker"}"#).await;
    let id = session.until("session", SOON).await.data["session"].as_str().unwrap().to_owned();
    let path = "/v1/plans/large/tasks/7";
    let seen = client.get(path).await.etag();
    let mut tag = client.change(path, &id, &seen, &json!({ "change": "start" })).await.with(200).etag();
    assert_eq!(watches(&sidecar).await, 0.0);
    let asked = async || {
        let metrics = metrics(&sidecar).await;
        let of = |method: &str| {
            let name = format!("planlease_sidecar_etcd_requests_total{{method=\"{method}\"}}");
            metrics.get(&name).copied().unwrap_or_default()
        };
        of("Txn")
    };
    let (before, bytes) = (asked().await, proxy.answered());
    for n in 0..10 {
        let body = json!({ "change": "progress", "progress": n.to_string() });
        tag = client.change(path, &id, &tag, &body).await.with(200).etag();
    }
    let (requests, bytes) = (asked().await - before, proxy.answered() - bytes);
    // Metrics ask for etcd besides, by another method.
    assert_eq!(requests, 10.0, "one transaction each");
    assert!(bytes < 10 * KIB, "{bytes} bytes for ten updates");
    // Findings and claims: of the task, not of the plan; a claim reads the plan, unless it is watched.
    let before = proxy.answered();
    let headers = [("content-type", "text/plain"), ("planlease-session", id.as_str())];
    client.ask(Method::PUT, &format!("{path}/findings"), &headers, "two of five").await.with(200);
    let bytes = proxy.answered() - before;
    assert!(bytes < 64 * KIB, "{bytes} bytes for the findings of a task");
    let mut events = client.stream(Method::GET, "/v1/events?plan=large", &[], "").await;
    events.next(SOON).await.unwrap();
    let before = proxy.answered();
    let claimed = client.post("/v1/plans/large/claims", &id, &json!({ "count": 5 })).await.with(200);
    assert_eq!(claimed.json["tasks"].as_array().unwrap().len(), 5);
    let bytes = proxy.answered() - before;
    assert!(bytes < 32 * KIB, "{bytes} bytes for a claim in a plan that is watched");
    // What is too old is refused all the same.
    let stale = client.change(path, &id, &seen, &json!({ "change": "complete" })).await.with(412);
    assert_eq!(stale.problem(), "stale-revision");
    client.change(path, &id, &tag, &json!({ "change": "complete" })).await.with(200);
    drop(session);
}

/// The watch of two plans reaches over what lies between them by name; none of that is delivered.
#[case]
async fn several_plans_have_one_watch_without_others(env: TestEnv) {
    let (env, _proxy, sidecar) = counted(env).await;
    let client = &sidecar.client;
    env.import("middle", "title = \"Between\"\n[[task]]\nid = \"0\"\ndescription = \"it\"\n").await;
    let both = "/v1/events?plan=large,release";
    let mut events = client.stream(Method::GET, both, &[], "").await;
    let snapshot = events.next(SOON).await.unwrap();
    let plans: Vec<_> =
        snapshot.data["plans"].as_array().unwrap().iter().map(|plan| plan["plan"].clone()).collect();
    assert_eq!(plans, ["large", "release"]);
    assert_eq!(watches(&sidecar).await, 1.0);

    let coordinator = env.coordinator().await;
    changed(&coordinator, &plan_name("middle"), 5).await;
    changed(&coordinator, &plan_name("large"), 0).await;
    client.change(&task("1"), "", "*", &json!({ "change": "start" })).await.with(200);
    for plan in ["large", "release"] {
        let change = events.until("changes", SOON).await;
        assert_eq!(change.data["changes"][0]["plan"], plan, "{:?}", change.data);
    }
    // One that comes back goes on where it was, also if the watch has ended meanwhile: here, of another
    // scope.
    let known = snapshot.id.unwrap().to_string();
    let headers = [("last-event-id", known.as_str())];
    let mut again = client.stream(Method::GET, "/v1/events?plan=release", &headers, "").await;
    let change = again.next(SOON).await.unwrap();
    assert_eq!((change.name.as_str(), &change.data["changes"][0]["plan"]), ("changes", &json!("release")));
    drop((events, again));
    env.audit().await;
}
