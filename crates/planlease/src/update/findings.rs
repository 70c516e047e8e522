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

/// What an attempt at a task has found out.
///
/// ```
/// use planlease::Findings;
///
/// let findings = Findings::of_attempt(2, "two of five mirrors are stale").kept_at("s3://findings/2.txt");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    attempt: u32,
    text: String,
    reference: Option<String>,
}

impl Findings {
    /// A text by this attempt; it is cut to the size that is kept.
    #[must_use]
    pub fn of_attempt(attempt: u32, text: impl Into<String>) -> Self {
        Self { attempt, text: text.into(), reference: None }
    }

    /// The same, with where the whole of it is kept, outside of the store.
    #[must_use]
    pub fn kept_at(self, reference: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()), ..self }
    }
}

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
    pub async fn write_findings(&self, task: &TaskId, findings: &Findings) -> Result<(), Error> {
        let Findings { attempt, text, reference } = findings;
        self.store(task, |present| FindingsRecord {
            reference: reference.clone(),
            output: present.and_then(|present| present.output),
            ..FindingsRecord::new(*attempt, text)
        })
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
