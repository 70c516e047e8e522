//! Traces of attempts: their spans, and the context that commands find in their environment.

use planlease::{Ownership, trace::TraceContext};
use planlease_core::TaskId;
use tracing::{Span, debug_span, field};

use crate::options::env;

/// The span of an attempt at a task, from its claim until its result is recorded; inside of that of the
/// ownership. `attempt` and `result` are recorded later.
pub(crate) fn attempt(ownership: &Ownership, task: &TaskId) -> Span {
    let (plan, term, token) = (ownership.plan(), ownership.term().number.0, ownership.token());
    let (attempt, result) = (field::Empty, field::Empty);
    debug_span!(parent: ownership.span(), "attempt", %plan, %task, term, %token, attempt, result)
}

/// The variables that let a command continue a trace, in the words of W3C Trace Context. Without a context
/// it inherits those of its caller.
pub(crate) fn variables(
    context: Option<&TraceContext>,
) -> impl Iterator<Item = (&'static str, Option<String>)> {
    let variables = context.map(|context| {
        let state = context.state().map(str::to_owned);
        [(env::TRACEPARENT, Some(context.to_string())), (env::TRACESTATE, state)]
    });
    variables.into_iter().flatten()
}
