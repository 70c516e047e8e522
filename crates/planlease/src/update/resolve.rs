//! What became of a write that was not answered: found out from the present records, their history, and the
//! guard.
//!
//! A record, or one in its history, with the write's `op_id` shows that the write was carried out. Two things
//! show that it never will be, since it compares both: a record of a later revision without that id in its
//! history, and, while the record is as it was, a guard that is gone for good. Else the write may still come.

use std::time::Duration;

use planlease_core::{TaskId, keys::PlanKey, record::Guard, view::TaskView};
use uuid::Uuid;

use super::outcome::{Outcome, Refused};
use crate::{
    authority::Authority,
    error::{AuthorityLoss, Error},
    etcd::{Admission, Op, Transaction},
    retry::Backoff,
};

/// How long unknown outcomes of one submission are looked for, in addition to the time that its requests had.
pub(super) const RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// The pauses in between, the first and the longest.
pub(super) const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Tasks and the guard, at one revision.
pub(super) struct Present {
    /// The records, in the order in which they were asked for; `None` where the plan has no such task.
    pub(super) tasks: Vec<Option<TaskView>>,
    /// Whether the guard is gone for good: no write under it can be carried out any more.
    pub(super) guard_is_gone: bool,
}

impl Authority {
    /// Reads tasks and the guard. One transaction.
    pub(super) async fn present(&self, tasks: &[&TaskId]) -> Result<Present, Error> {
        let layout = self.coordinator().layout();
        let key = |task: &&TaskId| layout.of(self.plan(), &PlanKey::Task((*task).clone()));
        let reads: Vec<Op> = tasks.iter().map(|task| Op::Get(key(task))).collect();
        let guarded = self.guarded(Transaction::default().then(reads.clone()).otherwise(reads));
        let mut reply = self.coordinator().etcd().execute(&guarded, Admission::TURN).await?;
        let mut present = Vec::with_capacity(tasks.len());
        for task in tasks {
            let entry = reply.row();
            let view = entry.map(|entry| TaskView::read(self.plan(), (*task).clone(), &entry));
            present.push(view.transpose()?);
        }
        // That a plan has no owner may hold again.
        let may_return = matches!(self.writer().guard, Guard::Unowned | Guard::Import);
        Ok(Present { tasks: present, guard_is_gone: !reply.guard_held && !may_return })
    }

    /// What is lost when the guard is gone: the session, if that is over.
    pub(super) fn loss_of_guard(&self) -> AuthorityLoss {
        match self.ensure_live() {
            Err(Error::AuthorityLost(loss)) => loss,
            _ => self.loss(),
        }
    }

    /// Looks what became of a write on this record, for as long as is given. It goes on when the session is
    /// over: that ends the authority, not the write.
    pub(super) async fn resolve(
        &self,
        base: &TaskView,
        op_id: Uuid,
        reason: String,
        within: Duration,
    ) -> Outcome {
        let looked = tokio::time::timeout(within, self.look_for(base, op_id)).await;
        let outcome = looked.ok().flatten().unwrap_or(Outcome::Unknown { op_id, reason });
        self.coordinator().etcd().counts().settled(outcome.fate());
        outcome
    }

    /// `None` if it cannot be found out.
    async fn look_for(&self, base: &TaskView, op_id: Uuid) -> Option<Outcome> {
        let mut pauses = Backoff::new(LOOK_AGAIN.0, LOOK_AGAIN.1, None);
        loop {
            match self.conclude(base, op_id).await {
                Ok(Some(outcome)) => return Some(outcome),
                Ok(None) => {} // The write may still come.
                Err(error) if error.is_transient() => {}
                // The plan or its history is gone, and with it what would show it.
                Err(_) => return None,
            }
            tokio::time::sleep(pauses.next(self.coordinator().etcd().random())?).await;
        }
    }

    /// What is shown at this moment; `None` if the write may still come.
    async fn conclude(&self, base: &TaskView, op_id: Uuid) -> Result<Option<Outcome>, Error> {
        let Present { mut tasks, guard_is_gone } = self.present(&[&base.id]).await?;
        let Some(present) = tasks.pop().flatten() else {
            return Err(Error::TaskNotFound { plan: self.plan().clone(), task: base.id.clone() });
        };
        if present.record.op_id == op_id {
            return Ok(Some(Outcome::Committed(present)));
        }
        if present.revision != base.revision {
            let history = self.coordinator().history(self.plan());
            let found = history.written_before(base, op_id, present.revision).await?;
            let refused = || Outcome::Refused(Refused::Conflict(Box::new(present)));
            return Ok(Some(found.map_or_else(refused, Outcome::Committed)));
        }
        Ok(guard_is_gone.then(|| Outcome::Refused(Refused::AuthorityLost(self.loss_of_guard()))))
    }
}
