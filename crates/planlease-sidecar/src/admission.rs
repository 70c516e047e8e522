//! Who is let in. A port of the loopback device is no identity: every process of the host, and every page that a browser on
//! it shows, can connect to it.
//!
//! Over TCP a request bears the token. Over the unix socket the permissions of the socket are enough, and the kernel tells
//! who it is. Either way it has a header that no page of another site can send, no header that only pages send, and is
//! addressed to a name of this host.

use std::{fmt, net::SocketAddr, num::NonZeroU32, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderName, header};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::{
    options::Options,
    problem::{Kind, Problem},
    shared::App,
};

/// A header that a page of another site cannot send without being asked whether it may.
pub(crate) const REQUEST: HeaderName = HeaderName::from_static("planlease-request");

/// The names of the loopback device.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Somebody who could connect to the port.
    Tcp(SocketAddr),
    /// A process that may open the socket, as the kernel tells.
    Unix {
        /// Its process, if it is in this pid namespace.
        pid: Option<i32>,
        /// Its user.
        uid: u32,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { pid: Some(pid), uid } => write!(f, "process {pid} of user {uid}"),
            Self::Unix { pid: None, uid } => write!(f, "a process of user {uid}"),
        }
    }
}

/// What has to be the case for a request to be answered.
#[derive(Debug)]
pub(crate) struct Admission {
    token: Option<watch::Receiver<String>>,
    hosts: Vec<String>,
    pace: DefaultDirectRateLimiter,
}

impl Admission {
    /// As the options say.
    pub(crate) fn new(options: &Options) -> Self {
        let a_second = NonZeroU32::new(options.max_requests_per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(a_second).allow_burst(a_second.saturating_mul(TWICE));
        Self {
            token: options.token.clone(),
            hosts: LOOPBACK.iter().map(ToString::to_string).chain(options.hosts.iter().cloned()).collect(),
            pace: RateLimiter::direct(quota),
        }
    }

    /// Whether this request is answered.
    ///
    /// # Errors
    /// [`Kind::TooMany`], [`Kind::CrossSite`], [`Kind::Unauthorized`].
    pub(crate) fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<(), Problem> {
        if self.pace.check().is_err() {
            return Err(Problem::new(Kind::TooMany, "requests come too fast (--max-requests-per-second)"));
        }
        if headers.contains_key(header::ORIGIN) {
            return Err(Problem::new(Kind::CrossSite, "requests of web pages are not answered (Origin)"));
        }
        if !headers.contains_key(REQUEST) {
            return Err(Problem::new(Kind::CrossSite, "send the header Planlease-Request: true"));
        }
        if matches!(peer, Peer::Unix { .. }) {
            return Ok(());
        }
        if !self.is_ours(headers) {
            let detail = "Host is no name of this host; --allow-host allows further ones";
            return Err(Problem::new(Kind::CrossSite, detail));
        }
        let refused = |detail| Err(Problem::new(Kind::Unauthorized, detail));
        let Some(token) = &self.token else {
            return refused("over TCP nothing is answered without --token-file; use the unix socket");
        };
        let given = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        match given.strip_prefix(b"Bearer ") {
            None => refused("send Authorization: Bearer TOKEN"),
            // In constant time: how long it takes tells nothing about the token.
            Some(given) if bool::from(given.ct_eq(token.borrow().as_bytes())) => Ok(()),
            Some(_) => refused("the token is another one"),
        }
    }

    /// Whether the request is addressed to a name of this host: the name of another one may have been made to point here.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

const TWICE: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// Lets a request pass, or not.
pub(crate) async fn admit(
    State((admission, _app)): State<(Arc<Admission>, App)>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let Some(peer) = peer else {
        return Problem::new(Kind::Unauthorized, "nobody knows who that is").into_response();
    };
    match admission.admit(&peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            // The path itself may name a session, which is a secret.
            let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            tracing::warn!(%peer, route, why = problem.detail(), "refused");
            problem.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn admission() -> Admission {
        let hosts = vec!["sidecar.internal".to_owned()];
        let token = watch::Sender::new("secret".to_owned()).subscribe();
        Admission::new(&Options { token: Some(token), hosts, ..Options::default() })
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    const GOOD: [(&str, &str); 3] =
        [("host", "127.0.0.1:7420"), ("planlease-request", "true"), ("authorization", "Bearer secret")];

    fn tcp(pairs: &[(&'static str, &'static str)]) -> Option<Kind> {
        let peer = Peer::Tcp(SocketAddr::from(([127, 0, 0, 1], 9)));
        admission().admit(&peer, &headers(pairs)).err().map(|problem| problem.kind())
    }

    #[test]
    fn over_tcp_it_takes_the_token_the_header_and_a_name_of_this_host() {
        assert_eq!(tcp(&GOOD), None);
        for host in ["localhost", "LOCALHOST:1", "[::1]:7420", "sidecar.internal:80"] {
            assert_eq!(tcp(&[("host", host), GOOD[1], GOOD[2]]), None, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:7420", "", "localhost:80:80"] {
            assert_eq!(tcp(&[("host", host), GOOD[1], GOOD[2]]), Some(Kind::CrossSite), "{host}");
        }
        assert_eq!(tcp(&[GOOD[0], GOOD[2]]), Some(Kind::CrossSite));
        assert_eq!(tcp(&GOOD[1..]), Some(Kind::CrossSite));
        assert_eq!(tcp(&[GOOD[0], GOOD[1], GOOD[2], ("origin", "null")]), Some(Kind::CrossSite));
        assert_eq!(tcp(&GOOD[..2]), Some(Kind::Unauthorized));
        for token in ["Bearer secre", "Bearer secret ", "bearer secret", "secret", "Bearer "] {
            assert_eq!(tcp(&[GOOD[0], GOOD[1], ("authorization", token)]), Some(Kind::Unauthorized));
        }
    }

    #[test]
    fn without_a_token_nothing_is_answered_over_tcp() {
        let admission = Admission::new(&Options::default());
        let peer = Peer::Tcp(SocketAddr::from(([127, 0, 0, 1], 9)));
        assert!(admission.admit(&peer, &headers(&GOOD)).is_err());
    }

    #[test]
    fn the_socket_is_an_identity_but_no_page_gets_through() {
        let peer = Peer::Unix { pid: Some(7), uid: 1000 };
        let admit = |pairs: &[_]| admission().admit(&peer, &headers(pairs)).is_ok();
        assert!(admit(&[GOOD[1]]));
        assert!(!admit(&[]) && !admit(&[GOOD[1], ("origin", "http://localhost")]));
    }

    #[test]
    fn requests_that_come_too_fast_are_refused() {
        let options = Options { max_requests_per_second: 5, ..Options::default() };
        let admission = Admission::new(&options);
        let peer = Peer::Unix { pid: None, uid: 0 };
        let admitted = (0..100).filter(|_| admission.admit(&peer, &headers(&[GOOD[1]])).is_ok()).count();
        assert!((10..=12).contains(&admitted), "{admitted}");
    }
}
