//! The time limits of claims that no session keeps: each hangs on a lease of its own, which nothing renews by
//! itself. So etcd measures the time, and no host's clock is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future;
use planlease_core::{
    LeaseId, TaskId,
    excerpt::view::Excerpt,
    orphan::{self, Alive},
    record::{Claim, ClaimLimit, Guard},
    term::Queue,
    view::PlanView,
};

use crate::{
    authority::{Authority, CLAIM_LIMITS},
    coordinator::Coordinator,
    error::Error,
    etcd::LeaseTimes,
    update::Outcome,
};

/// How long a claim waits for its lease to be revoked, or renewed, after what it is about was written.
const AFTERWARDS: Duration = Duration::from_secs(2);

impl Coordinator {
    /// What the claims of a plan's tasks hang on, as far as it still exists. Reads the registrations if a
    /// worker has a claim, and the lease of each limited claim.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn alive(&self, plan: &PlanView) -> Result<Alive, Error> {
        let claims = plan.tasks().values().filter_map(|task| task.record.claim.as_ref());
        self.alive_among(plan.queue(), &claims.collect::<Vec<_>>()).await
    }

    /// What the claim of one task hangs on. As [`Coordinator::alive`] otherwise.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn alive_for(&self, excerpt: &Excerpt) -> Result<Alive, Error> {
        let claim = excerpt.task().record.claim.as_ref();
        self.alive_among(excerpt.queue(), &claim.into_iter().collect::<Vec<_>>()).await
    }

    async fn alive_among(&self, queue: &Queue, claims: &[&Claim]) -> Result<Alive, Error> {
        let by_worker = |claim: &&Claim| matches!(claim.guard, Some(Guard::Worker { .. }));
        let workers =
            if claims.iter().any(by_worker) { self.registrations().await? } else { BTreeSet::new() };
        let limits = claims.iter().filter_map(|claim| claim.limit.as_ref()).map(|limit| limit.lease);
        let limits = self.lease_times(limits).await?;
        Ok(Alive {
            owner: queue.guard().unwrap_or(Guard::Unowned),
            workers,
            limits: limits.into_iter().map(|(lease, times)| (lease, times.left)).collect(),
        })
    }

    /// How these leases stand, each to the second; those that are gone are missing. One request each.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn lease_times(
        &self,
        leases: impl IntoIterator<Item = LeaseId>,
    ) -> Result<BTreeMap<LeaseId, LeaseTimes>, Error> {
        let asked = leases.into_iter().map(async |lease| {
            let times = self.etcd().lease_times(lease).await?;
            Ok::<_, Error>(times.map(|times| (lease, times)))
        });
        Ok(future::try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// Grants the lease that a claim hangs on.
    pub(crate) async fn grant_limit(&self, limit: Duration) -> Result<ClaimLimit, Error> {
        let lease = self.etcd().random().lease_id();
        let granted = self.etcd().grant(lease, limit.clamp(CLAIM_LIMITS.0, CLAIM_LIMITS.1)).await?;
        Ok(ClaimLimit { lease, seconds: granted.as_secs() })
    }

    /// Revokes the lease of a claim that has ended. If that does not succeed, it expires.
    pub(crate) async fn end_limit(&self, limit: &ClaimLimit) {
        drop(tokio::time::timeout(AFTERWARDS, self.etcd().revoke(limit.lease)).await);
    }

    /// Lets the limit count again from now.
    pub(crate) async fn renew_limit(&self, limit: &ClaimLimit) {
        match tokio::time::timeout(AFTERWARDS, self.etcd().renew_once(limit.lease)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the time limit of the claim is not extended"),
            Err(_) => tracing::warn!("the time limit of the claim is not extended: etcd does not answer"),
        }
    }
}

impl Authority {
    /// Ends the claims whose limit has passed, among these tasks, as their policy says of lost ones. Returns
    /// the plan as it is then; `None` if nothing was changed.
    pub(crate) async fn end_expired_claims(
        &self,
        plan: &PlanView,
        among: impl Fn(&TaskId) -> bool,
    ) -> Result<Option<PlanView>, Error> {
        let limited = |task: &TaskId| {
            among(task)
                && plan
                    .tasks()
                    .get(task)
                    .and_then(|task| task.record.claim.as_ref()?.limit.as_ref())
                    .is_some()
        };
        if !plan.tasks().keys().any(limited) {
            return Ok(None);
        }
        let alive = self.coordinator().alive(plan).await?;
        let expired: Vec<_> = plan
            .tasks()
            .values()
            .filter(|task| limited(&task.id) && orphan::is_orphan(&task.record, &alive))
            .map(|task| (task.clone(), orphan::recovery(plan.spec(), &task.id, &task.record)))
            .collect();
        let mut freed = None;
        for outcome in self.update_all(&expired).await? {
            if let Outcome::Committed(task) = outcome {
                freed.get_or_insert_with(|| plan.clone()).apply_task(task);
            }
        }
        Ok(freed)
    }
}
