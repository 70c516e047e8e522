//! The log: to standard error, and only what needs a look unless more is asked for. A stream that cannot be
//! written, or is not read, stops nothing: see [`Lines`]. What could drive a terminal is replaced in it, or
//! escaped if it is JSON.

use std::{fmt, io};

use planlease::core::counted;
use planlease_documents::{Printable, escape_json};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{
    environment::{Environment, LOG, LOG_FORMAT},
    lines::Lines,
    traces::{self, Traces},
};

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// To a person's standard error.
    StandardError,
    /// To standard error, with times, as a service does.
    Service,
    /// To standard error, an object of JSON each.
    Json,
    /// Nowhere, unless more is asked for: the terminal is a screen.
    Nowhere,
    /// To a server's log file, which is its standard output, with times.
    File,
}

/// Starts logging: warnings; with `-v` what happens to sessions and ownerships, with `-vv` everything of
/// ours. The variable `PLANLEASE_LOG` says it in detail. A filter that cannot be read is reported and not
/// used. With `PLANLEASE_LOG_FORMAT=json` each line is an object, in every command: with `timestamp`,
/// `level`, `target`, `message` and the fields of the event.
/// Where traces are exported, lines of JSON have `trace_id` and `span_id` besides. What is returned is to be
/// finished at the end.
pub(crate) fn start(verbose: u8, environment: &Environment, log: Log) -> Option<Traces> {
    let log = match (log, environment.text(LOG_FORMAT).as_deref()) {
        (Log::StandardError | Log::Service, Some("json")) => Log::Json,
        (log, _) => log,
    };
    let usual = match (verbose, log) {
        (0, Log::Nowhere) => "off",
        // What rmcp warns of, its client gets as well; with the names of types, it is for developers.
        (0, Log::StandardError) => "warn,rmcp=error",
        (0, Log::File | Log::Service | Log::Json) | (1, _) => "warn,planlease=info,rmcp=error",
        (2, _) => "info,planlease=debug",
        _ => "debug,planlease=trace",
    };
    let wanted = environment.text(LOG);
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(usual));
    let refused = filter.as_ref().err().map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(usual));
    let (traces, no_traces) = match log {
        Log::File => (None, None), // The local server makes no spans.
        _ => traces::start(environment),
    };
    match &traces {
        // A filter of its own, so that the spans that are exported do not depend on what is logged.
        #[cfg(feature = "otlp")]
        Some(traces) => Registry::default().with(lines(log).with_filter(filter)).with(traces.layer()).init(),
        _ => Registry::default().with(lines(log)).with(filter).init(),
    }
    if let Some(refused) = refused {
        tracing::warn!("{LOG} is not used: {refused}");
    }
    if let Some(why) = no_traces {
        tracing::warn!("{why}");
    }
    traces
}

/// The layer that writes the lines of the log.
fn lines(log: Log) -> Box<dyn Layer<Registry> + Send + Sync> {
    // Its own complaint about a line that cannot be written would be a panic.
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false);
    let stderr = move || match log {
        Log::Json => Writer { lines: Lines::to_standard_error(dropped_json), json: true },
        _ => Writer { lines: Lines::to_standard_error(dropped), json: false },
    };
    let stdout = || Writer { lines: Lines::log_to_standard_output(dropped), json: false };
    match log {
        Log::StandardError | Log::Nowhere => {
            layer.without_time().with_target(false).with_writer(stderr).boxed()
        }
        Log::File => layer.with_writer(stdout).boxed(),
        Log::Service => layer.with_writer(stderr).boxed(),
        Log::Json => layer.json().flatten_event(true).map_event_format(WithIds).with_writer(stderr).boxed(),
    }
}

/// Adds the ids of the span that is exported to a line of JSON.
struct WithIds<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: format::Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        #[cfg(feature = "otlp")]
        if let Some((trace, span)) = traces::ids(event.parent()) {
            let (mut writer, mut line) = (writer, String::new());
            self.0.format_event(context, format::Writer::new(&mut line), event)?;
            let object = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
            return writeln!(writer, r#"{object},"trace_id":"{trace}","span_id":"{span}"}}"#);
        }
        self.0.format_event(context, writer, event)
    }
}

/// Takes the log's lines, each whole.
struct Writer {
    lines: &'static Lines,
    json: bool,
}

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = if self.json { escape_json(&text).into() } else { text };
        self.lines.add(Printable::of_others(&text));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written instead of lines that did not fit.
fn dropped(lines: u64) -> String {
    format!("{} dropped: they were not read in time\n", counted(lines, "line"))
}

/// The same as an object.
fn dropped_json(lines: u64) -> String {
    format!(
        "{}\n",
        serde_json::json!({"level": "WARN", "message": "lines were dropped: they were not read in time", "dropped": lines})
    )
}
