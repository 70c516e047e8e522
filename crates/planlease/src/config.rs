//! Coordinator configuration: plain data, checked once.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use planlease_core::{
    MAX_DURATION, Namespace,
    session::{Timing, TimingError, default_margin},
};

pub use crate::endpoint::{Endpoint, InvalidEndpoint};
#[cfg(feature = "local-server")]
use crate::local::LocalServer;
use crate::{
    clock::{Clock, SystemClock},
    connect::{Connector, SocketConnector},
    entry::EntryPoint,
    regular,
    renewal_runtime::RenewalRuntime,
};

/// The endpoint of an etcd that runs on this machine with its own defaults.
const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// Coordinator configuration: where etcd is, and how to use it.
///
/// The default is an etcd on this machine, `http://127.0.0.1:2379`. Nothing here starts a process, except
/// `Config::local` with the feature `local-server`.
///
/// ```
/// use std::time::Duration;
///
/// use planlease::{Config, Credentials, Namespace, Secret};
///
/// let config = Config::with_endpoints(vec!["https://etcd-1:2379".parse()?, "https://etcd-2:2379".parse()?])
///     .namespace(Namespace::new("team-a")?)
///     .credentials(Credentials::of_user("planlease").password(Secret::File("/run/secrets/etcd".into())))
///     .ttl(Duration::from_secs(20))
///     .validate()?;
/// assert_eq!(config.ttl, Duration::from_secs(20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The servers: members of one cluster, in the order of preference. One is used at a time.
    pub endpoints: Vec<Endpoint>,
    /// How `https` endpoints are verified, and the client certificate. `None`: the system's roots, no client
    /// certificate.
    pub tls: Option<Tls>,
    /// The user and password of an etcd with authentication.
    pub credentials: Option<Credentials>,
    /// The key prefix of everything that planlease stores. Default: `/planlease`.
    pub root: String,
    /// The isolated key space of one team below `root`. Default: `default`.
    pub namespace: Namespace,
    /// Timeout of a new connection. Default: 3 s.
    pub connect_timeout: Duration,
    /// Timeout of one request, after which another endpoint is tried. Default: 3 s.
    pub request_timeout: Duration,
    /// Total retry budget of one operation. It also bounds how long an operation waits for its turn before:
    /// 512 are under way at a time. Default: 15 s.
    pub operation_timeout: Duration,
    /// Time to live of a session: how long after a crash its plans are free. Default: 15 s.
    pub ttl: Duration,
    /// How long before its expiry on the server a session counts as lost. Default: a tenth of the TTL, at
    /// least 0.5 s.
    pub margin: Option<Duration>,
    /// The folder in which this host remembers the stores that it has seen, to detect a restored one.
    /// Default: nothing is remembered. The command line uses the folder of the user's own server.
    pub state_folder: Option<PathBuf>,
    /// The seed of all ids and jitter, for a repeatable run. `None`: from the operating system.
    pub seed: Option<u64>,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// The source of connections.
    pub connector: Arc<dyn Connector>,
    /// Where the renewals of sessions run. Default: on a thread of their own.
    pub renewals: RenewalRuntime,
    /// The program of the companions of sessions: see [`Config::companion`]. Default: none.
    pub companion: Option<EntryPoint>,
}

impl Default for Config {
    /// Configures an etcd on this machine, `http://127.0.0.1:2379`. Starts nothing.
    fn default() -> Self {
        Self::with_endpoints(vec![Endpoint::Http(DEFAULT_ENDPOINT.to_owned())])
    }
}

impl Config {
    /// Configures the user's own local server, which is started on first use if the program `planlease` is
    /// on the path.
    #[cfg(feature = "local-server")]
    #[must_use]
    pub fn local() -> Self {
        Self::with_local_server(LocalServer::of_user())
    }

    /// Configures a local server.
    #[cfg(feature = "local-server")]
    #[must_use]
    pub fn with_local_server(server: LocalServer) -> Self {
        let endpoint = Endpoint::Unix(server.socket());
        Self::with_endpoints(vec![endpoint]).connector(Arc::new(server))
    }

    /// Configures an etcd, by the endpoints of its members.
    #[must_use]
    pub fn with_endpoints(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            tls: None,
            credentials: None,
            root: "/planlease".to_owned(),
            namespace: Namespace::default(),
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(3),
            operation_timeout: Duration::from_secs(15),
            ttl: Duration::from_secs(15),
            margin: None,
            state_folder: None,
            seed: None,
            clock: Arc::new(SystemClock),
            connector: Arc::new(SocketConnector),
            renewals: RenewalRuntime::default(),
            companion: None,
        }
    }

    /// Sets how `https` endpoints are verified, and the client certificate.
    #[must_use]
    pub fn tls(self, tls: impl Into<Option<Tls>>) -> Self {
        Self { tls: tls.into(), ..self }
    }

    /// Sets the user and password of an etcd with authentication.
    #[must_use]
    pub fn credentials(self, credentials: impl Into<Option<Credentials>>) -> Self {
        Self { credentials: credentials.into(), ..self }
    }

    /// Sets the key prefix of everything that planlease stores.
    #[must_use]
    pub fn root(self, root: impl Into<String>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Sets the isolated key space of one team below the root.
    #[must_use]
    pub fn namespace(self, namespace: Namespace) -> Self {
        Self { namespace, ..self }
    }

    /// Sets the timeout of a new connection.
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Sets the timeout of one request, after which another endpoint is tried.
    #[must_use]
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self { request_timeout, ..self }
    }

    /// Sets the total retry budget of one operation.
    #[must_use]
    pub fn operation_timeout(self, operation_timeout: Duration) -> Self {
        Self { operation_timeout, ..self }
    }

    /// Sets the time to live of a session: how long after a crash its plans are free.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// Sets how long before its expiry on the server a session counts as lost.
    #[must_use]
    pub fn margin(self, margin: impl Into<Option<Duration>>) -> Self {
        Self { margin: margin.into(), ..self }
    }

    /// Sets the folder in which this host remembers the stores that it has seen.
    #[must_use]
    pub fn state_folder(self, folder: impl Into<Option<PathBuf>>) -> Self {
        Self { state_folder: folder.into(), ..self }
    }

    /// Sets the seed of all ids and jitter, for a repeatable run.
    #[must_use]
    pub fn seed(self, seed: impl Into<Option<u64>>) -> Self {
        Self { seed: seed.into(), ..self }
    }

    /// Sets the source of time.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets the source of connections.
    #[must_use]
    pub fn connector(self, connector: Arc<dyn Connector>) -> Self {
        Self { connector, ..self }
    }

    /// Sets where the renewals of sessions run.
    #[must_use]
    pub fn renewals(self, renewals: RenewalRuntime) -> Self {
        Self { renewals, ..self }
    }

    /// Gives each session a [companion](crate::companion): a small process of this program, which leads to
    /// [`companion::run`](crate::companion::run), frees what the session has within milliseconds if this
    /// process dies. `planlease companion` is such a program: `EntryPoint { program: "planlease".into(),
    /// args: vec!["companion".into()] }`.
    ///
    /// To be used by programs whose work ends with them. Commands that outlive the program have to run under
    /// the supervisors of `planlease-orchestrator`, or be [announced](crate::companion::Announcement): the
    /// companion waits for them alone. Linux only; elsewhere, and with a connector of your own, sessions
    /// open without a companion, with a warning in the log.
    #[must_use]
    pub fn companion(self, program: impl Into<Option<EntryPoint>>) -> Self {
        Self { companion: program.into(), ..self }
    }

    /// The timing of sessions if the server grants the requested TTL.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing { ttl: self.ttl, margin: self.margin.unwrap_or_else(|| default_margin(self.ttl)) }
    }

    /// Checks the settings and the relations between them.
    ///
    /// # Errors
    /// [`ConfigError`], with the numbers.
    pub fn validate(self) -> Result<Self, ConfigError> {
        if self.endpoints.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        if self.root.trim_end_matches('/').is_empty() || !self.root.starts_with('/') {
            return Err(ConfigError::Root { root: self.root });
        }
        let durations = [
            ("connect timeout", self.connect_timeout),
            ("request timeout", self.request_timeout),
            ("operation timeout", self.operation_timeout),
            ("ttl", self.ttl),
            ("margin", self.margin.unwrap_or_default()),
        ];
        if let Some((name, given)) = durations.into_iter().find(|(_, given)| *given > MAX_DURATION) {
            return Err(ConfigError::TooLong { name, given });
        }
        self.timing().validate()?;
        if self.request_timeout > self.operation_timeout {
            return Err(ConfigError::Timeouts {
                request: self.request_timeout,
                operation: self.operation_timeout,
            });
        }
        if self.tls.is_some() && !self.endpoints.iter().any(Endpoint::is_encrypted) {
            return Err(ConfigError::TlsUnused);
        }
        Ok(self)
    }
}

/// An invalid configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No endpoint is given.
    #[error("no endpoint is given")]
    NoEndpoint,
    /// An endpoint is not a valid address.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The root is not a key prefix.
    #[error("the root {root:?} must begin with `/` and be more than that")]
    Root {
        /// The root as given.
        root: String,
    },
    /// A duration is longer than [`MAX_DURATION`].
    #[error("the {name} ({given:?}) is longer than 10 years")]
    TooLong {
        /// Which duration.
        name: &'static str,
        /// How long it is.
        given: Duration,
    },
    /// TTL and margin do not fit each other.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The request timeout is longer than the operation timeout.
    #[error("the request timeout ({request:?}) is longer than the operation timeout ({operation:?})")]
    Timeouts {
        /// The request timeout.
        request: Duration,
        /// The operation timeout.
        operation: Duration,
    },
    /// TLS files are given, but no endpoint uses TLS.
    #[error("TLS files are given, but no endpoint begins with https://")]
    TlsUnused,
    /// The file of a certificate, a key or a password cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A TLS file cannot be used.
    #[error("cannot use the TLS files: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
}

/// TLS settings: how servers are verified, and the client certificate. All in PEM.
///
/// ```
/// use planlease::{KeyPair, Secret, Tls};
///
/// let file = |name: &str| Secret::File(format!("/etc/planlease/{name}").into());
/// let tls = Tls::default()
///     .ca(file("ca.pem"))
///     .identity(KeyPair { certificate: file("client.pem"), key: file("client-key.pem") });
/// # let _ = tls;
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// The certificate authorities that are trusted, instead of the system's.
    pub ca: Option<Secret>,
    /// The client certificate and its private key.
    pub identity: Option<KeyPair>,
    /// The name that the server's certificate must have, if not the endpoint's.
    pub server_name: Option<String>,
}

impl Tls {
    /// Trusts these certificate authorities instead of the system's.
    #[must_use]
    pub fn ca(self, ca: impl Into<Option<Secret>>) -> Self {
        Self { ca: ca.into(), ..self }
    }

    /// Sets the client certificate.
    #[must_use]
    pub fn identity(self, identity: impl Into<Option<KeyPair>>) -> Self {
        Self { identity: identity.into(), ..self }
    }

    /// Sets the name that the server's certificate must have, if not the endpoint's.
    #[must_use]
    pub fn server_name(self, name: impl Into<Option<String>>) -> Self {
        Self { server_name: name.into(), ..self }
    }
}

/// A client certificate and its private key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The certificate, with those between it and the authority.
    pub certificate: Secret,
    /// The private key.
    pub key: Secret,
}

/// A user of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password. A line break at the end of a file is no part of it.
    pub password: Secret,
}

impl Credentials {
    /// A user with an empty password.
    #[must_use]
    pub fn of_user(user: impl Into<String>) -> Self {
        Self { user: user.into(), password: Secret::Value(Vec::new()) }
    }

    /// Sets the password.
    #[must_use]
    pub fn password(self, password: impl Into<Secret>) -> Self {
        Self { password: password.into(), ..self }
    }
}

/// A certificate, key or password: a value, or a file that is read again for each new connection, so that
/// what is rotated is used without a restart. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value.
    Value(Vec<u8>),
    /// The file that holds it.
    File(PathBuf),
}

impl Secret {
    /// The longest file that is read.
    const LONGEST: u64 = 1024 * 1024;

    /// Reads the present value.
    ///
    /// # Errors
    /// [`ConfigError::Secret`] if the file cannot be read, is not a regular one, or too long.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn read(&self) -> Result<Vec<u8>, ConfigError> {
        let path = match self {
            Self::Value(value) => return Ok(value.clone()),
            Self::File(path) => path,
        };
        let (copy, path) = (path.clone(), path.clone());
        let read = tokio::task::spawn_blocking(move || Self::read_file(&copy)).await;
        let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map_err(|error| ConfigError::Secret { path, reason: error.to_string() })
    }

    /// Reads a file that holds a secret, without waiting for others: a pipe or a device is refused.
    ///
    /// # Errors
    /// If the file cannot be read, is not a regular one, or has more than 1 MiB.
    pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
        regular::read(path, Self::LONGEST)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::Value(value.into())
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::Value(value.into())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(value: Vec<u8>) -> Self {
        Self::Value(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_between_settings_are_checked_with_the_numbers() {
        let config = || Config::with_endpoints(vec!["a:1".parse().unwrap()]);
        assert!(config().validate().is_ok());
        let short = Config { ttl: Duration::from_secs(1), ..config() };
        assert!(short.validate().unwrap_err().to_string().contains("1s"));
        for long in [
            Config { ttl: Duration::MAX, ..config() },
            Config { margin: Some(Duration::MAX), ..config() },
            Config { operation_timeout: Duration::MAX, ..config() },
        ] {
            assert!(matches!(long.validate(), Err(ConfigError::TooLong { .. })));
        }
        let bare = Config { root: "/".into(), ..config() };
        assert!(matches!(bare.validate(), Err(ConfigError::Root { .. })));
        let unused = Config { tls: Some(Tls::default()), ..config() };
        assert_eq!(unused.validate().unwrap_err(), ConfigError::TlsUnused);
    }

    #[test]
    fn secrets_are_hidden() {
        let credentials = Credentials { user: "u".into(), password: "hunter2".into() };
        let tls = Tls::default().identity(KeyPair { certificate: "cert".into(), key: "hunter2".into() });
        assert!(!format!("{credentials:?} {tls:?}").contains("hunter2"));
    }
}
