//! The description of the interface for clients: OpenAPI 3.1, made from the table of routes.

use serde_json::{Map, Value, json};

use crate::{
    admission::REQUEST,
    api,
    parts::{OPERATOR, SESSION},
    problem::Kind,
    routes::{Gives, Parameter, Route, Takes},
};

/// The whole document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for route in api::table() {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation(&route);
    }
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
            "schemas": schemas(),
            "responses": { "Problem": problem() },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.what,
        "parameters": parameters(route),
        "responses": responses(route),
    });
    match route.takes {
        Takes::Nothing => {}
        Takes::Json(schema) => {
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": reference(schema) } },
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
    for (name, what) in [
        (SESSION, "By whose right: the id of a session."),
        (OPERATOR, "Which person asks, if there is no session."),
    ] {
        parameters.push(json!({
            "name": name.as_str(), "in": "header", "required": false, "schema": { "type": "string" },
            "description": what,
        }));
    }
    parameters.extend(route.headers.iter().map(|parameter| described("header", parameter)));
    parameters
}

fn described(place: &str, parameter: &Parameter) -> Value {
    let Parameter { name, kind, required, what } = parameter;
    let schema = match *kind {
        "strings" => json!({ "type": "array", "items": { "type": "string" } }),
        "uuid" => json!({ "type": "string", "format": "uuid" }),
        kind => json!({ "type": kind }),
    };
    json!({ "name": name, "in": place, "required": required, "schema": schema, "description": what })
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let mut add = |status: u16, value: Value| drop(responses.insert(status.to_string(), value));
    let content = |schema: &str| json!({ "application/json": { "schema": reference(schema) } });
    let events = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    match route.gives {
        Gives::Document(status, schema) => {
            add(status, json!({ "description": schema, "content": content(schema) }))
        }
        Gives::Nothing => add(204, json!({ "description": "It is done." })),
        Gives::EventsOr(schema) => {
            let mut both = content(schema);
            both["text/event-stream"] = events["text/event-stream"].clone();
            add(200, json!({ "description": "A stream of events if one is asked for.", "content": both }));
        }
        Gives::Events => add(200, json!({ "description": "A stream of events.", "content": events })),
        Gives::Text(kind) => {
            let content = json!({ kind: { "schema": { "type": "string" } } });
            add(200, json!({ "description": "Text.", "content": content }));
        }
    }
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
    if route.takes != Takes::Nothing {
        kinds.extend([Kind::TooLarge, Kind::TooSlow, Kind::UnsupportedType]);
    }
    if route.path.contains("{session}") || route.path.contains("{plan}") {
        kinds.push(Kind::NoSuchPlan);
    }
    for kind in kinds {
        let status = kind.status().as_u16().to_string();
        responses.entry(status).or_insert_with(|| json!({ "$ref": "#/components/responses/Problem" }));
    }
    responses.into()
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
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

/// The bodies of requests, and for each document of an answer that it is one.
fn schemas() -> Value {
    let mut schemas = api::bodies();
    for route in api::table() {
        if let Gives::Document(_, schema) | Gives::EventsOr(schema) = route.gives {
            schemas.entry(schema).or_insert_with(|| {
                json!({
                    "description": format!("Field by field: docs/json.md, {schema}."),
                    "type": "object",
                    "required": ["schema"],
                    "properties": { "schema": { "const": schema } },
                })
            });
        }
    }
    schemas.into()
}
