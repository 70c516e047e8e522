//! A stretch of a live store's history: the state at one revision, and every change from there up to another
//! one.

use std::collections::BTreeMap;

use planlease_core::{
    Revision,
    change::RawChangeSet,
    keys::{Key, KeyRange},
};

use crate::{
    error::Error,
    feed::{Feed, RawSnapshot},
    raw::RawStore,
};

/// How often a stream has to be found alive and silent, 100 ms apart, until there is nothing more to come.
const SILENT: u32 = 20;

/// A stretch of history.
#[derive(Clone, Debug)]
pub struct History {
    /// The state that it begins with.
    pub base: RawSnapshot,
    /// What has changed since, in order.
    pub sets: Vec<RawChangeSet>,
}

impl RawStore<'_> {
    /// Reads the history of a range of keys from `from` up to `until`, both of the past. `None` if it is
    /// compacted, or has more than `most` changes.
    ///
    /// # Errors
    /// As for any read. While etcd cannot be reached it goes on trying: bound it in time.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn history(
        self,
        range: KeyRange,
        from: Revision,
        until: Revision,
        most: usize,
    ) -> Result<Option<History>, Error> {
        let mut base = match self.snapshot_at(&range, from).await {
            Ok(base) => base,
            Err(Error::Compacted) => return Ok(None),
            Err(error) => return Err(error),
        };
        base.revision = from;
        let present = self.snapshot_at(&range, until).await?;
        let mut arrival = Arrival::new(written(&present), until);
        arrival.seed(&base);
        let mut changes = self.changes(range, from.next()).in_a_hurry();
        let (mut sets, mut count) = (Vec::new(), 0);
        while !arrival.is_complete() {
            match changes.next().await? {
                Feed::Compacted(_) => return Ok(None),
                Feed::Broken(reason) => tracing::debug!(reason, "the history is read on"),
                Feed::Alive(revision) => arrival.reported(revision),
                Feed::Connected => arrival.asked(),
                Feed::Changes(more) => {
                    for set in more {
                        if arrival.apply(&set) {
                            count += set.changes.len();
                            sets.push(set);
                        }
                    }
                    if count > most {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(History { base, sets }))
    }
}

/// Every key of a snapshot with the revision that wrote it last.
pub(crate) fn written(snapshot: &RawSnapshot) -> BTreeMap<Key, Revision> {
    snapshot.entries.iter().map(|(key, entry)| (key.clone(), entry.modified)).collect()
}

/// Whether a replayed history has arrived at a known state.
///
/// The watch alone does not show when everything has arrived: some versions of etcd report it too early. So
/// the replayed state is compared with the known one: if every key was last written at the same revision,
/// nothing is missing.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Every key with the revision that wrote it last, as replayed so far.
    replayed: BTreeMap<Key, Revision>,
    /// The same as etcd shows it at `until`.
    present: BTreeMap<Key, Revision>,
    until: Revision,
    /// The revision up to which etcd claims to have sent everything.
    sent: Option<Revision>,
    /// How often the stream was found alive, and silent, since the replayed state was the known one.
    silent: u32,
}

impl Arrival {
    /// Of a history that ends at `until` with these keys.
    pub(crate) fn new(present: BTreeMap<Key, Revision>, until: Revision) -> Self {
        Self { replayed: BTreeMap::new(), present, until, sent: None, silent: 0 }
    }

    /// The same end, and nothing replayed yet.
    pub(crate) fn again(self) -> Self {
        Self::new(self.present, self.until)
    }

    pub(crate) fn until(&self) -> Revision {
        self.until
    }

    /// The state that the history begins with.
    pub(crate) fn seed(&mut self, base: &RawSnapshot) {
        self.replayed = written(base);
    }

    /// Takes over a change set. Whether it belongs to the history.
    pub(crate) fn apply(&mut self, set: &RawChangeSet) -> bool {
        self.silent = 0;
        self.reported(set.revision);
        if set.revision > self.until {
            return false;
        }
        for change in &set.changes {
            match &change.entry {
                Some(entry) => self.replayed.insert(change.key.clone(), entry.modified),
                None => self.replayed.remove(&change.key),
            };
        }
        true
    }

    /// etcd reports that it has sent everything up to this revision.
    pub(crate) fn reported(&mut self, revision: Revision) {
        self.sent = self.sent.max(Some(revision));
    }

    /// The stream was found alive by another watch: a proxy stands before etcd, and it does not report how
    /// far it is.
    pub(crate) fn asked(&mut self) {
        self.silent = if self.replayed == self.present { self.silent + 1 } else { 0 };
        if self.silent >= SILENT {
            self.reported(self.until);
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.sent >= Some(self.until) && self.replayed == self.present
    }
}
