//! The log: to standard error, and only what needs a look unless more is asked for.

use tracing_subscriber::EnvFilter;

use crate::environment::{Environment, LOG};

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

/// Starts logging: warnings; with `-v` what happens to sessions and ownerships, with `-vv` everything of ours. The
/// variable `PLANLEASE_LOG` says it in detail. A filter that cannot be read is told and not used.
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
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    match log {
        Log::StandardError => {
            subscriber.without_time().with_target(false).with_writer(std::io::stderr).init()
        }
        Log::File => subscriber.with_writer(std::io::stdout).init(),
        Log::Service => subscriber.with_writer(std::io::stderr).init(),
        Log::Json => subscriber.json().flatten_event(true).with_writer(std::io::stderr).init(),
    }
    if let Some(refused) = refused {
        tracing::warn!("{LOG} is not used: {refused}");
    }
}
