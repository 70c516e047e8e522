//! Clients that close their sending side behind a request, and wait for the answer.

use std::{path::Path, time::Duration};

use planlease_tests::{
    TestEnv, case,
    test_env::{plan_name, until_free},
    wait::{SOON, until},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use crate::helpers::{PLAN, Sidecar, TOKEN, sidecar, with_port};

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A sidecar that is silent for a minute unless something happens.
async fn with_sidecar(env: TestEnv) -> (TestEnv, Sidecar, u16) {
    let env = env.with_ttl(Duration::from_secs(60));
    env.import("release", PLAN).await;
    let token = env.path("token");
    std::fs::write(&token, TOKEN).unwrap();
    let flags = ["--listen", "127.0.0.1:0", "--token-file", token.to_str().unwrap(), "--heartbeat", "60s"];
    let sidecar = sidecar(&env, "one", &flags).await;
    let port = with_port(&sidecar).await;
    (env, sidecar, port)
}

/// Over the socket, and over TCP: sends this and closes the sending side.
async fn half_closed(sidecar: &Path, port: u16, tcp: bool, request: &str) -> Box<dyn Connection> {
    let mut connection: Box<dyn Connection> = if tcp {
        Box::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
    } else {
        Box::new(UnixStream::connect(sidecar).await.unwrap())
    };
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    connection
}

fn request(line: &str, more: &str, body: &str) -> String {
    format!(
        "{line}\r\nhost: localhost\r\nplanlease-request: true\r\nauthorization: Bearer {TOKEN}\r\n{more}content-length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

#[case]
async fn a_half_closed_request_is_served(env: TestEnv) {
    let (_env, sidecar, port) = with_sidecar(env).await;
    let json = "content-type: application/json\r\nif-match: *\r\n";
    for tcp in [false, true] {
        for (line, more, body, status) in [
            ("GET /v1/plans HTTP/1.1", "", "", 200),
            ("GET /v1/plans HTTP/1.0", "", "", 200),
            ("GET /v1/plans HTTP/1.1", "connection: close\r\n", "", 200),
            ("HEAD /v1/plans HTTP/1.1", "", "", 200),
            ("GET /livez HTTP/1.1", "", "", 200),
            ("PUT /v1/plans/half HTTP/1.1", "content-type: application/toml\r\n", PLAN, 201),
            ("PATCH /v1/plans/half/tasks/1 HTTP/1.0", json, r#"{"change": "start"}"#, 200),
            ("PATCH /v1/plans/half/tasks/1 HTTP/1.1", json, r#"{"change": "complete", "attempt": 1}"#, 200),
            ("POST /v1/plans/half/pause HTTP/1.1", json, "{}", 200),
            ("DELETE /v1/plans/half HTTP/1.1", "", "", 200),
        ] {
            let asked = request(line, more, body);
            let mut connection = half_closed(&sidecar.socket, port, tcp, &asked).await;
            let mut answer = String::new();
            let reading = connection.read_to_string(&mut answer);
            tokio::time::timeout(SOON, reading).await.expect("the end of an answer").unwrap();
            let version = line.rsplit(' ').next().unwrap();
            assert!(answer.starts_with(&format!("{version} {status} ")), "{line}, TCP {tcp}: {answer:?}");
        }
    }
}

/// The last request of several on one connection, and one that comes before the answer to the one in front of
/// it; also with a body in chunks.
#[case]
async fn the_last_request_of_a_connection_may_half_close_it(env: TestEnv) {
    let (_env, sidecar, port) = with_sidecar(env).await;
    let get = request("GET /v1/plans HTTP/1.1", "", "");
    let chunked = format!(
        "PUT /v1/plans/chunked HTTP/1.1\r\nhost: localhost\r\nplanlease-request: true\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/toml\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{PLAN}\r\n0\r\n\r\n",
        PLAN.len()
    );
    for tcp in [false, true] {
        for (pause, last, status) in [(true, &get, 200), (false, &get, 200), (true, &chunked, 201)] {
            let mut connection: Box<dyn Connection> = if tcp {
                Box::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
            } else {
                Box::new(UnixStream::connect(&sidecar.socket).await.unwrap())
            };
            let mut said = String::new();
            connection.write_all(get.as_bytes()).await.unwrap();
            if pause {
                read_until(&mut connection, &mut said, "\"plans\"").await;
            }
            connection.write_all(last.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
            let reading = connection.read_to_string(&mut said);
            tokio::time::timeout(SOON, reading).await.expect("the end of the answers").unwrap();
            assert_eq!(said.matches("HTTP/1.1 ").count(), 2, "TCP {tcp}: {said}");
            assert!(said.contains(&format!("HTTP/1.1 {status} ")), "TCP {tcp}: {said}");
        }
        sidecar.client.ask(http::Method::DELETE, "/v1/plans/chunked", &[], "").await.with(200);
    }
}

/// Reads until this was said.
async fn read_until(connection: &mut Box<dyn Connection>, said: &mut String, wanted: &str) {
    let mut bytes = [0; 8192];
    while !said.contains(wanted) {
        let read = tokio::time::timeout(SOON, connection.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("no {wanted:?} in {said}")).unwrap();
        assert_ne!(read, 0, "the stream ended without {wanted:?}: {said}");
        said.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

#[case]
async fn a_half_closed_stream_of_events_goes_on(env: TestEnv) {
    let (env, sidecar, port) = with_sidecar(env).await;
    for (name, tcp) in [("unix", false), ("tcp", true)] {
        let asked = request("GET /v1/events HTTP/1.1", "accept: text/event-stream\r\n", "");
        let mut connection = half_closed(&sidecar.socket, port, tcp, &asked).await;
        let mut said = String::new();
        read_until(&mut connection, &mut said, "event: snapshot").await;
        env.import(name, PLAN).await;
        read_until(&mut connection, &mut said, "\"plan_appeared\"").await;
    }
}

#[case]
async fn a_half_closed_owner_owns_until_it_is_gone(env: TestEnv) {
    let (env, sidecar, port) = with_sidecar(env).await;
    let (coordinator, plan) = (env.coordinator().await, plan_name("release"));
    let acquire = request(
        "POST /v1/plans/release/ownership HTTP/1.1",
        "accept: text/event-stream\r\ncontent-type: application/json\r\n",
        "",
    );
    let open = request("POST /v1/sessions HTTP/1.1", "accept: text/event-stream\r\n", "");
    for tcp in [false, true] {
        let mut connection = half_closed(&sidecar.socket, port, tcp, &acquire).await;
        let mut said = String::new();
        read_until(&mut connection, &mut said, "event: granted").await;
        let owner = sidecar.client.get("/v1/plans/release/owner").await.with(200);
        assert!(owner.json["owner"]["token"].is_string(), "TCP {tcp}: {owner:?}");
        // Neither its lease nor a heartbeat ends within a minute: the connection does.
        drop(connection);
        until_free(&coordinator, &plan).await;
        let mut connection = half_closed(&sidecar.socket, port, tcp, &open).await;
        read_until(&mut connection, &mut String::new(), "event: session").await;
        drop(connection);
        until("the end of the session", SOON, async || {
            let sessions = sidecar.client.get("/v1/sessions").await.with(200).json;
            if sessions["sessions"] == serde_json::json!([]) { Ok(()) } else { Err(sessions) }
        })
        .await;
    }
}
