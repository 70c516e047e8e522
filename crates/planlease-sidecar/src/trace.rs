//! The spans of requests, which continue the traces of clients (`traceparent`, W3C Trace Context).

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, Method};
use planlease::trace::{self, TraceContext};
use tracing::{Instrument as _, Span, debug_span, field};

/// Answers a request that was admitted inside of its span: what it does in etcd belongs to the trace of its
/// client. A read without a context has no span; there are many of them, and nothing comes of them.
pub(crate) async fn traced(request: Request, next: Next) -> Response {
    let parent = parent(request.headers());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if parent.is_none() && reads {
        return next.run(request).await;
    }
    let span = span(&request);
    if let Some(parent) = parent {
        trace::set_parent(&span, &parent);
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    response
}

fn span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    debug_span!("request", method = %request.method(), route, status = field::Empty)
}

/// The context that a client sends; none if it cannot be read, as the standard demands.
fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let parent: TraceContext = text("traceparent")?.parse().ok()?;
    Some(parent.with_state(text("tracestate")))
}
