//! The task of a watcher: list, then watch, then list again if the history is gone.
//!
//! What to conclude is the store's business; whom to tell, the hub's.

use std::{sync::Arc, time::Duration};

use planlease::{Feed, RawSnapshot};
use planlease_core::Revision;

use crate::{
    error::Error,
    hub::Publisher,
    loading::{Loaded, Loading},
    source::{Source, Tail},
    store::Store,
};

/// How long to wait before a list that failed is tried again. The coordinator has tried for some time by then.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// How often a list may show an older revision than was seen before. A member that lags catches up in that time; a store
/// that was restored does not.
const OLD_LISTS: u32 = 10;

/// Reads until it is impossible, and says why it is. Dropping the future stops it.
pub(crate) async fn follow(source: &impl Source, publisher: &Publisher) -> Result<(), Error> {
    let first = list(source, None).await?;
    publisher.heard(source.now());
    let mut store = load(first).await.store;
    publisher.publish(store.snapshot().clone(), None);
    loop {
        let tail = source.tail(store.snapshot().revision().next());
        let begun = source.now();
        until_gap(source, tail, &mut store, publisher).await?;
        publisher.connected(false);
        if begun.until(source.now()) < LIST_AGAIN {
            tokio::time::sleep(LIST_AGAIN).await; // A gap right behind a list: the next one may come as soon.
        }
        let list = list(source, Some(store.snapshot().revision())).await?;
        publisher.heard(source.now());
        let set = store.replace(load(list).await);
        tracing::info!(revision = %set.revision, changes = set.changes.len(), "resynchronised");
        publisher.publish(store.snapshot().clone(), Some(set));
    }
}

/// Takes a list over, a little at a time: with a hundred thousand tasks it is long enough for a session on the same thread
/// to miss a renewal.
async fn load(list: RawSnapshot) -> Loaded {
    let mut loading = Loading::new(list.revision);
    for (key, entry) in list.entries {
        loading.add(&key, &entry);
        tokio::task::coop::consume_budget().await;
    }
    loading.finish()
}

/// Lists until it succeeds. `held`: the revision that the list must not be older than.
async fn list(source: &impl Source, held: Option<Revision>) -> Result<RawSnapshot, Error> {
    let mut old = 0;
    loop {
        match source.list().await {
            Ok(list) => match held.filter(|held| *held > list.revision) {
                None => return Ok(list),
                Some(held) => {
                    old += 1;
                    tracing::warn!(%held, found = %list.revision, "the list is older than what is known");
                    if old >= OLD_LISTS {
                        return Err(Error::WentBack { held, found: list.revision });
                    }
                }
            },
            Err(error) if is_final(&error) => return Err(Error::Failed(Arc::new(error))),
            Err(error) => tracing::warn!(%error, "could not list; trying again"),
        }
        tokio::time::sleep(LIST_AGAIN).await;
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
                tracing::warn!(%revision, %held, "etcd is behind what it told before");
                return Ok(());
            }
            Feed::Alive(revision) => publisher.reached(revision),
            Feed::Compacted(revision) => {
                tracing::warn!(%revision, %held, "the history is compacted");
                return Ok(());
            }
            Feed::Broken(reason) => {
                tracing::warn!(reason, "the watch broke");
                publisher.broken();
            }
        }
    }
}

/// Whether trying again cannot mend it.
fn is_final(error: &planlease::Error) -> bool {
    use planlease::Error as E;
    matches!(
        error,
        E::Config(_)
            | E::Tls(_)
            | E::Unauthenticated(_)
            | E::PermissionDenied(_)
            | E::ServerTooOld { .. }
            | E::StoreMoved { .. }
    )
}
