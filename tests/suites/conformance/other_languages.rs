//! Clients of other languages, as their programs use them: `etcd3` for Python and for Node (`tests/clients`).

use std::process::Command;
use std::time::Duration;

use planlease_tests::backend::{Backend, Server};
use planlease_tests::etcd::Etcd;
use planlease_tests::packages::Language;
use planlease_tests::plain;
use planlease_tests::program::Process;

/// How long a script may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(100);

const PYTHON: (Language, &str) = (Language::Python, "etcd3_client.py");
const NODE: (Language, &str) = (Language::Node, "etcd3_client.mjs");

#[plain(on_embedded)]
fn python_on_the_embedded_server() {
    run(Backend::Embedded, PYTHON);
}

#[plain(on_embedded)]
fn node_on_the_embedded_server() {
    run(Backend::Embedded, NODE);
}

#[plain(on_etcd)]
fn python_on_etcd() {
    run(Backend::Etcd, PYTHON);
}

#[plain(on_etcd)]
fn node_on_etcd() {
    run(Backend::Etcd, NODE);
}

/// Not the client for Python: it half-closes the stream of renewals, and the proxy ends such a stream.
#[plain(on_grpc_proxy)]
fn node_behind_a_grpc_proxy() {
    run(Backend::Proxied, NODE);
}

/// Not the client for Python: today's gRPC refuses to send a token without TLS.
#[plain(on_etcd)]
fn node_with_a_user() {
    run_with_user(NODE);
}

fn run(backend: Backend, (language, script): (Language, &str)) {
    // Before anything is timed: the packages may have to be installed first.
    if let Some(command) = language.script(script) {
        block_on(async move { passes(&backend.start().await, command).await });
    }
}

/// The same on an etcd with users, as one of them.
fn run_with_user((language, script): (Language, &str)) {
    let Some(mut command) = language.script(script) else { return };
    block_on(async move {
        let server = Server::from(Etcd::builder().start().await);
        let mut client = server.client().await;
        client.user_add("root", "secret", None).await.unwrap();
        client.role_add("root").await.unwrap();
        client.user_grant_role("root", "root").await.unwrap();
        client.auth_enable().await.unwrap();
        command.env("ETCD_USER", "root").env("ETCD_PASSWORD", "secret");
        passes(&server, command).await;
    });
}

async fn passes(server: &Server, mut command: Command) {
    let endpoint = server.endpoints()[0].clone();
    command.arg(endpoint.trim_start_matches("http://")).arg("foreign/");
    let folder = tempfile::tempdir().unwrap();
    let mut script = Process::start(command, &folder.path().join("output"));
    let ended = script.until_ended(LIMIT).await;
    assert_eq!(ended, Some(0), "{}", script.said());
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}
