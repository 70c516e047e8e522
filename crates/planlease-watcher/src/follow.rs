//! The task of a watcher: list, then watch, then list again if the history is gone.
//!
//! What to conclude is the store's business; whom to tell, the hub's.

use std::{sync::Arc, time::Duration};

use planlease::Feed;
use planlease_core::{Revision, change::Entry, keys::Key};

use crate::{
    error::Error,
    hub::Publisher,
    loading::Loading,
    source::{Rest, Source, Tail},
    store::{Loaded, Store},
};

/// How long to wait before a list that failed is tried again. The coordinator has tried for some time by
/// then.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// How often a list may show an older revision than was seen before. A member that lags catches up in that
/// time; a store that was restored does not.
const OLD_LISTS: u32 = 10;

/// Reads until it is impossible, and says why it is. Dropping the future stops it.
pub(crate) async fn follow(source: &impl Source, publisher: &Publisher) -> Result<(), Error> {
    let mut store = list(source, None, publisher).await?.store;
    publisher.publish(store.snapshot().clone(), None);
    loop {
        let tail = source.tail(store.snapshot().revision().next());
        let begun = source.now();
        until_gap(source, tail, &mut store, publisher).await?;
        publisher.connected(false);
        if begun.until(source.now()) < LIST_AGAIN {
            tokio::time::sleep(LIST_AGAIN).await; // A gap right behind a list: the next one may come as soon.
        }
        let list = list(source, Some(store.snapshot().revision()), publisher).await?;
        let set = store.replace(list);
        tracing::info!(revision = %set.revision, changes = set.changes.len(), "resynchronised");
        publisher.publish(store.snapshot().clone(), Some(set));
    }
}

/// Lists until it succeeds. `held`: the revision that the list must not be older than.
async fn list(source: &impl Source, held: Option<Revision>, publisher: &Publisher) -> Result<Loaded, Error> {
    let mut old = 0;
    loop {
        match load(source, held, publisher).await {
            Ok(loaded) => return Ok(loaded),
            Err(Unlisted::Older { held, found }) => {
                old += 1;
                tracing::warn!(%held, %found, "the list is older than what is known");
                if old >= OLD_LISTS {
                    return Err(Error::WentBack { held, found });
                }
            }
            Err(Unlisted::Failed(error)) if is_final(&error, held.is_none()) => {
                return Err(Error::Failed(Arc::new(error)));
            }
            Err(Unlisted::Failed(error)) => {
                let reason = planlease::error_chain(&error);
                tracing::warn!(reason, "could not list; trying again");
                publisher.trouble(reason);
            }
        }
        tokio::time::sleep(LIST_AGAIN).await;
    }
}

/// Why there is no list this time.
enum Unlisted {
    /// It is older than what is held.
    Older {
        held: Revision,
        found: Revision,
    },
    Failed(planlease::Error),
}

impl From<planlease::Error> for Unlisted {
    fn from(error: planlease::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads a list and takes it over, page by page: while one is taken over, the next one is on its way.
async fn load(
    source: &impl Source,
    held: Option<Revision>,
    publisher: &Publisher,
) -> Result<Loaded, Unlisted> {
    let (mut page, mut rest) = source.list().await?;
    let found = page.revision;
    if let Some(held) = held.filter(|held| *held > found) {
        return Err(Unlisted::Older { held, found });
    }
    let mut loading = Loading::new(found);
    loop {
        publisher.heard(source.now());
        let (next, ()) = tokio::join!(biased; rest.next(), take_over(&mut loading, page.entries));
        match next? {
            Some(next) => page = next,
            None => return Ok(loading.finish()),
        }
    }
}

/// Takes a page over, a little at a time: with a hundred thousand tasks it is long enough for a session on
/// the same thread to miss a renewal.
async fn take_over(loading: &mut Loading, page: Vec<(Key, Entry)>) {
    for (key, entry) in page {
        loading.add(&key, &entry);
        tokio::task::coop::consume_budget().await;
    }
}

/// Follows the changes until some of them are not to be had.
async fn until_gap(
    source: &impl Source,
    mut tail: impl Tail,
    store: &mut Store,
    publisher: &Publisher,
) -> Result<(), Error> {
    loop {
        let held = store.snapshot().revision();
        let feed = tail.next().await.map_err(|error| Error::Failed(Arc::new(error)))?;
        if !matches!(feed, Feed::Broken(_)) {
            publisher.heard(source.now());
        }
        match feed {
            Feed::Connected => publisher.connected(true),
            Feed::Changes(sets) => {
                for raw in sets {
                    let set = store.apply(&raw);
                    publisher.publish(store.snapshot().clone(), set);
                    tokio::task::coop::consume_budget().await; // Lets subscribers read in between.
                }
            }
            Feed::Alive(revision) if revision < held => {
                tracing::warn!(%revision, %held, "etcd reported an older revision than already observed");
                return Ok(());
            }
            Feed::Alive(revision) => publisher.reached(revision),
            Feed::Compacted(revision) => {
                tracing::warn!(%revision, %held, "the history is compacted");
                return Ok(());
            }
            Feed::Broken(reason) => {
                tracing::warn!(reason, "the watch broke");
                publisher.broken(reason);
            }
        }
    }
}

/// Whether a retry cannot succeed. The coordinator was connected before: certificates, passwords and roles
/// have worked, and may work again. Only a user who may not read the plans at the `first` look has to be
/// given the right to.
fn is_final(error: &planlease::Error, first: bool) -> bool {
    use planlease::Error as E;
    match error {
        E::PermissionDenied(_) => first,
        error => error.is_permanent(),
    }
}
