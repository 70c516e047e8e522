//! The export of traces, if the environment asks for it and this program was built with it (`otlp`).

#[cfg(feature = "otlp")]
pub(crate) use planlease_observe::traces::{Traces, ids};

use crate::environment::Environment;

/// Starts the export; beside it why there is none although it was asked for.
#[cfg(feature = "otlp")]
pub(crate) fn start(environment: &Environment) -> (Option<Traces>, Option<String>) {
    use planlease_observe::traces::TraceSettings;
    let started = TraceSettings::of(|name| environment.text(name)).and_then(|settings| {
        let start = |settings| Traces::start(&settings, env!("CARGO_PKG_VERSION"), inherited(environment));
        settings.map(start).transpose()
    });
    match started {
        Ok(traces) => (traces, None),
        Err(error) => (None, Some(format!("no traces are exported: {error}"))),
    }
}

/// The context that this process was started in.
#[cfg(feature = "otlp")]
fn inherited(environment: &Environment) -> Option<planlease::trace::TraceContext> {
    use planlease_orchestrator::env;
    let parent: planlease::trace::TraceContext = environment.text(env::TRACEPARENT)?.parse().ok()?;
    Some(parent.with_state(environment.text(env::TRACESTATE).as_deref()))
}

/// Without it nothing is exported.
#[cfg(not(feature = "otlp"))]
#[derive(Debug)]
pub(crate) enum Traces {}

#[cfg(not(feature = "otlp"))]
impl Traces {
    pub(crate) fn finish(self) {
        match self {}
    }
}

#[cfg(not(feature = "otlp"))]
pub(crate) fn start(environment: &Environment) -> (Option<Traces>, Option<String>) {
    let asked = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    let asked = asked.iter().any(|name| environment.get(name).is_some());
    (
        None,
        asked.then(|| "no traces are exported: this program was built without the feature otlp".to_owned()),
    )
}
