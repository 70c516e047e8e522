//! Records of worktrees, each written by compare-and-swap; a new record is guarded by the plan's ownership as
//! well.
//!
//! What the records are about is in a file system, which no transaction reaches. So they are written *around*
//! what is done there, and a process that changes both holds the lock of the repository meanwhile.

use planlease_core::{
    HostName, Revision, WorktreeName,
    change::Entry,
    codec::{self, CodecError},
    keys::Key,
    record::WorktreeRecord,
    unreadable::{self, Unreadable},
};

use crate::{
    authority::Authority,
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    list::List,
};

/// A worktree as it was at a revision.
#[derive(Clone, Debug, PartialEq)]
pub struct WorktreeView {
    /// On which host.
    pub host: HostName,
    /// Its name there.
    pub name: WorktreeName,
    /// The revision that made its key: the order in which worktrees came.
    pub created: Revision,
    /// The revision that wrote this record: what the next write compares.
    pub revision: Revision,
    /// The record.
    pub record: WorktreeRecord,
}

/// What became of a write. One whose answer got lost is [`Error::OutcomeUnknown`].
#[derive(Clone, Debug)]
#[must_use = "a write may have been refused"]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub enum WorktreeWrite {
    /// It was carried out; this is the record now.
    Written(WorktreeView),
    /// The record was changed since it was seen, or is there although it should not be, or is gone.
    Conflict(Option<Box<WorktreeView>>),
    /// The authority is lost: the ownership is over, or the plan has an owner now.
    AuthorityLost,
}

impl WorktreeView {
    fn read(host: HostName, name: WorktreeName, entry: &Entry) -> Result<Self, Unreadable> {
        let record = unreadable::read(&Key::Worktree(host.clone(), name.clone()), &entry.value)?;
        Ok(Self { host, name, created: entry.created, revision: entry.modified, record })
    }
}

/// The records of worktrees. Made by [`Coordinator::worktrees`].
#[derive(Clone, Copy, Debug)]
pub struct Worktrees<'a> {
    coordinator: &'a Coordinator,
}

impl Coordinator {
    /// The records of worktrees: reading them, and what needs no authority over a plan.
    #[must_use]
    pub fn worktrees(&self) -> Worktrees<'_> {
        Worktrees { coordinator: self }
    }
}

impl Worktrees<'_> {
    /// All worktrees of all hosts that this store knows of.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn list(self) -> Result<List<WorktreeView>, Error> {
        let snapshot = self.coordinator.raw().snapshot(&self.coordinator.layout().worktrees()).await?;
        let views = snapshot.entries.into_iter().map(|(key, entry)| match key {
            Key::Worktree(host, name) => WorktreeView::read(host, name, &entry),
            other => Err(Unreadable::new(other, &CodecError::UnknownKey)),
        });
        Ok(views.collect())
    }

    /// One worktree, if there is a record of it.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn get(self, host: &HostName, name: &WorktreeName) -> Result<Option<WorktreeView>, Error> {
        let key = self.coordinator.layout().key(&Key::Worktree(host.clone(), name.clone()));
        let mut reply = self
            .coordinator
            .etcd()
            .execute(&Transaction::default().then([Op::Get(key)]), Admission::TURN)
            .await?;
        Ok(reply.row().map(|entry| WorktreeView::read(host.clone(), name.clone(), &entry)).transpose()?)
    }

    /// Writes the next record of a worktree, if the present one is still the one that was seen.
    ///
    /// # Errors
    /// As for any request; [`Error::OutcomeUnknown`] if no answer came.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn update(self, seen: &WorktreeView, next: &WorktreeRecord) -> Result<WorktreeWrite, Error> {
        write(self.coordinator, None, (&seen.host, &seen.name), Some(seen), next).await
    }

    /// Forgets a worktree of which nothing is left, if its record is still the one that was seen. `false`: it
    /// is not.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn forget(self, seen: &WorktreeView) -> Result<bool, Error> {
        let key = self.coordinator.layout().key(&Key::Worktree(seen.host.clone(), seen.name.clone()));
        let txn = Transaction::when([Compare::Modified(key.clone(), Some(seen.revision))])
            .then([Op::Delete(key.clone())])
            .otherwise([Op::Find(key)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        // Gone is gone: by this attempt, an earlier one, or another process.
        Ok(reply.branch == Branch::Then || reply.row().is_none())
    }
}

impl Authority {
    /// Writes the first record of a worktree, if there is none of that name and the right holds. One
    /// transaction. The record says by itself whose it is; nothing of it is filled in here.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if the session under the right is over, and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn add_worktree(
        &self,
        host: &HostName,
        name: &WorktreeName,
        record: &WorktreeRecord,
    ) -> Result<WorktreeWrite, Error> {
        self.ensure_live()?;
        write(self.coordinator(), Some(self), (host, name), None, record).await
    }

    /// Writes the next record of a worktree, if the present one is still the one that was seen and the right
    /// holds.
    ///
    /// # Errors
    /// As [`Authority::add_worktree`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn update_worktree(
        &self,
        seen: &WorktreeView,
        next: &WorktreeRecord,
    ) -> Result<WorktreeWrite, Error> {
        self.ensure_live()?;
        write(self.coordinator(), Some(self), (&seen.host, &seen.name), Some(seen), next).await
    }
}

async fn write(
    coordinator: &Coordinator,
    authority: Option<&Authority>,
    (host, name): (&HostName, &WorktreeName),
    seen: Option<&WorktreeView>,
    next: &WorktreeRecord,
) -> Result<WorktreeWrite, Error> {
    let key = coordinator.layout().key(&Key::Worktree(host.clone(), name.clone()));
    let txn = Transaction::when([Compare::Modified(key.clone(), seen.map(|seen| seen.revision))])
        .then([Op::Put(key.clone(), codec::encode(next)?)])
        .otherwise([Op::Get(key)]);
    let mut reply = match authority {
        Some(authority) => coordinator.etcd().execute(&authority.guarded(txn), Admission::TURN).await?,
        None => coordinator.etcd().execute(&txn, Admission::TURN).await?,
    };
    if reply.branch == Branch::Then {
        let created = seen.map_or(reply.revision, |seen| seen.created);
        return Ok(WorktreeWrite::Written(WorktreeView {
            host: host.clone(),
            name: name.clone(),
            created,
            revision: reply.revision,
            record: next.clone(),
        }));
    }
    let present =
        reply.row().map(|entry| WorktreeView::read(host.clone(), name.clone(), &entry)).transpose()?;
    Ok(match present {
        // By an earlier try, whose answer got lost.
        Some(present) if present.record.op_id == next.op_id => WorktreeWrite::Written(present),
        _ if !reply.guard_held => WorktreeWrite::AuthorityLost,
        present => WorktreeWrite::Conflict(present.map(Box::new)),
    })
}
