//! Where the output of an orchestrator's commands can be followed: what is stored beside its registration.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{codec::FormatVersion, extra::Extra};

/// The listener of an orchestrator that serves the output of its commands (`logs/{orchestrator}`). It hangs
/// on the session, and vanishes with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Host and port.
    pub address: String,
    /// What a reader has to show: a process that can read the keys of the namespace can read the output.
    pub token: String,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

impl LogsRecord {
    /// A listener at `address`, for readers that show `token`.
    #[must_use]
    pub fn new(address: String, token: String) -> Self {
        Self { v: FormatVersion::default(), address, token, extra: Extra::default() }
    }
}

impl fmt::Debug for LogsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogsRecord").field("address", &self.address).finish_non_exhaustive()
    }
}
