//! The server through etcd's own client: in process, on sockets, and over restarts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail, its helpers included")]
#![expect(clippy::disallowed_methods, reason = "the runtime of a test ends its tasks")]

mod durable;
mod kv;
mod lease;
mod socket;
mod watch;

use std::time::Duration;

use etcd_client::{Client, Error};
use planlease_embedded::{Options, Server};
use tonic::Code;

/// A server in memory, and a client of it.
async fn in_memory() -> (Server, Client) {
    let server = Server::open(Options::in_memory(7)).await.unwrap();
    let client = server.client().await;
    (server, client)
}

/// The code and text of a refusal.
fn refusal<T>(result: Result<T, Error>) -> (Code, String) {
    match result.err().expect("to be refused") {
        Error::GRpcStatus(status) => (status.code(), status.message().to_owned()),
        other => panic!("not a refusal: {other}"),
    }
}

/// Waits for a future that must be ready soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("to be ready within 20 s")
}
