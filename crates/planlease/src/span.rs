//! The spans of tracing that last: of sessions and of ownerships, and that of an update, which is too hot for
//! an attribute. docs/operations.md lists these and those of the other operations.
//!
//! Fields are names, numbers and ids. What users write (titles, results, findings) and what is secret is not
//! among them. A span that is not enabled costs a look at a flag, and formats nothing.

use planlease_core::{
    LeaseId, OrchestratorId, PlanName, Revision,
    record::{TaskRecord, TermRecord},
    trace::TraceContext,
    view::TaskView,
};
use tracing::{Span, debug_span, field, info_span};

use crate::trace;

/// The name of the span in which a plan is acquired.
const ACQUIRE: &str = "acquire";

/// A session, from its opening to its end; what it does in the background runs in it.
pub(crate) fn session(lease: LeaseId, orchestrator: &OrchestratorId) -> Span {
    info_span!("session", session = %lease, %orchestrator)
}

/// A candidacy for the ownership of a plan: the root of the trace of a plan's run. `term` is recorded when it
/// is acquired: see [`ownership`].
pub(crate) fn acquire(lease: LeaseId, plan: &PlanName) -> Span {
    let span = debug_span!(ACQUIRE, session = %lease, %plan, term = field::Empty);
    trace::adopt(&span, None);
    span
}

/// The ownership of a plan during one term, under the session with this span and this lease. `revision`: that
/// of the owner's key; `before`: the span of the term before it, if that is known. Where spans are exported
/// it belongs to the trace of its `acquire`.
pub(crate) fn ownership(
    (session, lease): (&Span, LeaseId),
    plan: &PlanName,
    term: &TermRecord,
    revision: Revision,
    before: Option<&TraceContext>,
) -> Span {
    let (token, term, revision) = (term.token(), term.number.0, revision.get());
    let acquire = Span::current();
    if acquire.metadata().is_some_and(|span| span.name() == ACQUIRE) {
        acquire.record("term", term); // Where it is not enabled, the current span is its caller's.
    }
    let span = info_span!(parent: session, "ownership", session = %lease, %plan, term, %token, revision);
    if let Some(acquire) = trace::context(&acquire) {
        trace::set_parent(&span, &acquire);
    }
    trace::link(&span, before);
    span
}

/// One write of a task record. `session`, `trace` and `term` are those of the writer, if it has them;
/// `revision` is recorded when it is committed: see [`committed`]. Where spans are exported it is linked to
/// the attempt that it is about, unless it belongs to the same trace.
pub(crate) fn update(
    (session, plan, trace): (Option<LeaseId>, &PlanName, Option<&TraceContext>),
    task: &TaskView,
    next: &TaskRecord,
) -> Span {
    let session = session.map(field::display);
    let (term, op_id, revision) = (next.writer.term.map(|term| term.0), next.op_id, field::Empty);
    let (task, attempt, seen, status) = (&task.id, next.attempt, &task.record, next.status.as_str());
    let span = debug_span!("update", session, %plan, %task, attempt, status, term, %op_id, revision);
    trace::adopt(&span, trace);
    trace::link(&span, seen.claim.as_ref().and_then(|claim| claim.trace.as_deref()));
    span
}

/// The context that a claim is stored with: the span that its caller is in, which is the attempt's where
/// commands are run; else that of the update itself.
pub(crate) fn of_claim(update: &Span) -> Option<Box<TraceContext>> {
    trace::stored(&Span::current()).or_else(|| trace::stored(update))
}

/// Records the revision that a write was committed at.
pub(crate) fn committed(span: &Span, revision: Revision) {
    span.record("revision", revision.get());
}
