//! Rows of the table of what is served. From the table come the router, the description for clients, and the
//! labels of the metrics.

use axum::routing::MethodRouter;
use http::Method;
use planlease_documents::Document;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::{
    problem::Kind,
    shape::{Own, Shape},
    shared::App,
};

/// The path of the tools for agents, which describe themselves: no row of the table.
pub(crate) const MCP: &str = "/mcp";

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
    pub(crate) fn returns<T: Own>(self) -> Self {
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
}
