//! The time limits of claims that no session keeps: each hangs on a lease of its own, which nothing renews by
//! itself. So etcd measures the time, and no host's clock is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future;
use planlease_core::{
    LeaseId, TaskId,
    orphan::{self, Alive},
    record::{Claim, ClaimLimit, Guard},
    view::PlanView,
};

use crate::{authority::Authority, coordinator::Coordinator, error::Error, update::Outcome};

/// How long a claim by an operator lasts, if the caller does not say.
pub const CLAIM_LIMIT: Duration = Duration::from_hours(8);

/// The longest and the shortest limit of a claim.
pub const CLAIM_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24 * 365));

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
        let claims = || plan.tasks().values().filter_map(|task| task.record.claim.as_ref());
        let by_worker = |claim: &Claim| matches!(claim.guard, Some(Guard::Worker { .. }));
        let workers = if claims().any(by_worker) { self.registrations().await? } else { BTreeSet::new() };
        let limits = claims().filter_map(|claim| claim.limit.as_ref());
        let limits = future::try_join_all(limits.map(async |limit| {
            let left = self.etcd().lease_left(limit.lease).await?;
            Ok::<_, Error>(left.map(|left| (limit.lease, left)))
        }));
        Ok(Alive {
            owner: plan.line().guard().unwrap_or(Guard::Unowned),
            workers,
            limits: limits.await?.into_iter().flatten().collect::<BTreeMap<LeaseId, Duration>>(),
        })
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
