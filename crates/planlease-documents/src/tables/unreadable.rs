//! Stored records that cannot be read, listed beside what can be.

use crate::{printable::plain, wire::unreadable::UnreadableView};

impl UnreadableView {
    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        format!("`{}` cannot be read and is left out: {}", plain(&self.key), plain(&self.reason))
    }
}
