//! Addresses of servers, as people write them.

use std::{fmt, path::PathBuf, str::FromStr};

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
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = |reason: &str| InvalidEndpoint { text: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(invalid("the path is empty"))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some((_, host)) = text.rsplit_once('@') {
            return Err(InvalidEndpoint {
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

/// A text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an endpoint: {reason}; write http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:PATH"
)]
#[non_exhaustive]
pub struct InvalidEndpoint {
    /// The text as given, without what may be a password.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
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
}
