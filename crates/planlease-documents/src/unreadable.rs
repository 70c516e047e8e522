//! Stored records that cannot be read, listed beside what can be.

use planlease_core::unreadable::Unreadable;
use schemars::JsonSchema;
use serde::Serialize;

use super::plain;

/// A stored record that cannot be read, and is missing in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnreadableView {
    /// Its key below the namespace.
    key: String,
    /// Why it cannot be read.
    reason: String,
}

impl UnreadableView {
    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        format!("`{}` cannot be read and is left out: {}", plain(&self.key), plain(&self.reason))
    }
}

/// All of them, each once.
pub(crate) fn views<'a>(unreadable: impl IntoIterator<Item = &'a Unreadable>) -> Vec<UnreadableView> {
    let mut views: Vec<UnreadableView> = Vec::new();
    for one in unreadable {
        let view = UnreadableView { key: one.key.to_string(), reason: one.reason.clone() };
        if !views.contains(&view) {
            views.push(view);
        }
    }
    views
}
