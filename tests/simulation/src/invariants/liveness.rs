//! After the faults, every plan comes to its end within a bound, and nothing has to be restarted for it:
//! no process is stuck behind one that is gone, no task stays in progress for ever, no stream stays silent.

use super::Evidence;

/// What did not come to its end.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    if evidence.world.is_finished() {
        return Vec::new();
    }
    vec!["not every plan came to its end after the faults were over".to_owned()]
}
