//! A registry as Prometheus reads it.

use prometheus_client::{encoding::text::encode, registry::Registry};

/// The media type of the text.
pub const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is registered, as text.
#[must_use]
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).map_or_else(|error| format!("# {error}\n"), |()| text)
}
