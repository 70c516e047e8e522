//! The description of the interface for clients: OpenAPI 3.1, made from the table of routes.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    api,
    headers::{OPERATOR, REQUEST, SESSION},
    problem::Kind,
    routes::{Gives, Parameter, Route, Takes},
    shape::Shape,
};

/// The whole document.
pub(crate) fn document() -> Value {
    let mut shapes = Shapes::new();
    let mut paths = Map::new();
    for route in api::table() {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation(&route, &mut shapes);
    }
    let schemas = shapes.definitions();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "planlease sidecar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Plans, tasks, ownership and events for programs in any language. See docs/sidecar.md.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:7420" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": { "Problem": problem() },
        },
    })
}

/// What is in requests is described as it is read, what is in answers as it is written: a field that can be
/// left out of the one is always in the other.
struct Shapes {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Shapes {
    fn new() -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = "/components/schemas/".into();
            settings
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }

    /// All that was described, by name.
    fn definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.requests.take_definitions(true);
        definitions.extend(self.answers.take_definitions(true));
        definitions
    }
}

fn operation(route: &Route, shapes: &mut Shapes) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.what,
        "parameters": parameters(route),
        "responses": responses(route, &mut shapes.answers),
    });
    match route.takes {
        Takes::Nothing => {}
        Takes::Json { schema, required } => {
            operation["requestBody"] = json!({
                "required": required,
                "content": { "application/json": { "schema": schema(&mut shapes.requests) } },
            });
        }
        Takes::File(types) => {
            let content: Map<String, Value> = types
                .iter()
                .map(|kind| ((*kind).to_owned(), json!({ "schema": { "type": "string" } })))
                .collect();
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| {
            let schema = match name {
                "session" => json!({ "type": "string", "format": "uuid" }),
                _ => json!({ "type": "string", "minLength": 1 }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    parameters.extend(route.query.iter().map(|parameter| described("query", parameter)));
    parameters.push(json!({
        "name": REQUEST.as_str(), "in": "header", "required": true, "schema": { "const": "true" },
        "description": "A header that no page of another site can send.",
    }));
    if route.acts {
        parameters.extend(rights());
    }
    parameters.extend(route.headers.iter().map(|parameter| described("header", parameter)));
    parameters
}

/// The headers that say by whose right.
fn rights() -> [Value; 2] {
    let session = json!({ "type": "string", "format": "uuid" });
    let operator = json!({ "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$" });
    let described = [
        (SESSION, session, "By whose right: the id of a session."),
        (OPERATOR, operator, "Which person asks, if there is no session."),
    ];
    described.map(|(name, schema, what)| {
        json!({ "name": name.as_str(), "in": "header", "required": false, "schema": schema, "description": what })
    })
}

fn described(place: &str, parameter: &Parameter) -> Value {
    let Parameter { name, kind, required, what } = parameter;
    let schema = match *kind {
        "uuid" => json!({ "type": "string", "format": "uuid" }),
        "positive" => json!({ "type": "integer", "minimum": 1 }),
        "seconds" => json!({ "type": "number", "minimum": 0 }),
        "count" => json!({ "type": "integer", "minimum": 0 }),
        "etag" => json!({ "type": "string", "pattern": "^(\\*|\"[1-9][0-9]*\")$" }),
        kind => json!({ "type": kind }),
    };
    json!({ "name": name, "in": place, "required": required, "schema": schema, "description": what })
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let events = json!({ "schema": { "type": "string" } });
    match &route.gives {
        Gives::Document(status, shape) => add(&mut responses, *status, document_of(shape, generator)),
        Gives::Nothing => {
            responses.insert("204".to_owned(), json!({ "description": "It is done." }));
        }
        Gives::EventsOr(shape) => {
            add(&mut responses, 200, document_of(shape, generator));
            responses["200"]["content"]["text/event-stream"] = events;
        }
        Gives::Events => {
            let content = json!({ "text/event-stream": events });
            responses.insert(
                "200".to_owned(),
                json!({ "description": "A stream of events.", "content": content }),
            );
        }
    }
    for (status, shape) in &route.also {
        match shape {
            Some(shape) => add(&mut responses, *status, document_of(shape, generator)),
            None => {
                responses.insert(status.to_string(), json!({ "description": "It is as it was." }));
            }
        }
    }
    problems(route, &mut responses);
    responses.into()
}

/// Adds one more document that an answer of this status may be.
fn add(responses: &mut Map<String, Value>, status: u16, schema: Value) {
    let response = responses.entry(status.to_string()).or_insert_with(|| {
        json!({ "description": "What was asked for.", "content": { "application/json": { "schema": { "anyOf": [] } } } })
    });
    if let Value::Array(any) = &mut response["content"]["application/json"]["schema"]["anyOf"] {
        any.push(schema);
    }
}

/// A document: what its type says, with the name of its schema.
fn document_of(shape: &Shape, generator: &mut SchemaGenerator) -> Value {
    json!({
        "allOf": [(shape.schema)(generator)],
        "type": "object",
        "required": ["schema"],
        "properties": { "schema": { "const": shape.name } },
    })
}

/// What can be in the way.
fn problems(route: &Route, responses: &mut Map<String, Value>) {
    let always = [
        Kind::BadRequest,
        Kind::Unauthorized,
        Kind::CrossSite,
        Kind::TooMany,
        Kind::Unexpected,
        Kind::Unavailable,
        Kind::OutcomeUnknown,
    ];
    let mut kinds: Vec<Kind> = always.iter().chain(route.problems).copied().collect();
    if !matches!(route.takes, Takes::Nothing) {
        kinds.extend([Kind::TooLarge, Kind::TooSlow, Kind::UnsupportedType]);
    }
    if route.acts {
        kinds.push(Kind::NoSuchSession);
    }
    if route.path.contains("{session}") || route.path.contains("{plan}") {
        kinds.push(Kind::NoSuchPlan);
    }
    for kind in kinds {
        let status = kind.status().as_u16().to_string();
        responses.entry(status).or_insert_with(|| json!({ "$ref": "#/components/responses/Problem" }));
    }
}

fn problem() -> Value {
    let types: Vec<String> =
        Kind::ALL.iter().map(|kind| format!("urn:planlease:problem:{}", kind.slug())).collect();
    json!({
        "description": "It was not done, and why (RFC 9457).",
        "content": { "application/problem+json": { "schema": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": { "enum": types },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "present": { "description": "The record that is in the way.", "type": ["object", "null"] },
                "revision": { "description": "The revision that wrote it.", "type": "integer" },
            },
        } } },
    })
}
