//! The keys of the store as they are: the raw material of watchers and audits.

use planlease_core::{
    Revision,
    keys::{Key, KeyRange},
};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Op, Transaction},
    feed::{Changes, Listing, RawSnapshot},
};

/// The keys of the store as they are. Made by [`Coordinator::raw`].
#[derive(Clone, Copy, Debug)]
pub struct RawStore<'a> {
    pub(crate) coordinator: &'a Coordinator,
}

impl Coordinator {
    /// The keys of the store as they are, for watchers and audits.
    #[must_use]
    pub fn raw(&self) -> RawStore<'_> {
        RawStore { coordinator: self }
    }
}

impl RawStore<'_> {
    /// Reads a range of keys as of one revision. For watchers and audits.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn snapshot(self, range: &KeyRange) -> Result<RawSnapshot, Error> {
        RawSnapshot::read(self.coordinator.etcd(), self.coordinator.layout(), range, None).await
    }

    /// The present revision of the store: what is known up to it is up to date. One small read.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn revision(self) -> Result<Revision, Error> {
        let store = self.coordinator.layout().key(&Key::Store);
        let read = Transaction::default().then([Op::Find(store)]);
        Ok(self.coordinator.etcd().execute(&read, Admission::TURN).await?.revision)
    }

    /// As [`RawStore::snapshot`], page by page: reads the first one, and returns how to get the others.
    /// For callers that do not want to wait for all of it, or to hold all of it at a time.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn pages(self, range: KeyRange) -> Result<(RawSnapshot, Listing), Error> {
        Listing::begin(self.coordinator.etcd(), self.coordinator.layout(), range, None).await
    }

    /// As [`RawStore::snapshot`], as of an earlier revision: for callers that continue from there.
    ///
    /// # Errors
    /// [`Error::Compacted`] if etcd's history does not reach back so far; [`Error::Refused`] for a revision
    /// of the future; and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn snapshot_at(self, range: &KeyRange, revision: Revision) -> Result<RawSnapshot, Error> {
        RawSnapshot::read(self.coordinator.etcd(), self.coordinator.layout(), range, Some(revision)).await
    }

    /// The changes of a range of keys, beginning with revision `from`. For watchers and audits.
    #[must_use]
    pub fn changes(self, range: KeyRange, from: Revision) -> Changes {
        Changes::new(self.coordinator.etcd().clone(), self.coordinator.layout().clone(), range, from)
    }
}
