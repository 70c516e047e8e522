//! Coordinator configuration: plain data, checked once.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use nix::fcntl::OFlag;
use planlease_core::{
    MAX_DURATION, Namespace,
    session::{Timing, TimingError, default_margin},
};

use crate::{
    clock::{Clock, SystemClock},
    connect::{Connector, SocketConnector},
    local::LocalServer,
    renewal_runtime::RenewalRuntime,
};

/// Coordinator configuration: where etcd is, and how to use it.
///
/// The default is the user's own local server (see [`LocalServer`]); [`Config::with_endpoints`] names an
/// etcd.
#[derive(Clone, Debug)]
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
    /// Default: nothing is remembered. The command line uses the folder of the user's own server,
    /// [`LocalServer::folder`].
    pub state_folder: Option<PathBuf>,
    /// The seed of all ids and jitter, for a repeatable run. `None`: from the operating system.
    pub seed: Option<u64>,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// The source of connections.
    pub connector: Arc<dyn Connector>,
    /// Where the renewals of sessions run. Default: on a thread of their own.
    pub renewals: RenewalRuntime,
}

impl Default for Config {
    /// Configures the user's own local server, which is started on first use if the program `planlease` is on
    /// the path.
    fn default() -> Self {
        Self::local(LocalServer::of_user())
    }
}

impl Config {
    /// Configures a local server.
    #[must_use]
    pub fn local(server: LocalServer) -> Self {
        let endpoint = Endpoint::Unix(server.socket());
        Self { connector: Arc::new(server), ..Self::with_endpoints(vec![endpoint]) }
    }

    /// Configures an etcd. Starts no process.
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
        }
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
    #[error(
        "{text:?} is not an endpoint: {reason}; write http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:PATH"
    )]
    Endpoint {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
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

/// The address of one server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `http://host:port`, not encrypted.
    Http(String),
    /// `https://host:port`.
    Https(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Whether connections to it are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Https(_))
    }
}

impl FromStr for Endpoint {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let invalid =
            |reason: &str| ConfigError::Endpoint { text: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(invalid("the path is empty"))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some((_, host)) = text.rsplit_once('@') {
            return Err(ConfigError::Endpoint {
                text: format!("…@{host}"), // What stands before it may be a password.
                reason:
                    "user and password do not belong into an endpoint, but into --user and --password-file"
                        .to_owned(),
            });
        }
        let (make, rest): (fn(String) -> Self, &str) = match text.split_once("://") {
            Some(("http", rest)) => (Self::Http, rest),
            Some(("https", rest)) => (Self::Https, rest),
            Some((scheme, _)) => return Err(invalid(&format!("{scheme}:// is not supported"))),
            None => (Self::Http, text),
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains(['/', '?', '#']) {
            return Err(invalid("nothing may follow the port"));
        }
        if !rest.starts_with('[') && rest.matches(':').count() > 1 {
            return Err(invalid("an IPv6 address stands in brackets, [::1]:2379"));
        }
        let after_host = rest.rsplit_once(']').map_or(rest, |(_, after)| after);
        match after_host.rsplit_once(':') {
            None | Some((_, "")) => return Err(invalid("the port is missing")),
            Some((_, port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
                return Err(invalid(&format!("{port:?} is not a port; ports are 1 to 65535")));
            }
            Some(_) => {}
        }
        let authority: http::uri::Authority = rest.parse().map_err(|error| invalid(&format!("{error}")))?;
        Ok(make(authority.to_string()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// TLS settings: how servers are verified, and the client certificate. All in PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The certificate authorities that are trusted, instead of the system's.
    pub ca: Option<Secret>,
    /// The client certificate and its private key.
    pub identity: Option<(Secret, Secret)>,
    /// The name that the server's certificate must have, if not the endpoint's.
    pub server_name: Option<String>,
}

/// A user of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password. A line break at the end of a file is no part of it.
    pub password: Secret,
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
        let regular = |found: Metadata| match found.is_file() {
            true => Ok(found),
            false => Err(io::Error::other("it is not a regular file")),
        };
        regular(fs::metadata(path)?)?; // First, since to open a device can do something.
        // It may be another one by now; a pipe would be waited for.
        let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        regular(file.metadata()?)?;
        let mut bytes = Vec::new();
        file.take(Self::LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > Self::LONGEST {
            return Err(io::Error::other("it has more than 1 MiB"));
        }
        Ok(bytes)
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
    fn endpoints_are_parsed_as_usually_written() {
        for (text, shown) in [
            ("127.0.0.1:2379", "http://127.0.0.1:2379"),
            ("http://etcd:2379/", "http://etcd:2379"),
            ("https://[::1]:2379", "https://[::1]:2379"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("unix:///run/x.sock", "unix:/run/x.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for (text, reason) in [
            ("etcd", "the port is missing"),
            ("ftp://etcd:1", "ftp:// is not supported"),
            ("unix:", "the path is empty"),
            ("http://a b:1", "invalid"),
            ("http://etcd:99999", "\"99999\" is not a port; ports are 1 to 65535"),
            ("etcd:0", "\"0\" is not a port"),
            ("https://etcd:http", "\"http\" is not a port"),
            ("https://etcd:", "the port is missing"),
            ("http://[::1]", "the port is missing"),
            ("http://[::1]:70000", "is not a port"),
            ("::1:2379", "in brackets"),
            ("http://etcd:2379/v3", "nothing may follow the port"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_hidden() {
        for text in [
            "http://user:hunter2@etcd:2379",
            "https://user:hunter2@[::1]:2379/",
            "user:hunter2@etcd:2379",
            "http://hunter2@etcd:2379",
            "ftp://user:hunter2@etcd",
            "http://user:hunter2/@@etcd:99999",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains("--password-file"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

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
        let tls = Tls { identity: Some(("cert".into(), "hunter2".into())), ..Tls::default() };
        assert!(!format!("{credentials:?} {tls:?}").contains("hunter2"));
    }
}
