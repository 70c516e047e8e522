//! What the tests of this suite begin with: a plan, and sidecars on its store.

use std::{path::PathBuf, time::Duration};

use planlease_tests::{
    TestEnv,
    http::Client,
    program::Process,
    wait::{SOON, until},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Three tasks, the third of which waits for the first.
pub(crate) const PLAN: &str = r#"
title = "Release"

[[task]]
id = "1"
description = "tag"

[[task]]
id = "2"
description = "announce"

[[task]]
id = "3"
description = "publish"
depends_on = ["1"]
"#;

/// The token of clients over TCP.
pub(crate) const TOKEN: &str = "a-token-of-this-test";

/// A sidecar that runs.
pub(crate) struct Sidecar {
    pub(crate) process: Process,
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
}

impl Sidecar {
    /// The port in the first line of its log that starts so.
    pub(crate) fn port(&self, words: &str) -> Option<u16> {
        let said = self.process.said();
        let line = said.lines().find(|line| line.starts_with(words))?;
        line.rsplit(':').next()?.parse().ok()
    }
}

/// Starts a sidecar of that name, with these flags besides, and waits until it is ready.
pub(crate) async fn sidecar(env: &TestEnv, name: &str, flags: &[&str]) -> Sidecar {
    let socket = env.path(&format!("{name}.sock"));
    let path = socket.to_str().unwrap().to_owned();
    let args: Vec<&str> =
        ["sidecar", "--socket", &path, "--name", name].into_iter().chain(flags.iter().copied()).collect();
    let process = env.start(&args, name);
    let client = Client::of(&socket);
    until("a sidecar that is ready", SOON, async || {
        if !matches!(planlease_socket::probe(&socket), Ok(planlease_socket::Found::Live(_))) {
            return Err(process.said());
        }
        let answer = client.get("/readyz").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    Sidecar { process, client, socket }
}

/// The port of a sidecar that serves over TCP.
pub(crate) async fn with_port(sidecar: &Sidecar) -> u16 {
    until("a port", SOON, async || sidecar.port("serving on http").ok_or_else(|| sidecar.process.said()))
        .await
}

/// The environment with the plan `release` and one sidecar.
pub(crate) async fn with_sidecar(env: TestEnv) -> (TestEnv, Sidecar) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let sidecar = sidecar(&env, "one", &[]).await;
    (env, sidecar)
}

/// What is answered to these bytes.
pub(crate) async fn say(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The path of a task.
pub(crate) fn task(id: &str) -> String {
    format!("/v1/plans/release/tasks/{id}")
}
