//! What a companion is given over its socket: which lease, and how to reach etcd. Never in arguments or the
//! environment, which other processes can read: there may be secrets in it.

use std::{io, path::PathBuf, time::Duration};

use planlease_core::{LeaseId, Namespace};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Credentials, KeyPair, Secret, Tls};

/// The longest assignment, so that it fits into the buffer of the socket and is written without waiting for
/// its reader. Larger secrets can be given as files.
const LONGEST: usize = 64 * 1024;

/// The lease of a session, and what of its configuration is needed to revoke it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) lease: LeaseId,
    pub(super) ttl: Duration,
    endpoints: Vec<String>,
    root: String,
    namespace: Namespace,
    connect_timeout: Duration,
    request_timeout: Duration,
    tls: Option<TlsFiles>,
    user: Option<(String, Handed)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TlsFiles {
    ca: Option<Handed>,
    identity: Option<(Handed, Handed)>,
    server_name: Option<String>,
}

/// A secret as it is handed on: a file is read when it is needed, since it may be rotated.
#[derive(Serialize, Deserialize)]
enum Handed {
    Value(Vec<u8>),
    File(PathBuf),
}

impl Assignment {
    /// What the companion of this lease needs.
    ///
    /// # Errors
    /// If another process cannot make the connections of this configuration.
    pub(super) fn new(config: &Config, lease: LeaseId, ttl: Duration) -> io::Result<Self> {
        if !config.connector.is_by_sockets() {
            return Err(io::Error::other("another process cannot use the connector of this configuration"));
        }
        let tls = config.tls.as_ref().map(|tls| TlsFiles {
            ca: tls.ca.as_ref().map(Handed::from),
            identity: tls.identity.as_ref().map(|pair| ((&pair.certificate).into(), (&pair.key).into())),
            server_name: tls.server_name.clone(),
        });
        Ok(Self {
            lease,
            ttl,
            endpoints: config.endpoints.iter().map(ToString::to_string).collect(),
            root: config.root.clone(),
            namespace: config.namespace.clone(),
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            tls,
            user: config.credentials.as_ref().map(|user| (user.user.clone(), (&user.password).into())),
        })
    }

    /// The line to send.
    ///
    /// # Errors
    /// If it is longer than 64 KiB, or a path in it is not UTF-8.
    pub(super) fn to_line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        if line.len() > LONGEST {
            return Err(io::Error::other("its certificates have more than 64 KiB: give them as files"));
        }
        Ok(line)
    }

    /// Reads the line that [`Self::to_line`] made; `None` if it is not whole.
    ///
    /// # Errors
    /// If it is not such a line.
    pub(super) fn from_line(line: &[u8]) -> io::Result<Option<Self>> {
        match line.strip_suffix(b"\n") {
            Some(line) => Ok(Some(serde_json::from_slice(line)?)),
            None if line.len() >= LONGEST => Err(io::Error::other("the assignment is too long")),
            None => Ok(None),
        }
    }

    /// The configuration by which the lease is revoked, within this time.
    ///
    /// # Errors
    /// If an endpoint is none.
    pub(super) fn config(self, within: Duration) -> io::Result<Config> {
        let endpoints = self.endpoints.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let tls = self.tls.map(|tls| {
            let identity = tls
                .identity
                .map(|(certificate, key)| KeyPair { certificate: certificate.into(), key: key.into() });
            Tls::default().ca(tls.ca.map(Secret::from)).identity(identity).server_name(tls.server_name)
        });
        let user = self.user.map(|(user, password)| Credentials::of_user(user).password(password));
        Ok(Config::with_endpoints(endpoints.map_err(io::Error::other)?)
            .tls(tls)
            .credentials(user)
            .root(self.root)
            .namespace(self.namespace)
            .connect_timeout(self.connect_timeout)
            .request_timeout(self.request_timeout)
            .operation_timeout(within))
    }
}

impl From<&Secret> for Handed {
    fn from(secret: &Secret) -> Self {
        match secret {
            Secret::Value(value) => Self::Value(value.clone()),
            Secret::File(path) => Self::File(path.clone()),
        }
    }
}

impl From<Handed> for Secret {
    fn from(handed: Handed) -> Self {
        match handed {
            Handed::Value(value) => Self::Value(value),
            Handed::File(path) => Self::File(path),
        }
    }
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handed(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> LeaseId {
        LeaseId::from_wire(7).unwrap()
    }

    #[test]
    fn the_companion_reaches_etcd_as_the_session_does() {
        let endpoints = ["https://etcd-1:2379", "unix:/run/etcd.sock"].map(|text| text.parse().unwrap());
        let pair = KeyPair { certificate: Secret::File("/c".into()), key: "key".into() };
        let config = Config::with_endpoints(endpoints.to_vec())
            .tls(Tls::default().ca(Secret::File("/ca".into())).identity(pair).server_name("x".to_owned()))
            .credentials(Credentials::of_user("me").password("hunter2"))
            .root("/root")
            .namespace(Namespace::new("team").unwrap())
            .request_timeout(Duration::from_millis(1500));
        let line = Assignment::new(&config, lease(), Duration::from_secs(9)).unwrap().to_line().unwrap();
        assert!(Assignment::from_line(&line[..line.len() - 1]).unwrap().is_none(), "not whole yet");
        let read = Assignment::from_line(&line).unwrap().unwrap();
        assert_eq!((read.lease, read.ttl), (lease(), Duration::from_secs(9)));
        assert!(!format!("{read:?}").contains("hunter2"));
        let given = read.config(Duration::from_secs(5)).unwrap();
        assert_eq!(given.endpoints, config.endpoints);
        assert_eq!(given.credentials, config.credentials);
        assert_eq!((given.root, given.namespace), (config.root, config.namespace));
        assert_eq!(
            (given.request_timeout, given.operation_timeout),
            (config.request_timeout, Duration::from_secs(5))
        );
        let (given, tls) = (given.tls.unwrap(), config.tls.unwrap());
        assert_eq!((given.ca, given.server_name), (tls.ca, tls.server_name));
        assert_eq!(given.identity.unwrap().key, tls.identity.unwrap().key);
    }

    #[test]
    fn an_assignment_that_would_be_waited_for_is_refused() {
        let config = Config::default().credentials(Credentials::of_user("me").password(vec![b'x'; LONGEST]));
        let refused = Assignment::new(&config, lease(), Duration::from_secs(9)).unwrap().to_line();
        assert!(refused.unwrap_err().to_string().contains("as files"));
    }
}
