//! The console's router: the page's files, the way in, and the interface behind the gate.

use std::{collections::HashMap, fmt, sync::Arc};

use axum::{
    Router,
    extract::{Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;

use crate::{
    assets::{DENIED, ENTERED, INDEX, LOADED},
    cookie,
    gate::{Gate, SESSION},
    headers,
    refusal::Refusal,
    site::Site,
};

/// What is called when a one-time URL was used, with the path of the next one.
type Announce = Arc<dyn Fn(&str) + Send + Sync>;

/// Settings of a console.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Further names by which it may be addressed in `Host`, besides those of the loopback device.
    pub hosts: Vec<String>,
    /// Whether the page offers actions. It only shows them: what may be done, the interface decides.
    pub writes: bool,
    announce: Option<Announce>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("hosts", &self.hosts)
            .field("writes", &self.writes)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Sets the further names by which the console may be addressed.
    #[must_use]
    pub fn hosts(self, hosts: Vec<String>) -> Self {
        Self { hosts, ..self }
    }

    /// Sets whether the page offers actions.
    #[must_use]
    pub fn writes(self, writes: bool) -> Self {
        Self { writes, ..self }
    }

    /// Sets what is called with the path of the next one-time URL when one was used.
    #[must_use]
    pub fn announce(self, announce: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { announce: Some(Arc::new(announce)), ..self }
    }
}

/// A console.
///
/// ```
/// use planlease_console::{Console, Options};
///
/// let console = Console::new(Options::default());
/// let interface = axum::Router::new(); // The sidecar's.
/// let router = console.router(interface);
/// assert!(console.path().starts_with("/enter?code="));
/// # drop(router);
/// ```
#[derive(Clone, Debug)]
pub struct Console(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    site: Site,
    options: Options,
}

impl Console {
    /// A console without any browser yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner { gate: Gate::new(), site: Site::new(&options.hosts), options }))
    }

    /// The path of the one-time URL by which the next browser is let in. It is a secret until it was used.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/enter?code={}", self.0.gate.code())
    }

    /// The router: the page, and behind the gate this interface, for everything else.
    pub fn router(&self, interface: Router) -> Router {
        let console = || self.clone();
        let interface = interface.layer(middleware::from_fn_with_state(console(), let_in));
        let mut router = Router::new()
            .route(INDEX.path, get(index))
            .route("/enter", get(enter))
            .route("/leave", post(leave))
            .route("/console.json", get(settings));
        for asset in LOADED {
            router = router.route(asset.path, get(async move |headers: HeaderMap| asset.answer(&headers)));
        }
        router
            .with_state(console())
            .fallback_service(interface)
            .layer(middleware::from_fn_with_state(console(), guard))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        cookie::given(headers).is_some_and(|secret| self.0.gate.knows(secret))
    }
}

/// Stands before everything.
async fn guard(State(Console(inner)): State<Console>, request: Request, next: Next) -> Response {
    let mut response = match inner.site.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    headers::put(response.headers_mut());
    response
}

/// Stands before the interface.
async fn let_in(State(console): State<Console>, request: Request, next: Next) -> Response {
    match console.knows(request.headers()) {
        true => next.run(request).await,
        false => Refusal::NoCookie.into_response(),
    }
}

async fn index(State(console): State<Console>, headers: HeaderMap) -> Response {
    match console.knows(&headers) {
        true => INDEX.answer(&headers),
        false => denied(),
    }
}

/// Lets a browser in. The answer leads on to the page by itself: a redirection would not do, since a browser
/// that was sent here by a link of another site would follow it without the cookie.
async fn enter(
    State(console): State<Console>,
    method: Method,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let inner = &console.0;
    let code = query.get("code").map(String::as_str).unwrap_or_default();
    // A HEAD would use the code up without showing anything.
    let secret = if method == Method::GET { inner.gate.enter(code) } else { None };
    let Some(secret) = secret else {
        // A browser that was let in by this URL before is shown the page all the same.
        return if console.knows(&headers) { ENTERED.with_status(StatusCode::OK) } else { denied() };
    };
    tracing::info!("a browser was let in");
    if let Some(announce) = &inner.options.announce {
        announce(&console.path());
    }
    let mut response = ENTERED.with_status(StatusCode::OK);
    if let Some(cookie) = cookie::set(&headers, &secret, SESSION) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn denied() -> Response {
    DENIED.with_status(StatusCode::UNAUTHORIZED)
}

/// What the page has to know about itself.
async fn settings(State(console): State<Console>) -> Response {
    let settings = json!({ "writes": console.0.options.writes }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], settings).into_response()
}

/// Signs a browser out.
async fn leave(State(console): State<Console>, headers: HeaderMap) -> StatusCode {
    if let Some(secret) = cookie::given(&headers) {
        console.0.gate.leave(secret);
    }
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(router: &Router, method: Method, path: &str, cookie: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:7421");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn console() -> (Console, Router) {
        let console = Console::new(Options::default());
        let router = console.router(Router::new().route("/v1/plans", get(async || "[]")));
        (console, router)
    }

    #[tokio::test]
    async fn nothing_is_shown_without_the_cookie() {
        let (console, router) = console();
        for path in ["/", "/v1/plans", "/v1/nothing", "/enter", "/enter?code=0"] {
            let answer = ask(&router, Method::GET, path, Some("planlease_console_7421=0")).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        }
        let head = ask(&router, Method::HEAD, &console.path(), None).await;
        assert_eq!(head.status(), StatusCode::UNAUTHORIZED, "a HEAD does not use the code up");
        let entered = ask(&router, Method::GET, &console.path(), None).await;
        let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        for path in ["/", "/v1/plans"] {
            assert_eq!(
                ask(&router, Method::GET, path, Some(cookie)).await.status(),
                StatusCode::OK,
                "{path}"
            );
        }
        ask(&router, Method::POST, "/leave", Some(cookie)).await;
        let answer = ask(&router, Method::GET, "/v1/plans", Some(cookie)).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn every_answer_has_the_policy() {
        let (_, router) = console();
        for path in ["/", "/app.js", "/v1/plans", "/enter", "/nothing"] {
            let answer = ask(&router, Method::GET, path, None).await;
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        }
    }
}
