//! What the next owner does about the tasks that the last one left in progress.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    task::Poll,
    time::Duration,
};

use planlease_core::{
    BootTime, LeaseId, OrchestratorId, Revision, TaskId,
    keys::Key,
    orphan::{self, Alive},
    record::{Claim, Guard, TaskRecord},
    spec::PlanSpec,
    transition::{Change, TaskStatus},
    view::{PlanView, TaskView},
};
use tokio::sync::watch;

use crate::{
    clock::sleep_until,
    error::Error,
    key_watch::{Gone, gone},
    ownership::Ownership,
    session::Session,
    update::{Outcome, Refused},
};

/// How often the plan is read again when tasks change while they are being recovered (workers come to their
/// end).
const MAX_ROUNDS: usize = 8;

/// How long after a limited claim was first seen, or should be over, its lease is looked at.
const LOOK_AFTER: Duration = Duration::from_secs(1);

impl Ownership {
    /// Finds the tasks in progress whose claimant is gone and does about each what its policy says. To be
    /// called right after the plan was acquired, before any work is handed out; what is interrupted is found
    /// again by the next call, or by the next owner. Returns the recovered tasks, and the plan as it is then.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::AcquireOptions;
    ///
    /// let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    /// let (recovered, view) = ownership.recover().await?;
    /// assert_eq!((recovered.len(), view.tasks().len()), (0, 2));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::AuthorityLost`], and as for any request. What was recovered before stays recovered.
    ///
    /// # Cancel safety
    /// Can be dropped and called again at any point.
    pub async fn recover(&self) -> Result<(Vec<TaskView>, PlanView), Error> {
        self.recover_with(orphan::recovery).await
    }

    /// As [`Ownership::recover`], with another decision about each orphan: [`orphan::recovery_after_rest`]
    /// for an owner that puts tasks back once they have rested.
    ///
    /// # Errors
    /// As [`Ownership::recover`].
    ///
    /// # Cancel safety
    /// As [`Ownership::recover`].
    #[tracing::instrument(name = "recover", level = "debug", skip_all, parent = self.span(), fields(session = %self.session().lease(), plan = %self.plan(), term = self.term().number.0))]
    pub async fn recover_with(
        &self,
        recovery: impl Fn(&PlanSpec, &TaskId, &TaskRecord) -> Change,
    ) -> Result<(Vec<TaskView>, PlanView), Error> {
        let coordinator = self.session().coordinator();
        let mut recovered = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let plan = coordinator.plan(self.plan()).await?;
            let alive = Alive { owner: self.guard(), ..coordinator.alive(&plan).await? };
            let orphans: Vec<_> = plan
                .tasks()
                .values()
                .filter(|task| orphan::is_orphan(&task.record, &alive))
                .map(|task| (task.clone(), recovery(plan.spec(), &task.id, &task.record)))
                .collect();
            if orphans.is_empty() {
                return Ok((recovered, plan));
            }
            for outcome in self.authority().update_all(&orphans).await? {
                match outcome {
                    Outcome::Committed(task) => recovered.push(task),
                    Outcome::Refused(Refused::AuthorityLost(loss)) => return Err(loss.into()),
                    Outcome::Refused(_) | Outcome::Unknown { .. } => {} // Looked at again in the next round.
                }
            }
        }
        Err(Error::TimedOut("the tasks kept changing while the orphans among them were being recovered"))
    }
}

/// Those that have claimed tasks of a plan: its owner keeps watch over the registrations of workers and the
/// time limits of operators, so that what they leave behind is recovered while the ownership lasts, and not
/// by the next owner only.
#[derive(Debug)]
pub struct Claimants {
    session: Session,
    watched: BTreeMap<(OrchestratorId, Revision), watch::Receiver<Gone>>,
    /// The leases of limited claims, and when to look at each.
    limits: BTreeMap<LeaseId, BootTime>,
}

impl Ownership {
    /// Watches no claimant yet; see [`Claimants::follow`].
    #[must_use]
    pub fn claimants(&self) -> Claimants {
        Claimants { session: self.session().clone(), watched: BTreeMap::new(), limits: BTreeMap::new() }
    }
}

impl Claimants {
    /// From now on keeps watch over exactly the claims of the plan as it is seen here. One message for each
    /// worker that is new, on the session's own stream; none while nothing changes.
    ///
    /// # Cancel safety
    /// If the future is dropped, the rest of the claims is not watched until the next call.
    pub async fn follow(&mut self, plan: &PlanView) {
        let claims = plan.tasks().values().filter(|task| task.record.status == TaskStatus::InProgress);
        let claims: Vec<&Claim> = claims.filter_map(|task| task.record.claim.as_ref()).collect();
        let limits: BTreeSet<LeaseId> = claims.iter().filter_map(|claim| Some(claim.limit?.lease)).collect();
        self.limits.retain(|lease, _| limits.contains(lease));
        let soon = self.session.coordinator().clock().boot().plus(LOOK_AFTER);
        for lease in limits {
            self.limits.entry(lease).or_insert(soon);
        }
        let guards = claims.iter().filter_map(|claim| claim.guard.as_ref());
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
                // It was there when it was made; the watch shows whether it still is.
                let gone = self.session.watch_key(key, revision, revision);
                self.watched.insert((worker, revision), gone);
            }
        }
    }

    /// Waits until one of them is gone, or its time limit has passed: what it had in progress are orphans
    /// then, and [`Ownership::recover`] finds them. Waits for ever if there is none. Each is returned once.
    /// Cancel safe.
    pub async fn gone(&mut self) {
        tokio::select! {
            biased; // Both lead to the same.
            () = worker_gone(&mut self.watched) => {}
            () = limit_passed(&self.session, &mut self.limits) => {}
        }
    }
}

/// Waits until the lease of a limited claim is gone. When it has expired, only etcd knows: it is asked when
/// the time that was left has passed, and again if there is more.
async fn limit_passed(session: &Session, limits: &mut BTreeMap<LeaseId, BootTime>) {
    let coordinator = session.coordinator();
    loop {
        let Some((lease, moment)) =
            limits.iter().map(|(lease, moment)| (*lease, *moment)).min_by_key(|(_, at)| *at)
        else {
            return std::future::pending().await;
        };
        sleep_until(coordinator.clock(), moment).await;
        let left = match coordinator.etcd().lease_left(lease).await {
            Ok(None) => {
                limits.remove(&lease);
                return;
            }
            Ok(Some(left)) => left,
            Err(_) => Duration::ZERO, // Asked again in a moment.
        };
        limits.insert(lease, coordinator.clock().boot().plus(left).plus(LOOK_AFTER));
    }
}

/// Waits until the registration of a worker is gone.
async fn worker_gone(watched: &mut BTreeMap<(OrchestratorId, Revision), watch::Receiver<Gone>>) {
    let worker = std::future::poll_fn(|context| {
        for (worker, receiver) in &mut *watched {
            // An error says that the session is over, which is reported elsewhere.
            if let Poll::Ready(Ok(_)) = pin!(gone(receiver)).poll(context) {
                return Poll::Ready(worker.clone());
            }
        }
        Poll::Pending
    });
    let worker = worker.await;
    watched.remove(&worker);
}
