//! Which requests are answered. A port of the loopback device is no identity: every process of the host, and
//! every page that a browser on it shows, can connect to it.
//!
//! Over TCP a request bears a token. Over the unix socket the permissions of the socket are enough, and the
//! kernel names the process. Either way it has a header that no page of another site can send, no header that
//! only pages send, and is addressed to a name of this host. Behind a gate of the caller's own (the
//! console's) only the first one is asked for: the gate has looked at the rest.
//!
//! A client that is read-only may send what reads, and messages to the tools for agents, which refuse it by
//! tool.

use std::{num::NonZeroU32, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::watch;

use crate::{
    headers::{OPERATOR, REQUEST, SESSION},
    options::Options,
    origin::{Admitted, Origin, Peer},
    problem::{Kind, Problem},
    routes::MCP,
    shared::App,
    standing::Standing,
    token::Tokens,
};

/// The names of the loopback device.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What has to be the case for a request to be answered.
#[derive(Debug)]
pub(crate) struct Admission {
    tokens: Option<watch::Receiver<Tokens>>,
    hosts: Vec<String>,
    /// The clients that another gate has let in already, if there is one.
    gated: Option<Gated>,
    /// For clients.
    pace: DefaultDirectRateLimiter,
    /// For requests that are refused: they cost clients nothing of theirs.
    refused_pace: DefaultDirectRateLimiter,
}

/// Clients that another gate has let in: under which name, and what they may do.
#[derive(Debug)]
struct Gated {
    client: String,
    may_write: bool,
}

impl Admission {
    /// Behind a gate of the caller's own.
    pub(crate) fn of_gate(options: &Options, client: &str, may_write: bool) -> Self {
        Self { gated: Some(Gated { client: client.to_owned(), may_write }), ..Self::new(options) }
    }

    /// As the options say.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            gated: None,
            tokens: options.tokens.clone(),
            hosts: LOOPBACK.iter().map(ToString::to_string).chain(options.hosts.iter().cloned()).collect(),
            pace: pace(options.max_requests_per_second),
            refused_pace: pace(options.max_requests_per_second),
        }
    }

    /// Whether this request is answered, and which client it comes from. `route`: the pattern of its path,
    /// of a path that is known.
    ///
    /// # Errors
    /// [`Kind::TooMany`], [`Kind::BadRequest`], [`Kind::CrossSite`], [`Kind::Unauthorized`],
    /// [`Kind::NotAllowed`].
    pub(crate) fn admit(
        &self,
        peer: &Peer,
        method: &Method,
        route: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Admitted, Problem> {
        let checked = self.check(peer, headers).and_then(|admitted| match &admitted.read_only {
            Some(why) if !may_be_read(method, route) => Err(Problem::new(Kind::NotAllowed, why.clone())),
            _ => Ok(admitted),
        });
        match checked {
            Ok(_) if self.pace.check().is_err() => {
                Err(Problem::new(Kind::TooMany, "requests come too fast (--max-requests-per-second)"))
            }
            Err(_) if self.refused_pace.check().is_err() => {
                Err(Problem::new(Kind::TooMany, "requests that are refused come too fast"))
            }
            checked => checked,
        }
    }

    fn check(&self, peer: &Peer, headers: &HeaderMap) -> Result<Admitted, Problem> {
        if headers.get_all(header::HOST).iter().count() > 1 {
            return Err(Problem::new(Kind::BadRequest, "the request has more than one Host"));
        }
        if let Some(gated) = &self.gated {
            return gated.check(headers);
        }
        if headers.contains_key(header::ORIGIN) {
            return Err(Problem::new(Kind::CrossSite, "requests of web pages are not answered (Origin)"));
        }
        has_own_header(headers)?;
        if let Peer::Unix { pid, uid } = *peer {
            return Ok(Admitted { origin: Origin::Process { pid, uid }, read_only: None });
        }
        if !self.is_ours(headers) {
            let detail = "Host is no name of this host; --allow-host allows further ones";
            return Err(Problem::new(Kind::CrossSite, detail));
        }
        let refused = |detail| Err(Problem::new(Kind::Unauthorized, detail));
        let Some(tokens) = &self.tokens else {
            return refused("over TCP nothing is answered without --token-file; use the unix socket");
        };
        if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
            return Err(Problem::new(Kind::BadRequest, "the request has more than one Authorization"));
        }
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let Some(given) = given.strip_prefix(b"Bearer ") else {
            return refused("send Authorization: Bearer TOKEN");
        };
        let (name, may_write) = match tokens.borrow().find(given) {
            None => return refused("the token is another one"),
            Some(token) => (token.name().to_owned(), token.may_write()),
        };
        let read_only = (!may_write).then(|| {
            format!("token {name:?} is read-only: it may read and follow events, and change nothing")
        });
        Ok(Admitted { origin: Origin::Token(name), read_only })
    }

    /// Whether the request is addressed to a name of this host: the name of another one may have been made to
    /// point here.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

impl Gated {
    fn check(&self, headers: &HeaderMap) -> Result<Admitted, Problem> {
        has_own_header(headers)?;
        let Self { client, may_write } = self;
        let read_only = (!may_write).then(|| format!("the {client} is read-only here: it changes nothing"));
        Ok(Admitted { origin: Origin::Gate(client.clone()), read_only })
    }
}

/// Whether the request has the header that pages of other sites cannot send.
fn has_own_header(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.contains_key(REQUEST) {
        true => Ok(()),
        false => Err(Problem::new(Kind::CrossSite, "send the header Planlease-Request: true")),
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the request may be one that only reads. Of a message to the tools, the tool decides.
fn may_be_read(method: &Method, route: Option<&str>) -> bool {
    is_read(method) || (*method == Method::POST && route == Some(MCP))
}

/// So many a second, with bursts of twice as many.
fn pace(a_second: u32) -> DefaultDirectRateLimiter {
    let a_second = NonZeroU32::new(a_second).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(a_second).allow_burst(a_second.saturating_mul(TWICE)))
}

const TWICE: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// Lets a request pass, or not.
pub(crate) async fn admit(
    State((admission, app)): State<(Arc<Admission>, App)>,
    mut request: Request,
    next: Next,
) -> Response {
    let extensions = request.extensions();
    let (Some(peer), Some(standing)) =
        (extensions.get::<Peer>().cloned(), extensions.get::<Arc<Standing>>().cloned())
    else {
        return Problem::new(Kind::Unauthorized, "the peer of the connection is unknown").into_response();
    };
    let route = extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let admitted = admission.admit(&peer, request.method(), route, request.headers());
    let problem = match admitted.and_then(|admitted| standing.prove().map(|()| admitted)) {
        Ok(admitted) => {
            let (act, origin) = (Act::of(&request, &app), admitted.origin.clone());
            request.extensions_mut().insert(origin.clone());
            request.extensions_mut().insert(admitted);
            let response = next.run(request).await;
            if let Some(act) = act {
                act.log(&origin, response.status());
            }
            return response;
        }
        Err(problem) => problem,
    };
    // The path itself may name a session, which is a secret.
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if app.repeated.is_first(problem.detail(), peer.uid(), &peer) {
        tracing::warn!(%peer, route, why = problem.detail(), "refused");
    }
    let is_flood = problem.kind() == Kind::TooMany && !standing.is_client();
    let mut response = problem.into_response();
    if is_flood {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request that may change something, for the log.
struct Act {
    method: Method,
    route: Option<MatchedPath>,
    /// Who asks, as the client says.
    caller: Option<String>,
}

impl Act {
    fn of(request: &Request, app: &App) -> Option<Self> {
        let method = request.method().clone();
        if is_read(&method) {
            return None;
        }
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let session = text(SESSION).and_then(|id| app.sessions.get(id.parse().ok()?).ok());
        let caller = session.map(|client| client.session.id().to_string());
        let caller = caller.or_else(|| text(OPERATOR).map(str::to_owned));
        Some(Self { method, route: request.extensions().get::<MatchedPath>().cloned(), caller })
    }

    fn log(self, client: &Origin, status: StatusCode) {
        let Self { method, route, caller } = self;
        let (route, status) = (route.as_ref().map_or("none", MatchedPath::as_str), status.as_u16());
        // The work itself comes many times a second, and the records say who has done it.
        let is_work = ["/tasks", "/claims", "/heartbeat"].into_iter().any(|work| route.contains(work));
        if is_work {
            tracing::debug!(%client, caller, %method, route, status, "asked");
        } else {
            tracing::info!(%client, caller, %method, route, status, "asked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::HeaderName;

    use super::*;

    fn admission() -> Admission {
        let hosts = vec!["sidecar.internal".to_owned()];
        let tokens = Tokens::read("secret-of-sixteen", "ops look-but-do-not-touch").unwrap();
        let tokens = watch::Sender::new(tokens).subscribe();
        Admission::new(&Options { tokens: Some(tokens), hosts, ..Options::default() })
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    const GOOD: [(&str, &str); 3] = [
        ("host", "127.0.0.1:7420"),
        ("planlease-request", "true"),
        ("authorization", "Bearer secret-of-sixteen"),
    ];

    const TCP: Peer = Peer::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9));

    fn tcp(pairs: &[(&'static str, &'static str)]) -> Option<Kind> {
        let admitted = admission().admit(&TCP, &Method::POST, None, &headers(pairs));
        admitted.err().map(|problem| problem.kind())
    }

    #[test]
    fn tcp_needs_the_token_the_header_and_a_name_of_this_host() {
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
        for token in
            ["Bearer secret-of-sixtee", "Bearer secret-of-sixteen ", "bearer secret-of-sixteen", "Bearer "]
        {
            assert_eq!(tcp(&[GOOD[0], GOOD[1], ("authorization", token)]), Some(Kind::Unauthorized));
        }
    }

    #[test]
    fn headers_that_decide_come_once() {
        for second in [GOOD[0], ("host", "evil.example"), GOOD[2], ("authorization", "Bearer x")] {
            let twice = [GOOD[0], GOOD[1], GOOD[2], second];
            assert_eq!(tcp(&twice), Some(Kind::BadRequest), "{second:?}");
        }
        let unix = Peer::Unix { pid: None, uid: 0 };
        let refused = admission().admit(&unix, &Method::GET, None, &headers(&[GOOD[0], GOOD[0], GOOD[1]]));
        assert_eq!(refused.unwrap_err().kind(), Kind::BadRequest);
    }

    #[test]
    fn without_a_token_nothing_is_answered_over_tcp() {
        let admission = Admission::new(&Options::default());
        assert!(admission.admit(&TCP, &Method::GET, None, &headers(&GOOD)).is_err());
    }

    #[test]
    fn a_viewer_reads_and_changes_nothing() {
        let viewer = headers(&[GOOD[0], GOOD[1], ("authorization", "Bearer look-but-do-not-touch")]);
        let admit = |method: &Method, route: Option<&str>, headers: &HeaderMap| {
            admission().admit(&TCP, method, route, headers).map_err(|problem| problem.kind())
        };
        let (mcp, claims) = (Some(MCP), Some("/v1/plans/{plan}/claims"));
        for (method, route, may) in [
            (Method::GET, None, true),
            (Method::HEAD, claims, true),
            (Method::POST, None, false),
            (Method::POST, claims, false),
            (Method::POST, mcp, true),
            (Method::PUT, None, false),
            (Method::PATCH, None, false),
            (Method::DELETE, None, false),
            (Method::DELETE, mcp, false),
            (Method::OPTIONS, None, false),
        ] {
            match admit(&method, route, &viewer) {
                Ok(Admitted { origin, read_only }) => {
                    assert!(may, "{method} {route:?}");
                    assert_eq!(origin, Origin::Token("ops".to_owned()));
                    assert!(read_only.is_some_and(|why| why.contains("\"ops\" is read-only")));
                }
                Err(kind) => assert_eq!((may, kind), (false, Kind::NotAllowed), "{method} {route:?}"),
            }
        }
        assert_eq!(admit(&Method::POST, mcp, &headers(&GOOD)).unwrap().read_only, None);
    }

    #[test]
    fn the_socket_is_an_identity_but_no_page_gets_through() {
        let peer = Peer::Unix { pid: Some(7), uid: 1000 };
        let admit = |pairs: &[_]| admission().admit(&peer, &Method::GET, None, &headers(pairs));
        assert_eq!(admit(&[GOOD[1]]).unwrap().origin.to_string(), "uid:1000,pid:7");
        assert!(admit(&[]).is_err() && admit(&[GOOD[1], ("origin", "http://localhost")]).is_err());
    }

    #[test]
    fn a_gate_of_the_callers_own_still_asks_for_the_header() {
        let page = [("planlease-request", "true"), ("origin", "http://localhost:7421")];
        let admit = |may_write, method, pairs: &[_]| {
            let admission = Admission::of_gate(&Options::default(), "console", may_write);
            let admitted = admission.admit(&TCP, &method, None, &headers(pairs));
            admitted.map(|admitted| admitted.origin).map_err(|problem| problem.kind())
        };
        let console = || Ok(Origin::Gate("console".to_owned()));
        assert_eq!(admit(true, Method::POST, &page), console());
        assert_eq!(admit(false, Method::GET, &page), console());
        assert_eq!(admit(false, Method::POST, &page), Err(Kind::NotAllowed));
        assert_eq!(admit(true, Method::POST, &page[1..]), Err(Kind::CrossSite));
    }

    #[test]
    fn requests_that_come_too_fast_are_refused() {
        let options = Options { max_requests_per_second: 5, ..Options::default() };
        let admission = Admission::new(&options);
        let peer = Peer::Unix { pid: None, uid: 0 };
        let admit = || admission.admit(&peer, &Method::GET, None, &headers(&[GOOD[1]])).is_ok();
        let admitted = (0..100).filter(|_| admit()).count();
        assert!((10..=12).contains(&admitted), "{admitted}");
    }

    #[test]
    fn refused_requests_cost_clients_nothing() {
        let options =
            Options { max_requests_per_second: 5, tokens: admission().tokens, ..Options::default() };
        let admission = Admission::new(&options);
        let refused = |_| admission.admit(&TCP, &Method::GET, None, &headers(&GOOD[..2])).unwrap_err().kind();
        let kinds: Vec<_> = (0..100).map(refused).collect();
        assert!(kinds.contains(&Kind::Unauthorized) && kinds.contains(&Kind::TooMany));
        for _ in 0..10 {
            admission.admit(&TCP, &Method::GET, None, &headers(&GOOD)).unwrap();
        }
    }
}
