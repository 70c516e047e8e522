//! Clients that take more than their share: of requests, of connections, of memory.

use std::{sync::Arc, time::Duration};

use http::Method;
use planlease_tests::{TestEnv, case, wait::SOON};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    task::JoinSet,
};

use crate::helpers::{PLAN, Sidecar, TOKEN, say, sidecar, with_port};

/// The memory that the chart gives a sidecar, in KiB.
const LIMIT_KIB: u64 = 256 * 1024;

async fn scene(env: TestEnv, flags: &[&str]) -> (TestEnv, Sidecar, u16) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let token = env.path("token");
    std::fs::write(&token, TOKEN).unwrap();
    let all = ["--listen", "127.0.0.1:0", "--token-file", token.to_str().unwrap()];
    let all: Vec<&str> = all.into_iter().chain(flags.iter().copied()).collect();
    let sidecar = sidecar(&env, "one", &all).await;
    let port = with_port(&sidecar).await;
    (env, sidecar, port)
}

fn list(headers: &str) -> String {
    format!("GET /v1/plans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

async fn with_token(port: u16) -> String {
    say(port, &list(&format!("planlease-request: true\r\nauthorization: Bearer {TOKEN}\r\n"))).await
}

#[case(one_at_a_time)]
async fn refused_requests_cost_clients_nothing(env: TestEnv) {
    const REFUSED: usize = 1_000;
    let (_env, sidecar, port) = scene(env, &["--max-requests-per-second", "50"]).await;
    for n in 0..REFUSED {
        let headers = ["", "planlease-request: true\r\n", "origin: http://evil.example\r\n"][n % 3];
        let answer = say(port, &list(headers)).await;
        let status = &answer["HTTP/1.1 ".len()..][..3];
        assert!(["401", "403", "429"].contains(&status), "{answer}");
    }
    for n in 0..90 {
        let answer = with_token(port).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{n}: {answer}");
    }
    // The log has each reason once, and a count.
    let said = sidecar.process.until_said("more of the same", SOON).await;
    let lines = said.lines().filter(|line| line.contains("WARN")).count();
    assert!(lines <= 20, "{lines} lines for {REFUSED} requests: {said}");
}

#[case(one_at_a_time)]
async fn idle_connections_without_a_token_keep_no_client_out(env: TestEnv) {
    let (_env, sidecar, port) = scene(env, &["--max-connections", "8"]).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        if idle.len() % 30 == 0 {
            let answer = with_token(port).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{}: {answer}", idle.len());
            assert_eq!(sidecar.client.get("/v1/plans").await.status, 200);
        }
    }
}

/// The most memory that a process has had, in KiB.
fn peak(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[case(one_at_a_time)]
async fn bodies_and_files_take_bounded_memory(env: TestEnv) {
    const LARGEST: usize = 4 * 1024 * 1024;
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let sidecar = sidecar(&env, "one", &[]).await;
    let before = peak(sidecar.process.id());
    // Bodies of which one byte is missing.
    let body: Arc<[u8]> = vec![b'['; LARGEST - 1].into();
    let mut unfinished = JoinSet::new();
    for n in 0..300 {
        let (socket, body) = (sidecar.socket.clone(), Arc::clone(&body));
        unfinished.spawn(async move {
            let stream = UnixStream::connect(socket).await.unwrap();
            let (mut reading, mut writing) = stream.into_split();
            let length = if n % 2 == 0 {
                format!("content-length: {LARGEST}")
            } else {
                "transfer-encoding: chunked".to_owned()
            };
            let head = format!(
                "PUT /v1/plans/p{n} HTTP/1.1\r\nhost: localhost\r\nplanlease-request: true\r\ncontent-type: \
                 application/toml\r\n{length}\r\n\r\n"
            );
            let chunk = if n % 2 == 0 { String::new() } else { format!("{LARGEST:x}\r\n") };
            let sending = async {
                writing.write_all(head.as_bytes()).await?;
                writing.write_all(chunk.as_bytes()).await?;
                writing.write_all(&body).await?;
                std::future::pending::<std::io::Result<()>>().await
            };
            let mut answer = [0; 12];
            tokio::select! {
                biased;
                _ = reading.read_exact(&mut answer) => String::from_utf8_lossy(&answer).into_owned(),
                Err(error) = sending => panic!("{error}"),
            }
        });
    }
    // Meanwhile others are served.
    for _ in 0..20 {
        let change = serde_json::json!({ "wait_s": 0, "id": "x" });
        let refused = sidecar.client.post("/v1/plans/release/ownership", "", &change).await;
        assert_eq!(refused.problem(), "not-acceptable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while let Some(answer) = unfinished.join_next().await {
        let answer = answer.unwrap();
        assert!(["HTTP/1.1 408", "HTTP/1.1 429"].contains(&answer.as_str()), "{answer}");
    }
    let bodies = peak(sidecar.process.id());
    // Files of which every byte, or nearly, is a part.
    for (kind, text) in [
        ("application/toml", "["),
        ("application/toml", "="),
        ("application/toml", "x=[{a=1},{a=1},\n"),
        ("application/toml", "[a.a.a.a.a.a]\n"),
        ("application/toml", "x=['','','','',"),
        ("application/toml", "[[task]]\nid=\"1\"\ndescription=\"x\"\n"),
        ("text/markdown", "["),
        ("text/markdown", ">"),
        ("text/markdown", "<"),
        ("text/markdown", "a\n"),
        ("text/markdown", "- [x ] 1.1 x\n"),
    ] {
        let file: String = text.chars().cycle().take(LARGEST).collect();
        let headers = [("content-type", kind)];
        let answer = sidecar.client.ask(Method::PUT, "/v1/plans/dense", &headers, &file).await;
        assert!([413, 422].contains(&answer.status.as_u16()), "{text:?}: {}", answer.text);
    }
    let files = peak(sidecar.process.id());
    println!("measured: peak of memory: {before} KiB, with bodies {bodies} KiB, with files {files} KiB");
    assert!(files < LIMIT_KIB * 3 / 4, "{files} KiB");
    // It works on as before.
    let headers = [("content-type", "application/toml")];
    sidecar.client.ask(Method::PUT, "/v1/plans/small", &headers, PLAN).await.with(201);
}

#[case(one_at_a_time)]
async fn two_hosts_are_one_too_many(env: TestEnv) {
    let (_env, sidecar, port) = scene(env, &[]).await;
    let token = format!("planlease-request: true\r\nauthorization: Bearer {TOKEN}\r\n");
    for second in ["host: localhost\r\n", "host: evil.example\r\n", "Host:\r\n"] {
        let answer = say(port, &list(&format!("{token}{second}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{second}: {answer}");
    }
    // Over the socket, the same.
    let mut stream = UnixStream::connect(&sidecar.socket).await.unwrap();
    stream.write_all(list(&format!("{token}host: localhost\r\n")).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(with_token(port).await.starts_with("HTTP/1.1 200"));
}
