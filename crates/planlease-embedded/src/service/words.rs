//! What gRPC itself refuses, in the words of gRPC for Go: clients of etcd distinguish errors by code and
//! text.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tonic::{Code, Status};

use crate::service::method::unknown;
use crate::shared::Shared;

/// The services that are served, and the bytes that etcd decodes at most.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) services: Vec<&'static str>,
    pub(crate) message_bytes_max: usize,
}

/// Passes a request on and rewrites a refusal that gRPC's layer made of it.
pub(crate) async fn in_the_words_of_etcd(
    State(words): State<Arc<Words>>,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri().clone();
    let response = next.run(request).await;
    match rewritten(&words, uri.path(), response.headers()) {
        Some(status) => status.into_http(),
        None => response,
    }
}

fn rewritten(words: &Words, path: &str, headers: &HeaderMap) -> Option<Status> {
    if !headers.contains_key(Status::GRPC_STATUS) {
        return None; // It was accepted: its status comes after the answer.
    }
    let status = Status::from_header_map(headers)?;
    match status.code() {
        Code::Unimplemented if status.message().is_empty() => Some(unknown(path, &words.services)),
        _ => too_large(&status, words.message_bytes_max),
    }
}

/// As [`in_the_words_of_etcd`], for a status in the middle of a stream.
pub(crate) fn size_in_words(shared: &Shared, status: Status) -> Status {
    too_large(&status, shared.limits.message_bytes_max()).unwrap_or(status)
}

/// The status of a message that is too large to be decoded, if that is what the status says.
fn too_large(status: &Status, max: usize) -> Option<Status> {
    let found = status.message().strip_prefix("Error, decoded message length too large: found ")?;
    let (bytes, _) = found.split_once(' ')?;
    Some(Status::resource_exhausted(format!("grpc: received message larger than max ({bytes} vs. {max})")))
}
