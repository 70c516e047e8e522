//! Requests that make no sense, come slowly, or come by the thousand: a clear answer each, nothing changed,
//! and the others do not notice.

use http::Method;
use planlease_tests::{TestEnv, case, wait::SOON};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::Instant,
};

use crate::helpers::{task, with_sidecar};

#[case(one_at_a_time)]
async fn bad_requests_change_nothing(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let before = env.coordinator().await.plan(&"release".parse().unwrap()).await.unwrap();
    let any = ("if-match", "*");
    let json = ("content-type", "application/json");
    let huge = format!(r#"{{"change": "complete", "notes": "{}"}}"#, "n".repeat(5 << 20));
    let long = format!(r#"{{"change": "skip", "reason": "{}"}}"#, "n".repeat(100_000));
    for (body, status, kind) in [
        ("{", 400, "bad-request"),
        ("[]", 400, "bad-request"),
        (r#""start""#, 400, "bad-request"),
        (r#"{"change": "explode"}"#, 400, "bad-request"),
        (r#"{"change": 7}"#, 400, "bad-request"),
        (r#"{"change": "complete", "note": "typo"}"#, 400, "bad-request"),
        (r#"{"change": "complete", "attempt": -1}"#, 400, "bad-request"),
        (r#"{"change": "complete", "attempt": "1"}"#, 400, "bad-request"),
        (r#"{"change": "fail"}"#, 400, "bad-request"),
        (&huge, 413, "too-large"),
        (&long, 422, "bad-plan"),
    ] {
        let answer = client.ask(Method::PATCH, &task("1"), &[any, json], body).await;
        let reported = body.get(..60).unwrap_or(body);
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, kind), "{reported}: {}", answer.text);
    }
    let start = r#"{"change": "start"}"#;
    for headers in [
        vec![("if-match", "7")],
        vec![("if-match", "\"1\", \"2\"")],
        vec![any, ("idempotency-key", "mine")],
        vec![any, ("planlease-session", "nobody")],
        vec![any, ("planlease-operator", "")],
    ] {
        let answer = client.ask(Method::PATCH, &task("1"), &headers, start).await.with(400);
        assert_eq!(answer.problem(), "bad-request", "{headers:?}");
    }
    // A list is not taken for the fields in their order.
    assert_eq!(
        client.post("/v1/sessions", "", &serde_json::json!([null, 9])).await.with(400).problem(),
        "bad-request"
    );
    let form = [any, ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        client.ask(Method::PATCH, &task("1"), &form, start).await.with(415).problem(),
        "unsupported-type"
    );
    for (method, path, status, kind) in [
        (Method::GET, "/v1/plans/release/tasks/9", 404, "no-such-task"),
        (Method::GET, "/v1/plans/none/tasks/1", 404, "no-such-plan"),
        (Method::GET, "/v1/plans/a%2Fb", 400, "bad-request"),
        (Method::GET, "/v1/plans/%FF", 400, "bad-request"),
        (Method::GET, "/v1/plans?al=true", 400, "bad-request"),
        (Method::GET, "/v1/plans/release/next?count=-1", 400, "bad-request"),
        (Method::GET, "/v1/sessions/7", 400, "bad-request"),
        (Method::GET, "/v2/plans", 404, "not-found"),
        (Method::PATCH, "/v1/plans/release", 405, "no-such-method"),
        (Method::GET, "/v1/events", 406, "not-acceptable"),
        (Method::POST, "/v1/plans/release/ownership", 406, "not-acceptable"),
        (Method::POST, "/v1/plans/release/claims", 403, "not-allowed"),
    ] {
        let answer = client.ask(method.clone(), path, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (status, kind),
            "{method} {path}: {}",
            answer.text
        );
    }
    let plan =
        client.ask(Method::PUT, "/v1/plans/bad", &[("content-type", "application/toml")], "title = 7").await;
    assert_eq!(plan.clone().with(422).problem(), "bad-plan");
    assert!(plan.json["problems"][0].as_str().unwrap().contains("1:"), "with its place: {}", plan.text);
    let after = env.coordinator().await.plan(&"release".parse().unwrap()).await.unwrap();
    assert_eq!(after.tasks(), before.tasks());
    env.audit().await;
}

#[case(one_at_a_time)]
async fn slow_clients_do_no_harm(env: TestEnv) {
    let (_env, sidecar) = with_sidecar(env).await;
    let mut half_open = Vec::new();
    for n in 0..1_000 {
        let mut stream = UnixStream::connect(&sidecar.socket).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET /v1/plans HTTP/1.1\r\nhost: loc").await.unwrap();
        }
        half_open.push(stream);
    }
    let mut slow = UnixStream::connect(&sidecar.socket).await.unwrap();
    let head = "PATCH /v1/plans/release/tasks/1 HTTP/1.1\r\nhost: localhost\r\nplanlease-request: true\r\nif-match: *\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    // The others are served meanwhile.
    let begun = Instant::now();
    for _ in 0..20 {
        sidecar.client.get(&task("1")).await.with(200);
    }
    println!("measured: 20 requests beside 1,000 half-open connections: {:?}", begun.elapsed());
    // Each is closed in the end; the one whose body did not come gets the reason.
    let mut said = Vec::new();
    tokio::time::timeout(SOON, slow.read_to_end(&mut said)).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("too-slow"), "{said}");
    for mut stream in half_open.into_iter().step_by(2) {
        let mut said = Vec::new();
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut said)).await;
        assert!(closed.is_ok(), "it is still open");
    }
    assert_eq!(sidecar.client.get(&task("1")).await.with(200).json["status"], "pending");
}
