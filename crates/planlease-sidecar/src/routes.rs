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
use planlease_documents::Document;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

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
    /// Whether it matters by whose right it is asked.
    pub(crate) acts: bool,
    /// What else can be in the answer, by status; `None` for nothing.
    pub(crate) also: Vec<(u16, Option<Shape>)>,
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
            acts: false,
            also: Vec::new(),
            handler,
            query: Vec::new(),
            headers: Vec::new(),
            problems: &[],
        }
    }

    /// Done by the right of a session, or of a person.
    pub(crate) fn acts(self) -> Self {
        Self { acts: true, ..self }
    }

    /// With this in the body of the request.
    pub(crate) fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// With this in the answer.
    pub(crate) fn gives(self, gives: Gives) -> Self {
        Self { gives, ..self }
    }

    /// With JSON of this type in the body of the request.
    pub(crate) fn reads<T: JsonSchema + DeserializeOwned>(self) -> Self {
        let required = serde_json::from_str::<T>("{}").is_err();
        self.takes(Takes::Json { schema: |generator| generator.subschema_for::<T>(), required })
    }

    /// With this document of the command line's in the answer.
    pub(crate) fn shows<D: Document + JsonSchema>(self) -> Self {
        self.gives(Gives::Document(200, Shape::of::<D>()))
    }

    /// With this document of the sidecar's own in the answer.
    pub(crate) fn tells<T: Own>(self) -> Self {
        self.gives(Gives::Document(200, Shape::own::<T>()))
    }

    /// With this in the answer as well, at times.
    pub(crate) fn also(mut self, status: u16, shape: Option<Shape>) -> Self {
        self.also.push((status, shape));
        self
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

/// What some JSON looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The name of its schema.
    pub(crate) name: &'static str,
    /// The schema.
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A document of the sidecar's own.
pub(crate) trait Own: Serialize + JsonSchema {
    /// The name of its schema.
    const SCHEMA: &'static str;
}

impl Shape {
    /// Of a document of the command line's.
    pub(crate) fn of<D: Document + JsonSchema>() -> Self {
        let name = D::SCHEMA.unwrap_or("planlease.document");
        Self { name, schema: |generator| generator.subschema_for::<D>() }
    }

    /// Of a document of the sidecar's own.
    pub(crate) fn own<T: Own>() -> Self {
        Self { name: T::SCHEMA, schema: |generator| generator.subschema_for::<T>() }
    }
}

/// What is in the body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    Nothing,
    /// JSON of this shape; if it is not required, none stands for `{}`.
    Json {
        schema: fn(&mut SchemaGenerator) -> Schema,
        required: bool,
    },
    /// A file of one of these types.
    File(&'static [&'static str]),
}

/// What is in the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gives {
    /// A document of this shape, with this status.
    Document(u16, Shape),
    /// Nothing, with 204.
    Nothing,
    /// A stream of events, or, if none is asked for, a document.
    EventsOr(Shape),
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
