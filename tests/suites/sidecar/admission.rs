//! Who is let in, over a real port and a real socket.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::helpers::{PLAN, TOKEN, say, sidecar, with_port};

#[case]
async fn unauthorised_requests_get_no_answer(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    std::fs::write(env.path("token"), format!("{TOKEN}\n")).unwrap();
    let token = env.path("token");
    let flags =
        ["--listen", "127.0.0.1:0", "--token-file", token.to_str().unwrap(), "--metrics", "127.0.0.1:0"];
    let sidecar = sidecar(&env, "one", &flags).await;
    let (api, metrics) = until("two ports", SOON, async || {
        sidecar
            .port("serving on http")
            .zip(sidecar.port("metrics and probes"))
            .ok_or_else(|| sidecar.process.said())
    })
    .await;
    let mode = std::fs::metadata(&sidecar.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let request = |headers: &str| {
        format!(
            "DELETE /v1/plans/release HTTP/1.1\r\nconnection: close\r\n{headers}content-length: 0\r\n\r\n"
        )
    };
    let (host, header) = ("host: localhost\r\n", "planlease-request: true\r\n");
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    for (headers, status, kind) in [
        (format!("{host}{header}"), 401, "unauthorized"),
        (format!("{host}{header}authorization: Bearer another-token-1234\r\n"), 401, "unauthorized"),
        (format!("{host}{bearer}"), 403, "cross-site"),
        (format!("host: evil.example\r\n{header}{bearer}"), 403, "cross-site"),
        (format!("{host}{header}{bearer}origin: http://localhost\r\n"), 403, "cross-site"),
    ] {
        let answer = say(api, &request(&headers)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
        assert!(answer.contains(&format!("urn:planlease:problem:{kind}")), "{headers}: {answer}");
    }
    // The port for metrics shows no plan to any client; probes and metrics are public.
    let whole = format!("{host}{header}{bearer}");
    assert!(say(metrics, &request(&whole)).await.starts_with("HTTP/1.1 404"));
    for path in ["/metrics", "/livez", "/readyz", "/startupz"] {
        let answer =
            say(metrics, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(!answer.contains(TOKEN));
    }
    assert!(
        !say(api, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200")
    );
    // Nothing was deleted, until a client with permission comes.
    assert_eq!(sidecar.client.get("/v1/plans/release").await.status, 200);
    assert!(say(api, &request(&whole)).await.starts_with("HTTP/1.1 200"));
    assert_eq!(sidecar.client.get("/v1/plans/release").await.status, 404);
    // Other addresses, and TCP without a token, are refused at the start.
    for args in [
        vec!["sidecar", "--listen", "127.0.0.1:0"],
        vec!["sidecar"],
        vec!["sidecar", "--socket", sidecar.socket.to_str().unwrap()],
        vec!["sidecar", "--listen", "0.0.0.0:0", "--token-file", token.to_str().unwrap()],
    ] {
        let refused = env.program().run(args).await;
        assert!([2, 6].contains(&refused.code.unwrap()), "{refused:?}");
    }
}

#[case]
async fn a_replaced_token_needs_no_restart(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let token = env.path("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let flags = ["--listen", "127.0.0.1:0", "--token-file", token.to_str().unwrap()];
    let sidecar = sidecar(&env, "one", &flags).await;
    let api = until("port", SOON, async || sidecar.port("serving on http").ok_or("none yet")).await;
    let list = async |token: &str| {
        let head = "host: localhost\r\nplanlease-request: true\r\nconnection: close\r\n";
        say(api, &format!("GET /v1/plans HTTP/1.1\r\n{head}authorization: Bearer {token}\r\n\r\n")).await
    };
    assert!(list(TOKEN).await.starts_with("HTTP/1.1 200"));
    // One that cannot be used changes nothing.
    std::fs::write(&token, "short").unwrap();
    until("word about it", SOON, async || {
        sidecar.process.said().contains("the tokens before stay").then_some(()).ok_or("none")
    })
    .await;
    assert!(list(TOKEN).await.starts_with("HTTP/1.1 200"));
    std::fs::write(&token, "the-next-token-of-this-test").unwrap();
    until("use of the next token", SOON, async || {
        let answer = list("the-next-token-of-this-test").await;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
    })
    .await;
    assert!(list(TOKEN).await.starts_with("HTTP/1.1 401"));
}

#[case]
async fn a_viewer_reads_only(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let (clients, viewers) = (env.path("clients"), env.path("viewers"));
    std::fs::write(&clients, format!("# ours\nci {TOKEN}\n")).unwrap();
    std::fs::write(&viewers, "wall a-token-to-look-with\n").unwrap();
    let files = [clients.to_str().unwrap(), viewers.to_str().unwrap()];
    let flags = ["--listen", "127.0.0.1:0", "--token-file", files[0], "--viewer-token-file", files[1]];
    let sidecar = sidecar(&env, "one", &flags).await;
    let port = with_port(&sidecar).await;
    let ask = async |token: &str, line: &str, more: &str| {
        let head = "host: localhost\r\nplanlease-request: true\r\nconnection: close\r\ncontent-length: 0\r\n";
        say(port, &format!("{line} HTTP/1.1\r\n{head}{more}authorization: Bearer {token}\r\n\r\n")).await
    };
    let viewer = "a-token-to-look-with";
    for path in
        ["/v1/plans", "/v1/plans/release/status", "/v1/sessions", "/v1/fleet", "/v1/drain", "/openapi.json"]
    {
        let answer = ask(viewer, &format!("GET {path}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    for line in [
        "POST /v1/drain",
        "DELETE /v1/drain",
        "POST /v1/sessions",
        "POST /v1/plans/release/ownership",
        "POST /v1/plans/release/pause",
        "POST /v1/plans/release/owner/move",
        "POST /v1/orchestrators/one/drain",
        "POST /v1/fleet/pause",
        "PUT /v1/plans/other",
        "PATCH /v1/plans/release/tasks/1",
        "PUT /v1/plans/release/tasks/1/findings",
        "DELETE /v1/plans/release",
    ] {
        let answer = ask(viewer, line, "accept: text/event-stream\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{line}: {answer}");
        assert!(answer.contains("problem:not-allowed") && answer.contains("read-only"), "{line}: {answer}");
    }
    let mut events = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = "host: localhost\r\nplanlease-request: true\r\naccept: text/event-stream\r\n";
    let asked = format!("GET /v1/events HTTP/1.1\r\n{head}authorization: Bearer {viewer}\r\n\r\n");
    events.write_all(asked.as_bytes()).await.unwrap();
    let mut said = [0; 12];
    events.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 200");
    // What the client called itself stands beside what it is, in the record and in the log.
    let paused = ask(TOKEN, "POST /v1/plans/release/pause", "planlease-operator: alice\r\n").await;
    assert!(paused.starts_with("HTTP/1.1 200"), "{paused}");
    let status = env.json(&["status", "release"]).await;
    assert!(status.to_string().contains("alice (token:ci)"), "{status}");
    assert!(sidecar.process.said().contains("token:ci"), "{}", sidecar.process.said());
    assert!(!sidecar.process.said().contains(TOKEN));
}
