//! Keeping what a late result said.
//!
//! The one write of a plan's keys that compares no authority: the reporter of a late result has none. It
//! touches a key of its own, by which nothing is decided, and it is bounded ([`planlease_core::late`]).

use std::time::Duration;

use planlease_core::{
    PlanName, TaskId, codec,
    keys::{Key, PlanKey},
    late::{LateRecord, LateResult, Refuser},
    transition::{Change, Write},
    unreadable,
};

use crate::{
    authority::Authority,
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
};

/// How often it is tried again because others keep late results of the same task at the same moment.
const TRIES: usize = 8;

/// How long a refusal waits for that at most.
const PATIENCE: Duration = Duration::from_secs(2);

impl Coordinator {
    /// The results of a task that came too late, oldest first; the last 16.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn late_results(&self, plan: &PlanName, task: &TaskId) -> Result<Vec<LateResult>, Error> {
        let record = self.record::<LateRecord>(&Key::Plan(plan.clone(), PlanKey::Late(task.clone()))).await?;
        Ok(record.map(|record| record.results).unwrap_or_default())
    }
}

impl Authority {
    /// Keeps what a refused change said, if it is a result that came too late. A failure to keep it is logged
    /// only: the caller has the refusal as its answer, and waits at most [`PATIENCE`] longer for this.
    pub(crate) async fn keep_late(
        &self,
        task: &TaskId,
        change: &Change,
        write: &Write,
        refuser: Refuser<'_>,
    ) {
        let Some(result) = LateResult::of(change, write, refuser) else { return };
        let kept = tokio::time::timeout(PATIENCE, self.write_late(task, &result, write)).await;
        if let Err(error) = kept.unwrap_or(Err(Error::TimedOut("no answer"))) {
            tracing::warn!(plan = %self.plan(), %task, %error, "a late result is not kept");
        }
    }

    /// One read and one transaction; both again if others do the same.
    async fn write_late(&self, task: &TaskId, result: &LateResult, write: &Write) -> Result<(), Error> {
        let (etcd, layout) = (self.coordinator().etcd(), self.coordinator().layout());
        let late = Key::Plan(self.plan().clone(), PlanKey::Late(task.clone()));
        let key = layout.key(&late);
        let record = layout.of(self.plan(), &PlanKey::Task(task.clone()));
        let read = Transaction::default().then([Op::Get(key.clone())]);
        let mut seen = etcd.execute(&read, Admission::TURN).await?.row();
        for _ in 0..TRIES {
            let before = seen.as_ref().map(|entry| unreadable::read(&late, &entry.value)).transpose()?;
            if before.as_ref().is_some_and(|before: &LateRecord| before.op_id == write.op_id) {
                return Ok(()); // By an earlier try whose answer got lost.
            }
            let Some(next) = LateRecord::with(before, result.clone(), write.op_id) else { return Ok(()) };
            let unchanged = Compare::Modified(key.clone(), seen.as_ref().map(|entry| entry.modified));
            let txn = Transaction::when([Compare::Exists(record.clone()), unchanged])
                .then([Op::Put(key.clone(), codec::encode(&next)?)])
                .otherwise([Op::Find(record.clone()), Op::Get(key.clone())]);
            let mut reply = etcd.execute(&txn, Admission::TURN).await?;
            if reply.branch == Branch::Then || reply.row().is_none() {
                return Ok(()); // Done; or the plan is gone, and everything about it.
            }
            seen = reply.row();
        }
        Err(Error::TimedOut("others keep late results of this task all the time"))
    }
}
