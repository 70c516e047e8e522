//! Sidecar configuration, and every bound.

use std::time::Duration;

use tokio::sync::watch;

use crate::token::Tokens;

/// Settings of a sidecar.
///
/// ```
/// let options = planlease_sidecar::Options::default().name("builder").max_sessions(16);
/// assert_eq!(options.max_sessions, 16);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What the sessions are called: `{name}-{number}`, with a random part where a program gives no name of
    /// its own.
    pub name: String,
    /// The tokens one of which a request over TCP has to bear, as they are now: they can be replaced at any
    /// time. `None`: nothing is served over TCP but health and metrics.
    pub tokens: Option<watch::Receiver<Tokens>>,
    /// Further names by which this host may be addressed in `Host`, besides those of the loopback device.
    pub hosts: Vec<String>,
    /// How many sessions there may be at once. Each renews its own lease, one message per third of the TTL.
    /// Default: 256.
    pub max_sessions: usize,
    /// How many connections of clients there may be at once, of subscribers too. Those over TCP that have
    /// shown no token yet do not count; a bound of their own holds for them. Default: 8,192.
    pub max_connections: usize,
    /// How many requests a second are answered, with bursts of twice as many; and again so many are refused
    /// with their reason. Default: 5,000.
    pub max_requests_per_second: u32,
    /// How long a client may take for the head of a request, and again for its body. Default: 10 s.
    pub patience: Duration,
    /// How long a drain may take: after that, sessions end whether their programs live or not. Default: 30 s.
    pub grace: Duration,
    /// How often a stream says that it lives while nothing happens. Default: 5 s.
    pub heartbeat: Duration,
}

/// The largest body of a request, in bytes: a plan file.
pub(crate) const MAX_BODY: usize = planlease_formats::MAX_FILE;

/// How large a body may be for the memory of small ones, in bytes.
pub(crate) const SMALL_BODY: usize = 16 * 1024;

/// How many bytes of small bodies, and of the beginnings of large ones, are in flight at once.
pub(crate) const MAX_SMALL_BODIES: usize = 16 * 1024 * 1024;

/// How many bytes of larger bodies are in flight at once.
pub(crate) const MAX_BODIES: usize = 8 * MAX_BODY;

/// The memory for reading plan files, in bytes, of all files that are read at once and so of each of them.
pub(crate) const MAX_READING: usize = 32 * MAX_BODY;

/// How many connections over TCP there may be that have shown no token yet; a newer one pushes out the
/// oldest.
pub(crate) const MAX_UNPROVEN: usize = 1_024;

/// The largest head of a request, in bytes.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// The longest time that a request may wait in the queue of a plan or a lock.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(3600);

/// How seldom a session without a connection may be heard of, at most.
pub(crate) const MAX_HEARTBEAT: Duration = Duration::from_secs(3600);

/// How many tasks one request claims, at most.
pub(crate) const MAX_CLAIM: u32 = 1_000;

/// How many pieces of news a session's stream may be behind; then its program does not read, and the session
/// ends.
pub(crate) const MAX_NEWS: usize = 1_024;

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "sidecar".to_owned(),
            tokens: None,
            hosts: Vec::new(),
            max_sessions: 256,
            max_connections: 8_192,
            max_requests_per_second: 5_000,
            patience: Duration::from_secs(10),
            grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// Sets what the sessions are called.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Sets the tokens one of which a request over TCP has to bear.
    #[must_use]
    pub fn tokens(self, tokens: impl Into<Option<watch::Receiver<Tokens>>>) -> Self {
        Self { tokens: tokens.into(), ..self }
    }

    /// Sets the further names by which this host may be addressed.
    #[must_use]
    pub fn hosts(self, hosts: Vec<String>) -> Self {
        Self { hosts, ..self }
    }

    /// Sets how many sessions there may be at once.
    #[must_use]
    pub fn max_sessions(self, sessions: usize) -> Self {
        Self { max_sessions: sessions, ..self }
    }

    /// Sets how many connections of clients there may be at once.
    #[must_use]
    pub fn max_connections(self, connections: usize) -> Self {
        Self { max_connections: connections, ..self }
    }

    /// Sets how many requests a second are answered.
    #[must_use]
    pub fn max_requests_per_second(self, requests: u32) -> Self {
        Self { max_requests_per_second: requests, ..self }
    }

    /// Sets how long a client may take for the head of a request, and again for its body.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sets how long a drain may take.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets how often a stream says that it lives while nothing happens.
    #[must_use]
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }
}
