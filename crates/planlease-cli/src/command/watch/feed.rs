//! The changes for one reader, at its own pace.
//!
//! A watcher with many subscribers drops what a slow one does not read in time. Here there is one, and no
//! other whom it could hold up: etcd is read no faster than the changes are printed, so nothing is ever
//! dropped.

use std::{collections::VecDeque, time::Duration};

use planlease::{Changes, Coordinator, Error, Feed as RawFeed};
use planlease_core::{Revision, change::RawChangeSet, keys::KeyRange};
use planlease_watcher::{ChangeSet, Scope, Snapshot, Store};

use crate::{exit::Exit, failure::Failure, output};

/// How long to wait before a list that failed is tried again.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// What has happened.
#[derive(Debug)]
pub(in crate::command) enum News {
    /// Something changed.
    Changes(ChangeSet),
    /// The connection broke, and why. Returned again if the reason changes.
    Broken(String),
    /// There is a connection again.
    Reconnected,
}

/// The changes that `watch` prints.
#[derive(Debug)]
pub(in crate::command) struct Feed {
    coordinator: Coordinator,
    range: KeyRange,
    store: Store,
    changes: Changes,
    /// What was read and is not returned yet.
    ahead: VecDeque<RawChangeSet>,
    /// Why there is no connection, as returned last.
    broken: Option<String>,
}

impl Feed {
    /// Begins with everything of this scope as it was at this revision, or as it is now.
    pub(in crate::command) async fn open(
        coordinator: Coordinator,
        scope: &Scope,
        from: Option<Revision>,
    ) -> Result<Self, Failure> {
        let range = scope.range(coordinator.layout());
        let list = match from {
            None => coordinator.raw().snapshot(&range).await?,
            Some(from) => {
                let present = coordinator.raw().revision().await?;
                if from > present {
                    return Err(future(from, present));
                }
                coordinator.raw().snapshot_at(&range, from).await.map_err(|error| match error {
                    Error::Compacted => compacted(from, present),
                    error => error.into(),
                })?
            }
        };
        let store = Store::load(&list);
        let changes = coordinator.raw().changes(range.clone(), list.revision.next());
        Ok(Self { coordinator, range, store, changes, ahead: VecDeque::new(), broken: None })
    }

    /// Everything as of what was returned last.
    pub(in crate::command) fn snapshot(&self) -> &Snapshot {
        self.store.snapshot()
    }

    /// Waits for what comes next.
    pub(in crate::command) async fn next(&mut self) -> Result<News, Failure> {
        loop {
            while let Some(raw) = self.ahead.pop_front() {
                if let Some(set) = self.store.apply(&raw) {
                    return Ok(News::Changes(set));
                }
            }
            match self.changes.next().await? {
                RawFeed::Changes(sets) => self.ahead.extend(sets),
                RawFeed::Connected | RawFeed::Alive(_) if self.broken.is_some() => {
                    self.broken = None;
                    return Ok(News::Reconnected);
                }
                RawFeed::Alive(revision) if revision < self.store.snapshot().revision() => {
                    return Err(went_back(self.store.snapshot().revision(), revision));
                }
                RawFeed::Connected | RawFeed::Alive(_) => {}
                RawFeed::Compacted(_) => return Ok(News::Changes(self.resync().await?)),
                RawFeed::Broken(why) if self.broken.as_ref() == Some(&why) => {}
                RawFeed::Broken(why) => {
                    self.broken = Some(why.clone());
                    return Ok(News::Broken(why));
                }
            }
        }
    }

    /// Lists again, since the history from where it was is gone.
    async fn resync(&mut self) -> Result<ChangeSet, Failure> {
        let list = loop {
            match self.coordinator.raw().snapshot(&self.range).await {
                Ok(list) => break list,
                Err(error) if error.is_transient() => {
                    output::tell(&format!("cannot read: {}; trying again", planlease::error_chain(&error)));
                    tokio::time::sleep(LIST_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let held = self.store.snapshot().revision();
        if list.revision < held {
            return Err(went_back(held, list.revision));
        }
        self.changes = self.coordinator.raw().changes(self.range.clone(), list.revision.next());
        Ok(self.store.resync(&list))
    }
}

fn future(from: Revision, present: Revision) -> Failure {
    Failure::usage(format!("revision {from} is in the future: the store is at {present}"))
        .meaning("It may be of another store, or of this one before it was restored.")
        .remedy("Begin without --from-revision, or check --endpoints and --namespace.")
}

fn compacted(from: Revision, present: Revision) -> Failure {
    Failure::new(
        Exit::HistoryGone,
        format!("the history after revision {from} is compacted; the store is at {present}"),
    )
    .meaning("What happened since then cannot be shown change by change any more.")
    .remedy("Start over with --snapshot: it shows everything as it is, and the changes that follow.")
}

fn went_back(held: Revision, found: Revision) -> Failure {
    Failure::new(Exit::StoreMoved, format!("the store went back from revision {held} to {found}"))
        .meaning("etcd was restored from an older snapshot, or another one answers.")
        .remedy("`planlease doctor` shows more.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_revision_is_reported_with_the_current_one() {
        let revision = |n| Revision::from_wire(n).unwrap();
        let text = |failure: &Failure| failure.lines().collect::<Vec<_>>().join("\n");
        let (future, compacted) = (future(revision(9), revision(7)), compacted(revision(2), revision(7)));
        assert_eq!((future.exit(), compacted.exit()), (Exit::Usage, Exit::HistoryGone));
        insta::assert_snapshot!(text(&future), @r"
        revision 9 is in the future: the store is at 7
        It may be of another store, or of this one before it was restored.
        Begin without --from-revision, or check --endpoints and --namespace.
        ");
        insta::assert_snapshot!(text(&compacted), @r"
        the history after revision 2 is compacted; the store is at 7
        What happened since then cannot be shown change by change any more.
        Start over with --snapshot: it shows everything as it is, and the changes that follow.
        ");
    }
}
