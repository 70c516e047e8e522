//! Snapshots and changes as etcd sends them: the raw material of watchers and audits.

use std::time::Duration;

use planlease_core::{
    Revision,
    change::{Entry, KeyChange, RawChangeSet},
    keys::{Key, KeyRange, Layout},
};

use crate::{
    error::Error,
    etcd::{Etcd, Fault, FaultKind, Page, Pages, QUIET, Watch, WatchEvent, WatchMessage, WatchSpec},
    retry::Backoff,
};

/// The only watch on the stream.
const WATCH: i64 = 1;

/// A range as of one revision, or a page of it.
#[derive(Clone, Debug)]
pub struct RawSnapshot {
    /// The revision.
    pub revision: Revision,
    /// What was there, in the order of the keys; strangers' keys are left out.
    pub entries: Vec<(Key, Entry)>,
}

/// What is left of a range that is read page by page, all of it at the revision of its first page. See
/// [`crate::RawStore::pages`].
#[derive(Debug)]
pub struct Listing {
    rest: Pages,
    layout: Layout,
}

/// Changes of a range from a revision on: every revision once, whole, in order, over any number of broken
/// connections.
///
/// It owns no task: polling drives it, and dropping it ends the watch.
#[derive(Debug)]
pub struct Changes {
    etcd: Etcd,
    layout: Layout,
    range: KeyRange,
    /// The first revision that has not been delivered.
    from: Revision,
    watch: Option<Watch>,
    quiet: Duration,
    backoff: Backoff,
}

/// What [`Changes::next`] brings.
#[derive(Debug)]
pub enum Feed {
    /// Revisions with changes, in order.
    Changes(Vec<RawChangeSet>),
    /// The watch stands. Nothing is said yet about what has changed.
    Connected,
    /// Everything up to this revision has been delivered: the stream is alive.
    Alive(Revision),
    /// The history from where it was to go on is compacted up to this revision: read a new snapshot, and go
    /// on from there.
    Compacted(Revision),
    /// The connection broke, for this reason; the next call reconnects. Nothing is lost.
    Broken(String),
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Listing {
    /// The first page of a range, and what is left of it.
    pub(crate) async fn begin(
        etcd: &Etcd,
        layout: &Layout,
        range: KeyRange,
        at: Option<Revision>,
    ) -> Result<(RawSnapshot, Self), Error> {
        let (page, rest) = etcd.first_page(range, at).await?;
        Ok((RawSnapshot::of(layout, page), Self { rest, layout: layout.clone() }))
    }

    /// The next page; `None` if there is none any more.
    ///
    /// # Errors
    /// As for any read. [`Error::Compacted`] if reading took so long that etcd has forgotten the revision
    /// meanwhile.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped: the next call reads the same page.
    pub async fn next(&mut self) -> Result<Option<RawSnapshot>, Error> {
        let page = self.rest.next().await?;
        Ok(page.map(|page| RawSnapshot::of(&self.layout, page)))
    }
}

impl RawSnapshot {
    fn of(layout: &Layout, page: Page) -> Self {
        let rows = page.rows.into_iter();
        let entries = rows.filter_map(|(key, entry)| Some((layout.parse(&key)?, entry))).collect();
        Self { revision: page.revision, entries }
    }

    /// Reads a whole range, at one revision: `at` if given, else the present one.
    pub(crate) async fn read(
        etcd: &Etcd,
        layout: &Layout,
        range: &KeyRange,
        at: Option<Revision>,
    ) -> Result<Self, Error> {
        Ok(Self::of(layout, etcd.scan(range, at).await?))
    }
}

impl Changes {
    pub(crate) fn new(etcd: Etcd, layout: Layout, range: KeyRange, from: Revision) -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2), None);
        Self { etcd, layout, range, from, watch: None, quiet: QUIET, backoff }
    }

    /// Has etcd asked soon after it falls silent, instead of after some seconds, whether it has sent
    /// everything: for a reader that wants to know when it has arrived.
    pub(crate) fn in_a_hurry(self) -> Self {
        Self { quiet: Duration::from_millis(100), ..self }
    }

    /// Waits for what comes next.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped: the next call goes on where it left off.
    ///
    /// # Errors
    /// Only what is never [transient](Error::is_transient): [`Error::StoreRestored`]. Certificates, passwords
    /// and roles have worked before, and may work again: what is wrong with them is [`Feed::Broken`].
    pub async fn next(&mut self) -> Result<Feed, Error> {
        if self.watch.is_none() {
            // One revision earlier than needed. Where nothing has happened since, the needed one is of the
            // future, and etcd (3.5.22 and later) does not answer questions for the progress of such a watch:
            // an idle server would be taken for a dead one. (A key watch begins exactly: etcd looks into the
            // past only every 100 ms.)
            let from = Revision::from_wire(self.from.to_wire() - 1).unwrap_or(self.from);
            let spec = WatchSpec { id: WATCH, range: self.range.clone(), from, quiet: self.quiet };
            match self.etcd.watch(&spec).await {
                Ok(watch) => self.watch = Some(watch),
                Err(fault) => return self.broken(fault).await,
            }
        }
        let Some(watch) = self.watch.as_mut() else { return Ok(Feed::Broken("not connected".to_owned())) };
        let message = match watch.next().await {
            Ok(WatchMessage { event: WatchEvent::Cancelled(fault), .. }) | Err(fault) => {
                if let Some(watch) = self.watch.take() {
                    watch.give_up(&self.etcd);
                }
                return self.broken(fault).await;
            }
            Ok(message) => message,
        };
        self.backoff.reset();
        match message.event {
            WatchEvent::Compacted(at) => {
                self.watch = None;
                Ok(Feed::Compacted(at))
            }
            WatchEvent::Created | WatchEvent::Cancelled(_) => Ok(Feed::Connected),
            WatchEvent::Alive => Ok(Feed::Alive(message.revision.unwrap_or(self.from))),
            WatchEvent::Changes(changes) => Ok(Feed::Changes(self.sets(changes))),
        }
    }

    /// Groups changes by revision. What was delivered before is dropped: some versions of etcd tell things
    /// twice after a reconnection.
    fn sets(&mut self, changes: Vec<(Revision, Vec<u8>, Option<Entry>)>) -> Vec<RawChangeSet> {
        let mut sets: Vec<RawChangeSet> = Vec::new();
        for (revision, key, entry) in changes {
            if revision < sets.last().map_or(self.from, |set| set.revision) {
                if revision.next() < self.from {
                    tracing::warn!(%revision, "etcd sent a change again"); // The last one is asked for on purpose.
                }
                continue;
            }
            let Some(key) = self.layout.parse(&key) else { continue };
            let change = KeyChange { key, entry };
            match sets.last_mut() {
                Some(set) if set.revision == revision => set.changes.push(change),
                _ => sets.push(RawChangeSet { revision, changes: vec![change] }),
            }
        }
        if let Some(last) = sets.last() {
            self.from = last.revision.next();
        }
        sets
    }

    async fn broken(&mut self, fault: Fault) -> Result<Feed, Error> {
        // What was held is of another life of the store.
        if fault.kind == FaultKind::Restored {
            return Err(fault.into());
        }
        let delay = self.backoff.next(self.etcd.random()).unwrap_or_default();
        tokio::time::sleep(delay).await;
        Ok(Feed::Broken(fault.to_string()))
    }
}
