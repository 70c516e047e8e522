//! What the next owner does about the tasks that the last one left in progress.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    task::Poll,
};

use planlease_core::{
    OrchestratorId, Revision,
    keys::Key,
    orphan::{self, Alive},
    record::Guard,
    transition::TaskStatus,
};
use tokio::sync::watch;

use crate::{
    authority::{Outcome, Refused, TaskView},
    error::Error,
    ownership::Ownership,
    plan::PlanView,
    session::Session,
    vigil::{Gone, gone},
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

/// The workers that have claimed tasks of a plan: its owner keeps watch over their registrations, so that what they leave
/// behind is recovered while the ownership lasts, and not by the next owner only.
#[derive(Debug)]
pub struct Claimants {
    session: Session,
    watched: BTreeMap<(OrchestratorId, Revision), watch::Receiver<Gone>>,
}

impl Ownership {
    /// Nobody's yet; see [`Claimants::follow`].
    #[must_use]
    pub fn claimants(&self) -> Claimants {
        Claimants { session: self.session().clone(), watched: BTreeMap::new() }
    }
}

impl Claimants {
    /// From now on keeps watch over exactly the workers that have claimed tasks of the plan as it is seen here. One message
    /// for each that is new, on the session's own stream; none while nothing changes.
    pub async fn follow(&mut self, plan: &PlanView) {
        let claims = plan.tasks.values().filter(|task| task.record.status == TaskStatus::InProgress);
        let guards = claims.filter_map(|task| task.record.claim.as_ref()?.guard.as_ref());
        let workers: BTreeSet<(OrchestratorId, Revision)> = guards
            .filter_map(|guard| match guard {
                Guard::Worker { orchestrator, revision } => Some((orchestrator.clone(), *revision)),
                Guard::Owner { .. } | Guard::Unowned | Guard::Import => None,
            })
            .collect();
        self.watched.retain(|worker, _| workers.contains(worker));
        for (worker, revision) in workers {
            if !self.watched.contains_key(&(worker.clone(), revision)) {
                let key = self.session.coordinator().layout().key(&Key::Orchestrator(worker.clone()));
                // It was there when it was made; whether it still is, is what the watch tells.
                let gone = self.session.vigil(key, revision, revision);
                self.watched.insert((worker, revision), gone);
            }
        }
    }

    /// Waits until one of them is gone: what it had in progress are orphans then, and [`Ownership::recover`] finds them. Waits for
    /// ever if there is none. It is told once. Cancel safe.
    pub async fn gone(&mut self) {
        let watched = &mut self.watched;
        let worker = std::future::poll_fn(|context| {
            for (worker, receiver) in &mut *watched {
                // An error says that the session is over, which is told elsewhere.
                if let Poll::Ready(Ok(_)) = pin!(gone(receiver)).poll(context) {
                    return Poll::Ready(worker.clone());
                }
            }
            Poll::Pending
        });
        let worker = worker.await;
        self.watched.remove(&worker);
    }
}
