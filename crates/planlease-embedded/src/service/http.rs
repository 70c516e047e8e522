//! What etcd serves over plain HTTP beside gRPC: `/health`, `/version`, `/metrics`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;

use crate::shared::Shared;
use crate::version::VERSION;

/// The version of the cluster that the version of the server belongs to.
const CLUSTER_VERSION: &str = "3.5.0";

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
const TEXT: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];

/// The paths that are served.
pub(crate) fn routes(shared: &Arc<Shared>) -> Router {
    let (healthy, counted) = (Arc::clone(shared), Arc::clone(shared));
    Router::new()
        .route("/health", get(async move || health(&healthy)))
        .route("/version", get(async || (JSON, version())))
        .route("/metrics", get(async move || (TEXT, metrics(&counted))))
}

fn health(shared: &Shared) -> (StatusCode, [(HeaderName, &'static str); 1], &'static str) {
    match shared.check_open() {
        Ok(()) => (StatusCode::OK, JSON, r#"{"health":"true","reason":""}"#),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, JSON, r#"{"health":"false","reason":"server stopped"}"#),
    }
}

fn version() -> String {
    format!(r#"{{"etcdserver":"{VERSION}","etcdcluster":"{CLUSTER_VERSION}"}}"#)
}

/// The gauges of etcd that mean something here, under etcd's names.
fn metrics(shared: &Shared) -> String {
    let activity = *shared.activity().borrow();
    let (bytes, mark) = shared.read(|engine| (engine.bytes(), engine.published()));
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    };
    gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.", &1);
    gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.", &1);
    gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes of all keys and values, history included.", &bytes);
    gauge("etcd_debugging_store_revision", "The current revision of the store.", &mark.revision);
    gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.", &activity.watches);
    gauge("etcd_debugging_lease_total", "Leases that are neither revoked nor expired.", &activity.leases);
    gauge("etcd_network_client_connections", "Open connections to all sockets.", &activity.connections);
    text
}
