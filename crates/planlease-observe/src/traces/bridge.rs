//! Translates between the spans of `tracing`, those of OpenTelemetry, and W3C contexts.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use planlease::trace::{TraceContext, Tracer};
use tracing::{Span, dispatcher, span};
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, get_otel_context};

/// The tracer of the process.
pub(super) struct Bridge;

impl Tracer for Bridge {
    fn context(&self, span: &Span) -> Option<TraceContext> {
        ours(&span.context())
    }

    fn set_parent(&self, span: &Span, parent: &TraceContext) {
        // Refused for a span that is not exported, or was entered: then it stays where it is.
        drop(span.set_parent(Context::new().with_remote_span_context(theirs(parent))));
    }

    fn link(&self, span: &Span, to: &TraceContext) {
        span.add_link(theirs(to));
    }
}

/// The context of the span with this id, or else of the current one.
pub(super) fn context_of(id: Option<&span::Id>) -> Option<TraceContext> {
    let id = id.cloned().or_else(|| Span::current().id())?;
    ours(&dispatcher::get_default(|dispatch| get_otel_context(&id, dispatch))?)
}

fn ours(context: &Context) -> Option<TraceContext> {
    let span = context.span();
    let span = span.span_context();
    let trace_id = u128::from_be_bytes(span.trace_id().to_bytes());
    let span_id = u64::from_be_bytes(span.span_id().to_bytes());
    let state = span.trace_state().header();
    Some(TraceContext::new(trace_id, span_id, span.is_sampled())?.with_state(Some(&state)))
}

fn theirs(context: &TraceContext) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(context.is_sampled());
    let state = context.state().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (trace, span) = (TraceId::from(context.trace_id()), SpanId::from(context.span_id()));
    SpanContext::new(trace, span, flags, true, state)
}
