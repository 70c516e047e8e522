//! The audit of a live store: reads its whole history from etcd and replays it against the invariants.

use std::collections::BTreeMap;

use planlease_core::{
    Revision,
    audit::{Audit, Report},
    change::{Entry, RawChangeSet},
    keys::Key,
};

use crate::{coordinator::Coordinator, error::Error, feed::Feed};

/// How often an audit restarts because the history was compacted while it was read.
const MAX_RESTARTS: usize = 5;

/// What an audit came to.
#[derive(Clone, Debug)]
pub struct Audited {
    /// What was found.
    pub report: Report,
    /// Whether the history was there from the first revision on. If not, it began with a snapshot: the compacted past is
    /// taken as it is.
    pub complete: bool,
    /// Up to which revision it was read.
    pub until: Revision,
    /// The audit itself, for further questions.
    pub audit: Audit,
}

impl Coordinator {
    /// Reads the history of the namespace up to the present revision and replays it. Takes as long as the history is;
    /// `progress` is called with the revision up to which it was read. Changes nothing.
    ///
    /// # Errors
    /// As for any read.
    pub async fn audit(&self, mut progress: impl FnMut(u64)) -> Result<Audited, Error> {
        let present = self.snapshot(&self.layout().everything()).await?;
        let until = present.revision;
        let present = present.entries.into_iter().map(|(key, entry)| (key, entry.modified)).collect();
        let first = Revision::from_wire(1).unwrap_or(until);
        let mut replay = Replay::new(present, until);
        let Some(mut compacted) = self.replay(&mut replay, first, &mut progress).await? else {
            return Ok(replay.finish(true));
        };
        for _ in 0..MAX_RESTARTS {
            replay = Replay::new(replay.present, until);
            match self.snapshot_at(&self.layout().everything(), compacted).await {
                Ok(snapshot) => replay.seed(snapshot.entries),
                Err(Error::Compacted) => {}
                Err(error) => return Err(error),
            }
            match self.replay(&mut replay, compacted.next(), &mut progress).await? {
                None => return Ok(replay.finish(false)),
                Some(further) => compacted = further, // Compacted while it was read: again from there.
            }
        }
        Err(Error::Compacted)
    }

    /// Replays the history from `from` on. `Some` if it is compacted up to a later revision than that.
    async fn replay(
        &self,
        replay: &mut Replay,
        from: Revision,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Revision>, Error> {
        let mut changes = self.changes(self.layout().everything(), from).in_a_hurry();
        while !replay.is_complete() {
            match changes.next().await? {
                Feed::Compacted(at) => return Ok(Some(at)),
                Feed::Broken(reason) => {
                    tracing::debug!(reason, "the history is read on");
                    // An audit has an end: if the store cannot be read either, for the time of an operation, that is it.
                    self.ping(self.config().operation_timeout).await?;
                }
                Feed::Alive(revision) => replay.sent = replay.sent.max(Some(revision)),
                Feed::Connected => replay.asked(),
                Feed::Changes(sets) => {
                    sets.iter().for_each(|set| replay.apply(set));
                    progress(sets.last().map_or(0, |set| set.revision.get()));
                }
            }
        }
        Ok(None)
    }
}

/// How often a stream has to be found alive and silent, 100 ms apart, until there is nothing more to come.
const SILENT: u32 = 20;

/// A history being replayed until it arrives at the present.
///
/// The watch alone does not show when everything has arrived: some versions of etcd report it too early. So
/// the replayed state is compared with the present one: if every key was last written at the same revision, nothing is
/// missing.
struct Replay {
    audit: Audit,
    /// Every key with the revision that wrote it last, as replayed so far.
    replayed: BTreeMap<Key, Revision>,
    /// The same as etcd shows it at `until`.
    present: BTreeMap<Key, Revision>,
    until: Revision,
    /// The revision up to which etcd claims to have sent everything.
    sent: Option<Revision>,
    /// How often the stream was found alive, and silent, since the replayed state was the present one.
    silent: u32,
}

impl Replay {
    fn new(present: BTreeMap<Key, Revision>, until: Revision) -> Self {
        Self { audit: Audit::new(), replayed: BTreeMap::new(), present, until, sent: None, silent: 0 }
    }

    fn seed(&mut self, entries: Vec<(Key, Entry)>) {
        self.replayed = entries.iter().map(|(key, entry)| (key.clone(), entry.modified)).collect();
        self.audit.seed(entries);
    }

    fn apply(&mut self, set: &RawChangeSet) {
        self.silent = 0;
        self.sent = self.sent.max(Some(set.revision));
        if set.revision > self.until {
            return;
        }
        for change in &set.changes {
            match &change.entry {
                Some(entry) => self.replayed.insert(change.key.clone(), entry.modified),
                None => self.replayed.remove(&change.key),
            };
        }
        self.audit.apply(set);
    }

    /// The stream was found alive by another watch: a proxy stands before etcd, and it does not tell how far it is.
    fn asked(&mut self) {
        self.silent = if self.replayed == self.present { self.silent + 1 } else { 0 };
        if self.silent >= SILENT {
            self.sent = self.sent.max(Some(self.until));
        }
    }

    fn is_complete(&self) -> bool {
        self.sent >= Some(self.until) && self.replayed == self.present
    }

    fn finish(self, complete: bool) -> Audited {
        Audited { report: self.audit.report(), complete, until: self.until, audit: self.audit }
    }
}
