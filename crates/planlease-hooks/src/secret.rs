//! The key that signs what webhooks receive.

use std::fmt;

/// A key that signs what is sent. Not shown.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
