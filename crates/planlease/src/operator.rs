//! What an operator can do to another process's ownership.

use planlease_core::{OrchestratorId, PlanName, TermNumber, record::Ending};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    queue::{Ticket, end_term},
};

/// What was ended by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The former owner, or the first in the queue.
    pub by: String,
    /// The term that was ended; `None` if it had not begun.
    pub term: Option<TermNumber>,
}

impl Coordinator {
    /// Ends the present ownership of a plan. Its holder is notified, every write that it still sends is
    /// refused, and the next candidate takes over once the plan's lock delay is over, as after a crash.
    /// Whatever the holder does *outside* etcd is not stopped by this, so look before.
    ///
    /// `expected` protects against ending another ownership than the one that the caller saw.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::AcquireOptions;
    ///
    /// let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    /// let expected = session.id().clone();
    /// coordinator.force_release(&plan, Some(&expected), "anna", "it hangs").await?;
    /// println!("{}", ownership.lost().await);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotOwned`], [`Error::OtherOwner`], [`Error::AuthorityLost`] if it ended at this very moment,
    /// and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the ownership is ended once or not at all.
    #[tracing::instrument(level = "debug", skip_all, fields(%plan))]
    pub async fn force_release(
        &self,
        plan: &PlanName,
        expected: Option<&OrchestratorId>,
        by: &str,
        reason: &str,
    ) -> Result<Released, Error> {
        let line = self.line(plan).await?;
        let first = line.candidates().first().ok_or_else(|| Error::NotOwned(plan.clone()))?;
        let name = first.record.as_ref().map(|record| &record.orchestrator);
        if let Some(expected) = expected
            && name != Some(expected)
        {
            return Err(Error::OtherOwner {
                plan: plan.clone(),
                by: first.name(),
                expected: expected.clone(),
            });
        }
        let Some((owner, term)) = line.owner() else {
            // First in the queue without a term: an unmanaged candidate, or one about to take over. It has
            // only its key.
            let key = self.layout().of(plan, &planlease_core::keys::PlanKey::Owner(first.lease));
            // As long as it has not taken over: the key of an owner goes with the end of its term only.
            let term = self.layout().of(plan, &planlease_core::keys::PlanKey::Term);
            let seen = line.term.as_ref().map(|(revision, _)| *revision);
            let when = [Compare::Created(key.clone(), Some(first.joined)), Compare::Modified(term, seen)];
            let txn = Transaction::when(when).then([Op::Delete(key)]);
            let reply = self.etcd().execute(&txn, Admission::TURN).await?;
            return match reply.branch {
                Branch::Otherwise if !reply.uncertain => Err(Error::ownership_lost(plan.clone())),
                // Also by an earlier try, whose answer got lost: the key is gone.
                Branch::Then | Branch::Otherwise => Ok(Released { by: first.name(), term: None }),
            };
        };
        let ticket =
            Ticket { plan: plan.clone(), lease: owner.lease, revision: owner.joined, term: term.clone() };
        let ending = Ending::Forced { by: by.to_owned(), reason: reason.to_owned() };
        end_term(self, &ticket, ending, &[]).await?;
        Ok(Released { by: owner.name(), term: Some(term.number) })
    }
}
