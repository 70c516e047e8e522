//! Where spans of this process meet those of others: contexts go into records and come from them.
//!
//! The library reports spans through `tracing` and knows no exporter. A program that exports them installs a
//! [`Tracer`] once, which translates between spans and W3C contexts. Without one, nothing is stored, and each
//! function here is a look at a pointer.

use std::sync::OnceLock;

pub use planlease_core::trace::{InvalidTraceParent, TraceContext};
use tracing::Span;

/// Translates between spans and W3C contexts. None of its methods may block.
pub trait Tracer: Send + Sync {
    /// The context of a span; `None` if the span is not exported.
    fn context(&self, span: &Span) -> Option<TraceContext>;

    /// Makes a span a child of another process's, or of another span of this one. Called before the span is
    /// entered.
    fn set_parent(&self, span: &Span, parent: &TraceContext);

    /// Links a span to another one, which is not its parent.
    fn link(&self, span: &Span, to: &TraceContext);
}

struct Installed {
    tracer: Box<dyn Tracer>,
    inherited: Option<TraceContext>,
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// Installs the tracer of this process; the first one stays. `inherited`: the context that this process was
/// started in (`TRACEPARENT`), the parent of spans that have no other one. Returns whether it is the first.
pub fn install(tracer: Box<dyn Tracer>, inherited: Option<TraceContext>) -> bool {
    INSTALLED.set(Installed { tracer, inherited }).is_ok()
}

/// The context of a span; `None` if spans are not exported.
#[must_use]
pub fn context(span: &Span) -> Option<TraceContext> {
    INSTALLED.get()?.tracer.context(span)
}

/// The context of a span, if its trace is recorded: what is stored.
pub(crate) fn stored(span: &Span) -> Option<Box<TraceContext>> {
    context(span).filter(TraceContext::is_sampled).map(Box::new)
}

/// Makes a span that was not entered yet a child of what this context names.
pub fn set_parent(span: &Span, parent: &TraceContext) {
    if let Some(installed) = INSTALLED.get() {
        installed.tracer.set_parent(span, parent);
    }
}

/// Makes a span that was not entered yet a child of the current span; without one, of the first of these
/// contexts, or else of the one that this process was started in.
pub(crate) fn adopt(span: &Span, parent: Option<&TraceContext>) {
    let Some(installed) = INSTALLED.get() else { return };
    if installed.tracer.context(&Span::current()).is_some() {
        return;
    }
    if let Some(parent) = parent.or(installed.inherited.as_ref()) {
        installed.tracer.set_parent(span, parent);
    }
}

/// Links a span to what a record says, unless it belongs to the same trace.
pub(crate) fn link(span: &Span, to: Option<&TraceContext>) {
    let (Some(installed), Some(to)) = (INSTALLED.get(), to) else { return };
    if installed.tracer.context(span).is_some_and(|own| own.trace_id() != to.trace_id()) {
        installed.tracer.link(span, to);
    }
}
