//! Traces by OpenTelemetry's protocol (OTLP): the spans of `tracing` are exported, and nothing waits for it.
//!
//! Configured by the standard variables of OpenTelemetry. Nothing is sent unless an endpoint is configured.
//!
//! | bound | |
//! | --- | --- |
//! | spans that wait to be sent | [`QUEUE`]; further ones are dropped and counted |
//! | spans in one request | [`BATCH`] |
//! | one request | [`REQUEST`], or `OTEL_EXPORTER_OTLP_TIMEOUT` if that is shorter; a batch that fails is dropped |
//! | the end of the process | [`AT_THE_END`] for what still waits |
//! | complaints | one line of the log a minute |

mod bounds;
mod bridge;
mod export;
mod settings;
mod transport;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use planlease::trace::TraceContext;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter},
    registry::Registry,
};
use tracing::{Level, Metadata, level_filters::LevelFilter, span};
use tracing_subscriber::{Layer, filter::FilterFn, registry::LookupSpan};

pub use self::{
    bounds::{AT_THE_END, BATCH, COMPLAIN, LINGER, QUEUE, REQUEST},
    export::TraceCounts,
    settings::{Protocol, TraceSettings, UnusableTraces},
};
use self::{bridge::Bridge, export::Worker};

/// The beginning of the targets whose spans are exported: those of planlease.
const OURS: &str = "planlease";

/// The export of spans, until it is finished.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    worker: Worker,
}

impl Traces {
    /// Starts to export, on a thread of its own; nothing is connected to yet. `inherited`: the context that
    /// this process was started in. Installs itself as the tracer of the process.
    ///
    /// # Errors
    /// Why spans cannot be exported with these settings.
    pub fn start(
        settings: &TraceSettings,
        version: &'static str,
        inherited: Option<TraceContext>,
    ) -> Result<Self, UnusableTraces> {
        let resource = Resource::builder()
            .with_service_name(settings.service.clone())
            .with_attribute(KeyValue::new("service.version", version))
            .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
            .build();
        let (worker, processor) = Worker::start(settings.clone(), resource.clone())?;
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build();
        planlease::trace::install(Box::new(Bridge), inherited);
        COUNTS.get_or_init(|| worker.counts());
        Ok(Self { provider, worker })
    }

    /// What a subscriber gives spans to. It takes those of planlease from level `debug`, and of their events
    /// those from level `info`, whatever the log shows.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let filter = FilterFn::new(wanted).with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("planlease"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter)
    }

    /// Sends what still waits, for at most [`AT_THE_END`]. Blocks the thread.
    pub fn finish(self) {
        self.worker.finish(AT_THE_END);
    }
}

fn wanted(metadata: &Metadata<'_>) -> bool {
    let least = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    metadata.target().starts_with(OURS) && *metadata.level() <= least
}

/// The ids of the trace and of the span that an event belongs to, as logs show them; `None` if it is in no
/// span that is exported. `parent`: the span that the event names itself.
#[must_use]
pub fn ids(parent: Option<&span::Id>) -> Option<(String, String)> {
    let context = bridge::context_of(parent)?;
    Some((format!("{:032x}", context.trace_id()), format!("{:016x}", context.span_id())))
}

/// Enters what became of the spans of this process in a registry; nothing if none are exported.
pub fn register(registry: &mut Registry) {
    let Some(counts) = COUNTS.get() else { return };
    registry.register_collector(Box::new(Exported(Arc::clone(counts))));
}

/// The counts of the process, as soon as it exports.
static COUNTS: OnceLock<Arc<TraceCounts>> = OnceLock::new();

#[derive(Debug)]
struct Exported(Arc<TraceCounts>);

impl Collector for Exported {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Spans that ended, by what became of them: a collector took them, or they were dropped";
        let mut family = to.encode_descriptor("trace_spans", help, None, MetricType::Counter)?;
        for (outcome, count) in [("sent", self.0.sent()), ("dropped", self.0.dropped())] {
            ConstCounter::new(count).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }
}
