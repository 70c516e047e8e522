//! The extras of a plan: what its file says that has no field of its own.

use serde_json::{Map, Value};

/// Appends to a list among the extras; says whether it is the first of it.
pub(super) fn push(extra: &mut Map<String, Value>, key: &str, value: Value) -> bool {
    match extra.get_mut(key) {
        Some(Value::Array(list)) => {
            list.push(value);
            false
        }
        _ => {
            extra.insert(key.to_owned(), Value::Array(vec![value]));
            true
        }
    }
}
