//! The end of a hold's session.

use std::time::Duration;

use planlease::Session;
use planlease_core::session::Status;

use super::stop::StopRequests;

/// How long a lost session is given to be revoked: only to spare the next owner the rest of its TTL.
const REVOKE_WITHIN: Duration = Duration::from_secs(1);

/// Ends the session, so that no process waits for it to expire.
pub(super) async fn close(session: Session, stops: &mut impl StopRequests) {
    let within = match session.status() {
        Status::Live { .. } => Duration::MAX, // Bounded by the timeout of an operation.
        Status::Lost(_) => REVOKE_WITHIN,
    };
    tokio::select! {
        biased; // A closed session is better than one that is left at a signal.
        closed = tokio::time::timeout(within, session.close()) => {
            if let Ok(Err(error)) = closed {
                tracing::info!(%error, "the session was not closed; it expires");
            }
        }
        _ = stops.next_request() => {}
    }
}
