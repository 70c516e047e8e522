//! Writing the excerpts of a plan's definition ([`planlease_core::excerpt`]): after an import, after an edit,
//! and after a start that missed them, in a plan that a version without them has written.
//!
//! They are written after the definition that they are of. Every transaction compares that the definition is
//! still that one, and that no other process writes excerpts at the same moment; where it is not so, they are
//! left to the other one. Until they are complete, what needs them reads the plan whole.

use std::{collections::BTreeMap, time::Duration};

use planlease_core::{
    PlanName, Revision, TaskId,
    change::Entry,
    codec::{self, FormatVersion},
    excerpt::{self, ExcerptsRecord},
    keys::{Key, PlanKey},
    spec::PlanSpec,
};

use super::import::chunk;
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
};

/// How long what needs no excerpts waits for their writing at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// The excerpts as they are stored.
struct Stored {
    /// The revision that wrote `excerpts`.
    written: Option<Revision>,
    excerpts: BTreeMap<Vec<u8>, (TaskId, Entry)>,
}

impl Coordinator {
    /// Writes the excerpts of a definition, if it is still the one of this revision. A failure is logged
    /// only: the plan is complete without them.
    pub(crate) async fn write_excerpts(&self, plan: &PlanName, spec: &PlanSpec, defined: Revision) {
        let written = tokio::time::timeout(PATIENCE, self.try_excerpts(plan, spec, defined)).await;
        match written.unwrap_or(Err(Error::TimedOut("no answer"))) {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(%plan, "another process has changed the plan or writes its excerpts")
            }
            Err(error) => tracing::debug!(%plan, %error, "the plan has no excerpts; it is read whole"),
        }
    }

    /// One read and one transaction; more of them for a large plan. Whether it is done.
    async fn try_excerpts(&self, plan: &PlanName, spec: &PlanSpec, defined: Revision) -> Result<bool, Error> {
        let stored = self.stored_excerpts(plan).await?;
        let changes = self.missing_excerpts(plan, spec, &stored)?;
        let of = |key| self.layout().of(plan, &key);
        let marked = |of| ExcerptsRecord {
            v: FormatVersion::default(),
            of,
            policy: spec.policy.clone(),
            extra: planlease_core::Extra::default(),
        };
        let present = Compare::Modified(of(PlanKey::Spec), Some(defined));
        let mut written = stored.written;
        let mut rest = changes.as_slice();
        loop {
            let now = chunk(rest);
            let later = &rest[now.len()..];
            // The mark of what is not complete yet keeps others from writing, and readers from reading.
            let complete = later.is_empty().then_some(defined);
            let mark = Op::Put(of(PlanKey::Excerpts), codec::encode(&marked(complete))?);
            let none = spec.tasks.len() <= excerpt::WHOLE && later.is_empty();
            let mark = if none { Op::Delete(of(PlanKey::Excerpts)) } else { mark };
            let txn = Transaction::when([present.clone(), Compare::Modified(of(PlanKey::Excerpts), written)])
                .then(now.iter().cloned())
                .then([mark]);
            let reply = self.etcd().execute(&txn, Admission::TURN).await?;
            if reply.branch == Branch::Otherwise || later.is_empty() {
                return Ok(reply.branch == Branch::Then);
            }
            (written, rest) = (Some(reply.revision), later);
        }
    }

    async fn stored_excerpts(&self, plan: &PlanName) -> Result<Stored, Error> {
        let page = self.etcd().scan(&self.layout().excerpts(plan), None).await?;
        let mut stored = Stored { written: None, excerpts: BTreeMap::new() };
        for (key, entry) in page.rows {
            match self.layout().parse(&key) {
                Some(Key::Plan(_, PlanKey::Excerpts)) => stored.written = Some(entry.modified),
                Some(Key::Plan(_, PlanKey::Excerpt(task))) => {
                    stored.excerpts.insert(key, (task, entry));
                }
                _ => {}
            }
        }
        Ok(stored)
    }

    /// What has to be written and deleted, so that these are the plan's excerpts.
    fn missing_excerpts(&self, plan: &PlanName, spec: &PlanSpec, stored: &Stored) -> Result<Vec<Op>, Error> {
        let names: Vec<TaskId> = stored.excerpts.values().map(|(task, _)| task.clone()).collect();
        let wanted = if spec.tasks.len() <= excerpt::WHOLE {
            Vec::new()
        } else {
            excerpt::encode_excerpts(spec, &names)?
        };
        let key = |task| self.layout().of(plan, &PlanKey::Excerpt(task));
        let wanted: BTreeMap<Vec<u8>, Vec<u8>> =
            wanted.into_iter().map(|(task, excerpt)| (key(task), excerpt)).collect();
        let gone = stored.excerpts.keys().filter(|key| !wanted.contains_key(*key)).cloned();
        let mut changes: Vec<Op> = gone.map(Op::Delete).collect();
        let new = |(key, value): &(Vec<u8>, Vec<u8>)| {
            stored.excerpts.get(key).is_none_or(|(_, entry)| entry.value != *value)
        };
        changes.extend(wanted.into_iter().filter(new).map(|(key, value)| Op::Put(key, value)));
        Ok(changes)
    }
}
