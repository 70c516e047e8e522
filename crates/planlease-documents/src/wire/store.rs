//! Which store a command spoke to: so that "no plans" on the wrong one is seen for what it is.

use schemars::JsonSchema;
use serde::Serialize;

use crate::printable::plain;

/// The store that a command used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StoreView {
    /// The servers; none for the user's own local server.
    pub endpoints: Vec<String>,
    /// The namespace.
    pub namespace: String,
    /// The context of the configuration file that named them.
    pub context: Option<String>,
}

impl std::fmt::Display for StoreView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "namespace {} on ", plain(&self.namespace))?;
        match self.endpoints.as_slice() {
            [] => f.write_str("the local server")?,
            endpoints => f.write_str(&plain(&endpoints.join(", ")))?,
        }
        match &self.context {
            Some(context) => write!(f, " (context {})", plain(context)),
            None => Ok(()),
        }
    }
}
