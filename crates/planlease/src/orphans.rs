//! Tasks whose claimants are gone, in a plan that has no owner: claimants alone would wait for one for ever.
//!
//! Only an owner may say what becomes of a lost claim. So a session that finds one owns the plan for a
//! moment, does what the policy of each task says, and releases the plan. A plan with an owner is left to
//! it.

use planlease_core::{PlanName, orphan};

use crate::{error::Error, ownership::TryAcquire, session::Session};

impl Session {
    /// Recovers what lost claimants have left in a plan that no process owns or waits for; whether there was
    /// anything. Two reads if there is nothing; else it owns the plan for a moment.
    ///
    /// # Errors
    /// As for any request. A plan that another process has just taken, or that is closed, is no error.
    ///
    /// # Cancel safety
    /// If the future is dropped, the plan may be owned until the session ends or its task cleans up.
    pub async fn recover_abandoned(&self, plan: &PlanName) -> Result<bool, Error> {
        let coordinator = self.coordinator();
        let view = coordinator.plan(plan).await?;
        if !view.queue().candidates().is_empty() {
            return Ok(false);
        }
        let alive = coordinator.alive(&view).await?;
        if !view.tasks().values().any(|task| orphan::is_orphan(&task.record, &alive)) {
            return Ok(false);
        }
        let ownership = match self.try_acquire(plan).await {
            Ok(TryAcquire::Acquired(ownership)) => ownership,
            // A lock delay, or another process that has had the same idea.
            Ok(TryAcquire::HeldBy(_) | TryAcquire::Delayed(_))
            | Err(Error::HeldLocally(_) | Error::PlanClosed { .. } | Error::PlanNotFound(_)) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let recovered = ownership.recover().await;
        ownership.release().await?;
        Ok(!recovered?.0.is_empty())
    }
}
