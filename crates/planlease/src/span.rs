//! The spans of tracing that last: of sessions and of ownerships, and that of an update, which is too hot for
//! an attribute. docs/operations.md lists these and those of the other operations.
//!
//! Fields are names, numbers and ids. What users write (titles, results, findings) and what is secret is not
//! among them. A span that is not enabled costs a look at a flag, and formats nothing.

use planlease_core::{
    LeaseId, OrchestratorId, PlanName, Revision, TaskId,
    record::{TaskRecord, TermRecord},
};
use tracing::{Span, debug_span, field, info_span};

use crate::session::Session;

/// A session, from its opening to its end; what it does in the background runs in it.
pub(crate) fn session(lease: LeaseId, orchestrator: &OrchestratorId) -> Span {
    info_span!("session", session = %lease, %orchestrator)
}

/// The ownership of a plan during one term. `revision`: that of the owner's key.
pub(crate) fn ownership(session: &Session, plan: &PlanName, term: &TermRecord, revision: Revision) -> Span {
    let (lease, token) = (session.lease(), term.token());
    let (term, revision) = (term.number.0, revision.get());
    info_span!(parent: session.span(), "ownership", session = %lease, %plan, term, %token, revision)
}

/// One write of a task record. `session` and `term` are those of the writer, if it has them; `revision` is
/// recorded when it is committed: see [`committed`].
pub(crate) fn update(session: Option<&Session>, plan: &PlanName, task: &TaskId, next: &TaskRecord) -> Span {
    let session = session.map(|session| field::display(session.lease()));
    let (term, op_id, revision) = (next.writer.term.map(|term| term.0), next.op_id, field::Empty);
    debug_span!("update", session, %plan, %task, term, %op_id, revision)
}

/// Records the revision that a write was committed at.
pub(crate) fn committed(span: &Span, revision: Revision) {
    span.record("revision", revision.get());
}
