//! What the next owner does about the tasks that the last one left in progress.

use std::collections::BTreeSet;

use planlease_core::orphan::{self, Alive};

use crate::{
    authority::{Outcome, Refused, TaskView},
    error::Error,
    ownership::Ownership,
    plan::PlanView,
};

/// How often the plan is read again when tasks change while they are being recovered (workers come to their end).
const MAX_ROUNDS: usize = 8;

impl Ownership {
    /// Finds the tasks in progress whose claimant is gone and does about each what its policy says. To be called right
    /// after the plan was acquired, before any work is handed out; what is interrupted is found again by the next call, or
    /// by the next owner. Returns the recovered tasks, and the plan as it is then.
    ///
    /// # Errors
    /// [`Error::OwnershipLost`], and as for any request. What was recovered before stays recovered.
    ///
    /// # Cancel safety
    /// Can be dropped and called again at any point.
    pub async fn recover(&self) -> Result<(Vec<TaskView>, PlanView), Error> {
        let coordinator = self.session().coordinator();
        let mut recovered = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let plan = coordinator.plan(self.plan()).await?;
            let workers = coordinator.orchestrators().await?;
            let workers: BTreeSet<_> =
                workers.into_iter().map(|worker| (worker.id, worker.revision)).collect();
            let alive = Alive { owner: self.guard(), workers };
            let orphans: Vec<_> = plan
                .tasks
                .values()
                .filter(|task| orphan::is_orphan(&task.record, &alive))
                .map(|task| (task.clone(), orphan::recovery(&plan.spec, &task.id, &task.record)))
                .collect();
            if orphans.is_empty() {
                return Ok((recovered, plan));
            }
            for outcome in self.authority().update_all(&orphans).await? {
                match outcome {
                    Outcome::Committed(task) => recovered.push(task),
                    Outcome::Refused(Refused::RightGone) => {
                        return Err(Error::OwnershipLost(self.plan().clone()));
                    }
                    Outcome::Refused(_) | Outcome::Unknown { .. } => {} // Looked at again in the next round.
                }
            }
        }
        Err(Error::TimedOut("the tasks kept changing while the orphans among them were being recovered"))
    }
}
