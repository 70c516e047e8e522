//! Deleting plans.

use planlease_core::{PlanName, keys::PlanKey, term::Candidate};

use crate::{
    admin::Admin,
    coordinator::queue_of,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
};

impl Admin<'_> {
    /// Deletes a plan with everything that belongs to it, in one transaction; but for its term, so that the
    /// tokens of a later plan of that name are greater still. One read before it: the deletion is of the plan
    /// that is there now, not of one that is imported under its name while the request is under way.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`]; [`Error::PlanOwned`] if it is owned or waited for; and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the plan is deleted or it is not.
    #[tracing::instrument(name = "delete_plan", level = "debug", skip_all, fields(%plan))]
    pub async fn delete(self, plan: &PlanName) -> Result<(), Error> {
        let layout = self.coordinator.layout();
        let spec = layout.of(plan, &PlanKey::Spec);
        let queue = layout.queue(plan);
        let mut seen = self
            .coordinator
            .etcd()
            .execute(&Transaction::default().then([Op::Find(spec.clone())]), Admission::TURN)
            .await?;
        let seen = seen.row().ok_or_else(|| Error::PlanNotFound(plan.clone()))?.created;
        let delete = [
            layout.spec(plan),
            layout.excerpts(plan),
            layout.tasks(plan),
            layout.findings(plan),
            layout.late(plan),
            layout.past_terms(plan),
            layout.halts(plan),
            layout.locks(plan),
        ];
        let when = [Compare::Created(spec.clone(), Some(seen)), Compare::Empty(queue.clone())];
        let txn = Transaction::when(when)
            .then(delete.map(Op::DeleteRange))
            .then([Op::Delete(layout.of(plan, &PlanKey::Import))])
            .otherwise([Op::Range(queue, 0), Op::Get(layout.of(plan, &PlanKey::Term)), Op::Find(spec)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(());
        }
        let (candidates, _) = reply.rows();
        let queue = queue_of(layout, plan, candidates, reply.row());
        if reply.row().is_none_or(|entry| entry.created != seen) {
            // It is gone: by an earlier attempt whose answer was lost, or by another process.
            return if reply.uncertain { Ok(()) } else { Err(Error::PlanNotFound(plan.clone())) };
        }
        match (queue.candidates().first(), queue.unreadable.first()) {
            (None, Some(unreadable)) => Err(unreadable.clone().into()),
            (first, _) => {
                let by = first.map_or_else(|| "another process".to_owned(), Candidate::name);
                Err(Error::PlanOwned { plan: plan.clone(), by })
            }
        }
    }
}
