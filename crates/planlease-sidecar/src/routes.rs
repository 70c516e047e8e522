//! The table of what is served: from it come the router, the description for clients, and the labels of the metrics.

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::MethodRouter,
};
use http::Method;

use crate::{
    admission::{Admission, admit},
    api,
    problem::{Kind, Problem},
    shared::App,
};

/// One thing that can be asked for.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// With names in braces, as axum and OpenAPI both write them.
    pub(crate) path: &'static str,
    /// What it is called in generated clients.
    pub(crate) name: &'static str,
    /// What it does, in a sentence.
    pub(crate) what: &'static str,
    pub(crate) takes: Takes,
    pub(crate) gives: Gives,
    pub(crate) handler: fn() -> MethodRouter<App>,
    /// What it is asked with behind the `?`.
    pub(crate) query: Vec<Parameter>,
    /// The headers that mean something here, besides those that always do.
    pub(crate) headers: Vec<Parameter>,
    /// What can be in the way, besides what always can.
    pub(crate) problems: &'static [Kind],
}

impl Route {
    /// Something that can be asked for: by this method of this path, called so, doing this.
    pub(crate) const fn new(
        method: Method,
        path: &'static str,
        name: &'static str,
        what: &'static str,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        let (takes, gives) = (Takes::Nothing, Gives::Nothing);
        Self {
            method,
            path,
            name,
            what,
            takes,
            gives,
            handler,
            query: Vec::new(),
            headers: Vec::new(),
            problems: &[],
        }
    }

    /// With this in the body of the request.
    pub(crate) fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// With this in the answer.
    pub(crate) fn gives(self, gives: Gives) -> Self {
        Self { gives, ..self }
    }

    /// With this document in the answer.
    pub(crate) fn shows(self, schema: &'static str) -> Self {
        self.gives(Gives::Document(200, schema))
    }

    /// Asked with these behind the `?`.
    pub(crate) fn query(self, query: &[Parameter]) -> Self {
        Self { query: query.to_vec(), ..self }
    }

    /// With these headers.
    pub(crate) fn headers(self, headers: &[Parameter]) -> Self {
        Self { headers: headers.to_vec(), ..self }
    }

    /// With these problems, besides those that any request can have.
    pub(crate) fn problems(self, problems: &'static [Kind]) -> Self {
        Self { problems, ..self }
    }
}

impl Parameter {
    /// One that can be left out.
    pub(crate) const fn new(name: &'static str, kind: &'static str, what: &'static str) -> Self {
        Self { name, kind, required: false, what }
    }

    /// One that cannot.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// A parameter of a query or a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) required: bool,
    pub(crate) what: &'static str,
}

/// What is in the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    /// JSON of this description, by name.
    Json(&'static str),
    /// A file of one of these types.
    File(&'static [&'static str]),
}

/// What is in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// A document of this schema, with this status.
    Document(u16, &'static str),
    /// Nothing, with 204.
    Nothing,
    /// A stream of events, or, if none is asked for, a document.
    EventsOr(&'static str),
    /// A stream of events.
    Events,
    /// Text of this type.
    Text(&'static str),
}

/// The router of the interface, with everything that stands before it.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in api::table() {
        router = router.route(route.path, (route.handler)());
    }
    let admission = Arc::new(Admission::new(&app.options));
    router
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::NoSuchMethod, "see /openapi.json for what can")
        })
        .layer(middleware::from_fn_with_state((admission, Arc::clone(app)), admit))
        .merge(api::health::router())
        .fallback(async || Problem::new(Kind::NotFound, "see /openapi.json for what there is"))
        .layer(middleware::from_fn_with_state(Arc::clone(app), count))
        .with_state(Arc::clone(app))
}

/// The router of the port for metrics and probes. It answers everybody, and says nothing that is a secret.
pub(crate) fn metrics_router(app: &App) -> Router {
    api::health::router().merge(api::health::metrics_router()).with_state(Arc::clone(app))
}

/// Counts what is answered.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];
    let method = if known.contains(&method) { method.as_str() } else { "other" };
    app.metrics.request(method, route.as_deref().unwrap_or("none"), response.status().as_u16());
    if let Some(kind) = response.extensions().get::<Kind>() {
        app.metrics.problem(kind.slug());
    }
    response
}
