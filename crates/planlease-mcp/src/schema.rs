//! The schemas of arguments, as short as they can be: they are in the context of every agent.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// The schema of arguments: without titles, formats (`uint32` makes clients warn) and `null` for what can
/// be left out.
pub(crate) fn of<T: JsonSchema>() -> JsonObject {
    let mut settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.meta_schema = None;
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    shorten(&mut schema);
    match schema {
        Value::Object(mut schema) => {
            schema.remove("description"); // The tool has one.
            schema
        }
        _ => JsonObject::new(),
    }
}

/// The same with the argument that names the session.
pub(crate) fn with_session(schema: &mut Arc<JsonObject>, optional: bool) {
    let schema = Arc::make_mut(schema);
    let what =
        if optional { "As `claim` answered before; by default a new one" } else { "As `claim` answered" };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.insert(SESSION.to_owned(), json!({ "type": "string", "description": what }));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required").filter(|_| !optional) {
        required.push(SESSION.into());
    }
}

/// The argument that names the session.
pub(crate) const SESSION: &str = "session";

fn shorten(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for name in ["format", "title", "default"] {
                if members.get(name).is_some_and(|value| !value.is_object()) {
                    members.remove(name);
                }
            }
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = &types[..] {
                    let one = one.clone();
                    members.insert("type".to_owned(), one);
                }
            }
            members.values_mut().for_each(shorten);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}
