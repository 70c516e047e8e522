//! Stored records that cannot be read, listed beside what can be.

use std::borrow::Borrow;

use planlease_core::unreadable::Unreadable;
use schemars::JsonSchema;
use serde::Serialize;

/// A stored record that cannot be read, and is missing in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnreadableView {
    /// Its key below the namespace.
    pub(crate) key: String,
    /// Why it cannot be read.
    pub(crate) reason: String,
}

/// All of them, each once.
pub(crate) fn views<T: Borrow<Unreadable>>(unreadable: impl IntoIterator<Item = T>) -> Vec<UnreadableView> {
    let mut views: Vec<UnreadableView> = Vec::new();
    for one in unreadable {
        let one = one.borrow();
        let view = UnreadableView { key: one.key.to_string(), reason: one.reason.clone() };
        if !views.contains(&view) {
            views.push(view);
        }
    }
    views
}
