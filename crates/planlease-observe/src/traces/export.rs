//! The bounded queue of spans, and the thread that sends them. A span that does not fit is dropped and
//! counted; nothing that makes spans ever waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc as blocking,
    },
    thread,
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter as _, SpanProcessor},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};

use super::{
    bounds::{BATCH, COMPLAIN, LINGER, QUEUE, REQUEST},
    settings::{TraceSettings, UnusableTraces},
    transport,
};

/// The name of the thread that sends spans.
const THREAD: &str = "traces";

/// What became of the spans of this process.
#[derive(Debug, Default)]
pub struct TraceCounts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl TraceCounts {
    /// How many spans a collector took.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many were dropped: the queue was full, or the collector did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn add(counter: &AtomicU64, spans: usize) {
        counter.fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Takes spans as they end.
#[derive(Debug)]
pub(super) struct Processor {
    queue: mpsc::Sender<SpanData>,
    counts: Arc<TraceCounts>,
}

impl SpanProcessor for Processor {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.try_send(span).is_err() {
            TraceCounts::add(&self.counts.dropped, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(()) // `Worker::finish` ends it.
    }
}

/// The thread that sends spans.
#[derive(Debug)]
pub(super) struct Worker {
    counts: Arc<TraceCounts>,
    stop: watch::Sender<bool>,
    finished: blocking::Receiver<()>,
}

impl Worker {
    /// Starts the thread, whose exporter describes this resource.
    ///
    /// # Errors
    /// Why it cannot send anything.
    pub(super) fn start(
        settings: TraceSettings,
        resource: Resource,
    ) -> Result<(Self, Processor), UnusableTraces> {
        let counts = Arc::new(TraceCounts::default());
        let (queue, spans) = mpsc::channel(QUEUE);
        let (stop, stopping) = watch::channel(false);
        let (ready, is_ready) = blocking::channel();
        let (finish, finished) = blocking::channel();
        let counted = Arc::clone(&counts);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(UnusableTraces::Thread(error.to_string())))),
            };
            runtime.block_on(async {
                let mut exporter = match transport::exporter(&settings) {
                    Ok(exporter) => exporter,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                exporter.set_resource(&resource);
                drop(ready.send(Ok(())));
                let endpoint = settings.endpoint;
                Sending { exporter, endpoint, spans, stopping, counts: counted, complained: None }
                    .run()
                    .await;
                let _ = finish.send(()); // The process may have ended without it.
            });
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(work);
        thread.map_err(|error| UnusableTraces::Thread(error.to_string()))?;
        is_ready.recv().unwrap_or_else(|_| Err(UnusableTraces::Thread("it ended".to_owned())))?;
        let processor = Processor { queue, counts: Arc::clone(&counts) };
        Ok((Self { counts, stop, finished }, processor))
    }

    pub(super) fn counts(&self) -> Arc<TraceCounts> {
        Arc::clone(&self.counts)
    }

    /// Lets the thread send what waits, for at most this long.
    pub(super) fn finish(self, within: Duration) {
        self.stop.send_replace(true);
        let _ = self.finished.recv_timeout(within); // Then the process ends without it.
    }
}

/// What the thread does.
struct Sending {
    exporter: SpanExporter,
    endpoint: String,
    spans: mpsc::Receiver<SpanData>,
    stopping: watch::Receiver<bool>,
    counts: Arc<TraceCounts>,
    /// When a failure was last logged, and how many spans had been dropped then.
    complained: Option<(Instant, u64)>,
}

impl Sending {
    async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            let spans = batch.len();
            let failed = match timeout(REQUEST, self.exporter.export(batch)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", REQUEST.as_secs())),
            };
            match failed {
                None => TraceCounts::add(&self.counts.sent, spans),
                Some(why) => {
                    TraceCounts::add(&self.counts.dropped, spans);
                    self.complain(&why);
                }
            }
        }
    }

    /// The next spans; `None` when the process ends and none is left.
    async fn next_batch(&mut self) -> Option<Vec<SpanData>> {
        let mut batch = Vec::new();
        if !self.is_stopping() {
            tokio::select! {
                biased; // What is there is sent, also at the end.
                some = self.spans.recv_many(&mut batch, BATCH) => if some == 0 { return None },
                _ = self.stopping.wait_for(|stop| *stop) => {}
            }
        }
        let until = Instant::now() + LINGER;
        while batch.len() < BATCH && !self.is_stopping() {
            let room = BATCH - batch.len();
            tokio::select! {
                biased; // The end is noticed at once: nothing lingers then.
                _ = self.stopping.wait_for(|stop| *stop) => {}
                received = timeout_at(until, self.spans.recv_many(&mut batch, room)) => {
                    if received.is_err() || received == Ok(0) {
                        break;
                    }
                }
            }
        }
        while batch.len() < BATCH
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Whether only what waits is still sent: the end was asked for, or nothing is left that could ask.
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    /// Logs a failure, unless another one was logged a short time ago.
    fn complain(&mut self, why: &str) {
        let (now, dropped) = (Instant::now(), self.counts.dropped());
        let known = match self.complained {
            Some((at, _)) if now.duration_since(at) < COMPLAIN => return,
            Some((_, known)) => known,
            None => 0,
        };
        self.complained = Some((now, dropped));
        let spans = planlease_core::counted(dropped - known, "span");
        tracing::warn!(
            "traces are not taken by {}: {why}; {spans} dropped, the work goes on without them",
            self.endpoint
        );
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;
    use crate::traces::Protocol;

    /// Also while spans can still be made.
    #[test]
    fn the_thread_ends_when_its_handle_is_dropped() {
        let settings = TraceSettings {
            endpoint: "http://127.0.0.1:1".to_owned(),
            protocol: Protocol::Http,
            service: "test".to_owned(),
        };
        let started = Worker::start(settings, Resource::builder_empty().build());
        let (Worker { stop, finished, .. }, _processor) = started.unwrap();
        drop(stop);
        assert_eq!(finished.recv_timeout(Duration::from_mins(1)), Ok(()));
    }

    #[test]
    fn spans_that_do_not_fit_are_dropped_and_counted() {
        let (queue, mut waiting) = mpsc::channel(2);
        let counts = Arc::new(TraceCounts::default());
        let processor = Processor { queue, counts: Arc::clone(&counts) };
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(processor)
            .build();
        for _ in 0..5 {
            provider.tracer("test").start("span").end();
        }
        assert_eq!((counts.dropped(), counts.sent()), (3, 0));
        assert!(waiting.try_recv().is_ok());
        provider.tracer("test").start("span").end();
        assert_eq!(counts.dropped(), 3, "there was room again");
    }
}
