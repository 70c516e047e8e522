//! Ending attempts that were cancelled: what runs here is asked to end as soon as the request is seen.
//!
//! What comes of it is recorded like every other end. That a cancelled attempt is not completed does not
//! depend on when the request is seen: the transition table refuses it on the record that has the
//! request.

use super::execution::Runner;

impl Runner {
    /// Ends the attempts that run here and were cancelled: SIGTERM, and SIGKILL after the grace.
    pub(super) fn end_cancelled(&self) {
        for (task, attempt) in &self.busy {
            let request = self.view.tasks().get(task).and_then(|task| task.record.cancel.as_ref());
            if let Some(request) = request {
                attempt.end(&request.reason());
            }
        }
    }
}
