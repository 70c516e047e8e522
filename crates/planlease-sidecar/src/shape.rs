//! What the JSON here looks like: documents with names, and how each is described.

use planlease_documents::Document;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

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
