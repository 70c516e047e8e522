//! The holder of a path.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The worktree that a path belongs to, as its fence file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The worktree.
    pub id: Uuid,
    /// The store that has its record.
    pub store: String,
    /// The host that made it.
    pub host: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |text: &str| text.replace(char::is_control, "\u{fffd}");
        write!(f, "worktree {} of host {} in {}", plain(&self.name), plain(&self.host), plain(&self.store))
    }
}
