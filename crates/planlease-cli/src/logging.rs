//! The log: to standard error, and only what needs a look unless more is asked for. A stream that cannot be
//! written, or is not read, stops nothing: see [`Lines`]. What could drive a terminal is replaced in it, or
//! escaped if it is JSON.

use std::io;

use planlease::core::counted;
use planlease_documents::{Printable, escape_json};
use tracing_subscriber::EnvFilter;

use crate::{
    environment::{Environment, LOG},
    lines::Lines,
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
    /// To a server's log file, which is its standard output, with times.
    File,
}

/// Starts logging: warnings; with `-v` what happens to sessions and ownerships, with `-vv` everything of
/// ours. The variable `PLANLEASE_LOG` says it in detail. A filter that cannot be read is reported and not
/// used.
pub(crate) fn start(verbose: u8, environment: &Environment, log: Log) {
    let usual = match (verbose, log) {
        (0, Log::StandardError) => "warn",
        (0, Log::File | Log::Service | Log::Json) | (1, _) => "warn,planlease=info",
        (2, _) => "info,planlease=debug",
        _ => "debug,planlease=trace",
    };
    let wanted = environment.text(LOG);
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(usual));
    let refused = filter.as_ref().err().map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(usual));
    // Its own complaint about a line that cannot be written would be a panic.
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).log_internal_errors(false);
    let stderr = move || match log {
        Log::Json => Writer { lines: Lines::to_standard_error(dropped_json), json: true },
        _ => Writer { lines: Lines::to_standard_error(dropped), json: false },
    };
    let stdout = || Writer { lines: Lines::to_standard_output(dropped), json: false };
    match log {
        Log::StandardError => subscriber.without_time().with_target(false).with_writer(stderr).init(),
        Log::File => subscriber.with_writer(stdout).init(),
        Log::Service => subscriber.with_writer(stderr).init(),
        Log::Json => subscriber.json().flatten_event(true).with_writer(stderr).init(),
    }
    if let Some(refused) = refused {
        tracing::warn!("{LOG} is not used: {refused}");
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
