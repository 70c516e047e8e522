//! What an operator does to another process's ownership, and to tasks that a plan file shows as done.

use planlease_core::{
    OrchestratorId, PlanName, TaskId, TermNumber, keys::PlanKey, record::Ending, spec::PlanSpec,
    transition::Change, view::TaskView,
};

use crate::{
    admin::{Admin, Reason},
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    plan::TICKED,
    queue::{Ticket, end_term},
    update::Outcome,
};

/// What was ended by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The former owner, or the first in the queue.
    pub by: String,
    /// The term that was ended; `None` if it had not begun.
    pub term: Option<TermNumber>,
}

impl Admin<'_> {
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
    /// use planlease::{AcquireOptions, Reason};
    ///
    /// let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    /// let expected = session.id().clone();
    /// coordinator.admin().force_release(&plan, Some(&expected), &Reason::by("anna").because("it hangs")).await?;
    /// println!("{}", ownership.lost().await);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotOwned`], [`Error::OtherOwner`], [`Error::AuthorityLost`] if it ended at this very moment,
    /// or if the candidate that was first became the owner meanwhile, and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the ownership is ended once or not at all.
    #[tracing::instrument(level = "debug", skip_all, fields(%plan))]
    pub async fn force_release(
        self,
        plan: &PlanName,
        expected: Option<&OrchestratorId>,
        reason: &Reason,
    ) -> Result<Released, Error> {
        let queue = self.coordinator.queue(plan).await?;
        let first = queue.candidates().first().ok_or_else(|| Error::NotOwned(plan.clone()))?;
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
        let Some((owner, term)) = queue.owner() else {
            // First in the queue without a term: an unmanaged candidate, or one about to take over. It has
            // only its key.
            let key = self.coordinator.layout().of(plan, &PlanKey::Owner(first.lease));
            // As long as it has not taken over: the key of an owner goes with the end of its term only.
            let term = self.coordinator.layout().of(plan, &PlanKey::Term);
            let seen = queue.term.as_ref().map(|(revision, _)| *revision);
            let when = [Compare::Created(key.clone(), Some(first.joined)), Compare::Modified(term, seen)];
            let txn = Transaction::when(when).then([Op::Delete(key.clone())]).otherwise([Op::Get(key)]);
            let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
            let is_there = reply.row().is_some_and(|entry| entry.created == first.joined);
            return match reply.branch {
                Branch::Then => Ok(Released { by: first.name(), term: None }),
                // By an earlier try, whose answer got lost.
                Branch::Otherwise if reply.uncertain && !is_there => {
                    Ok(Released { by: first.name(), term: None })
                }
                Branch::Otherwise => Err(Error::ownership_lost(plan.clone())),
            };
        };
        let ticket =
            Ticket { plan: plan.clone(), lease: owner.lease, revision: owner.joined, term: term.clone() };
        let ending = Ending::Forced { by: reason.by.clone(), reason: reason.why.clone() };
        end_term(self.coordinator, &ticket, ending, None).await?;
        Ok(Released { by: owner.name(), term: Some(term.number) })
    }

    /// Leaves out the pending tasks of a plan whose boxes are ticked in `file`, as an operator; says which.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], [`Error::PlanOwned`] while a process takes the plan over, and as for any
    /// request.
    ///
    /// # Cancel safety
    /// Each task is left out, or is as it was.
    pub async fn skip_ticked(
        self,
        plan: &PlanName,
        file: &PlanSpec,
        who: &str,
    ) -> Result<Vec<TaskId>, Error> {
        let view = self.coordinator.plan(plan).await?;
        let pending = view.pending_of_ticked(file);
        let skip = |task: &TaskId| Some((view.tasks().get(task)?.clone(), Change::Skip(TICKED.to_owned())));
        let updates: Vec<(TaskView, Change)> = pending.iter().filter_map(skip).collect();
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.coordinator.operator(&view, who)?.update_all(&updates).await?;
        let done = outcomes.into_iter().filter_map(|outcome| match outcome {
            Outcome::Committed(task) => Some(task.id),
            _ => None,
        });
        Ok(done.collect())
    }
}
