//! The findings of tasks, and the output of their commands: stored under the same guard as the tasks.

use planlease_core::{
    TaskId,
    change::Entry,
    codec,
    keys::PlanKey,
    record::{FindingsRecord, OutputRecord},
};

use crate::{
    authority::Authority,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
};

/// How often a text is stored again because others store one at the same moment.
const MAX_CONFLICTS: usize = 32;

impl Authority {
    /// Stores the findings of a task, cut to the size that is kept; its output stays. One read and one
    /// transaction, which compares that nothing else was stored in between: findings that arrive late do not
    /// take the place of newer ones.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if the right is gone, [`Error::TaskNotFound`], [`Error::TimedOut`] if others
    /// keep writing, and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn write_findings(&self, task: &TaskId, attempt: u32, text: &str) -> Result<(), Error> {
        self.store_findings(task, |output| FindingsRecord { output, ..FindingsRecord::new(attempt, text) })
            .await
    }

    /// Stores what the command of an attempt wrote, cut to the size that is kept; the findings of the task
    /// stay. As [`Authority::write_findings`] otherwise.
    ///
    /// # Errors
    /// As [`Authority::write_findings`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn write_output(&self, task: &TaskId, attempt: u32, text: &str) -> Result<(), Error> {
        let output = OutputRecord::new(attempt, text);
        self.store(task, |present| match present {
            Some(findings) => FindingsRecord { output: Some(output.clone()), ..findings },
            None => FindingsRecord::of_output(output.clone()),
        })
        .await
    }

    /// Stores where the findings of a task are kept, with a text about them. As [`Authority::write_findings`]
    /// otherwise.
    ///
    /// # Errors
    /// As [`Authority::write_findings`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn write_reference(
        &self,
        task: &TaskId,
        attempt: u32,
        text: &str,
        reference: &str,
    ) -> Result<(), Error> {
        let reference = Some(reference.to_owned());
        self.store_findings(task, |output| FindingsRecord {
            reference: reference.clone(),
            output,
            ..FindingsRecord::new(attempt, text)
        })
        .await
    }

    async fn store_findings(
        &self,
        task: &TaskId,
        findings: impl Fn(Option<OutputRecord>) -> FindingsRecord,
    ) -> Result<(), Error> {
        self.store(task, |present| findings(present.and_then(|present| present.output))).await
    }

    /// Stores what is made of the present record.
    async fn store(
        &self,
        task: &TaskId,
        next: impl Fn(Option<FindingsRecord>) -> FindingsRecord,
    ) -> Result<(), Error> {
        self.ensure_live()?;
        let layout = self.coordinator().layout();
        let key = layout.of(self.plan(), &PlanKey::Findings(task.clone()));
        let record = layout.of(self.plan(), &PlanKey::Task(task.clone()));
        let mut seen = self.etcd_row(&key).await?;
        for _ in 0..MAX_CONFLICTS {
            let present = seen
                .as_ref()
                .map(|entry| codec::decode_within(&entry.value, codec::MAX_FINDINGS_VALUE))
                .transpose()?;
            let value = codec::encode_within(&next(present), codec::MAX_FINDINGS_VALUE)?;
            let when = [
                Compare::Exists(record.clone()),
                Compare::Modified(key.clone(), seen.as_ref().map(|entry| entry.modified)),
            ];
            let txn = Transaction::when(when)
                .then([Op::Put(key.clone(), value.clone())])
                .otherwise([Op::Find(record.clone()), Op::Get(key.clone())]);
            let write = self.guarded(txn).coalesced(self.plan());
            let mut reply = self.coordinator().etcd().execute(write, Admission::TURN).await?;
            if reply.branch == Branch::Then {
                return Ok(());
            }
            let (exists, present) = (reply.row().is_some(), reply.row());
            if reply.uncertain && present.as_ref().is_some_and(|entry| entry.value == value) {
                return Ok(()); // By an earlier try whose answer got lost.
            }
            if !exists {
                return Err(Error::TaskNotFound { plan: self.plan().clone(), task: task.clone() });
            }
            if !reply.guard_held {
                return Err(self.loss().into());
            }
            seen = present;
        }
        Err(Error::TimedOut("others keep writing the output of this task"))
    }

    async fn etcd_row(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let read = Transaction::default().then([Op::Get(key.to_vec())]);
        Ok(self.coordinator().etcd().execute(&read, Admission::TURN).await?.row())
    }
}
