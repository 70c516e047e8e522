//! Why an ownership is lost, as far as it can be found out.

use planlease::{AuthorityLoss, Ownership, error_chain};
use planlease_core::session::Status;

/// Why the authority is lost, as far as it is known. If the session is over, etcd is not asked: what runs
/// has to be killed at once.
pub(super) async fn explain(ownership: &Ownership, loss: &AuthorityLoss) -> String {
    match loss {
        AuthorityLoss::Session(reason) => reason.to_string(),
        _ => explain_end(ownership).await,
    }
}

/// Whether an operator ended the ownership, as far as etcd shows it.
pub(super) async fn was_taken_away(ownership: &Ownership) -> bool {
    matches!(ownership.session().status(), Status::Live { .. })
        && ownership.was_taken_away().await.unwrap_or_default()
}

/// How the ownership ended, as far as etcd shows it.
pub(super) async fn explain_end(ownership: &Ownership) -> String {
    match ownership.explain_loss().await {
        Ok(why) => why,
        Err(error) => error_chain(&error),
    }
}
