//! Over HTTP: one request, one answer, nothing kept between them (`streamable HTTP` without sessions of the
//! protocol).
//!
//! What stands before it (tokens, hosts, origins, bounds of bodies) is the program's that serves.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Full, combinators::BoxBody};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

use crate::{caller::Callers, server::Server};

/// The body of an answer.
pub type Body = BoxBody<Bytes, Infallible>;

/// Answers one request, whose body was read.
///
/// # Cancel safety If the future is dropped, a call that is under way may have been carried out: called
/// again with the same `request`, it is carried out once.
pub async fn serve_http<C: Callers>(server: Server<C>, request: Request<Bytes>) -> Response<Body> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(request.body().len())
        .disable_allowed_hosts();
    let manager = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), manager, config);
    service.handle(request.map(Full::new)).await
}
