//! What the servers of `dev` share: their ids, and why one cannot serve.

use planlease_embedded::{ListenError, OpenError};

use crate::{exit::Exit, failure::Failure};

/// A seed for a new server: from it come the ids that distinguish one server from another.
pub(super) fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let failure = Self::new(Exit::CannotServe, planlease::error_chain(&error));
        match error {
            OpenError::InUse { .. } => failure.remedy("Stop that server, or choose another folder."),
            _ => failure,
        }
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        let failure = Self::new(Exit::CannotServe, planlease::error_chain(&error));
        match error {
            ListenError::NotLoopback { .. } => failure.remedy("--allow-remote allows it."),
            ListenError::InUse { .. } => {
                failure.remedy("Choose another address with --listen; port 0 takes a free one.")
            }
            _ => failure,
        }
    }
}
