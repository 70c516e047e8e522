//! One subscriber's view of the stream.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio_stream::wrappers::WatchStream;

use crate::{
    change::ChangeSet,
    filter::Filter,
    hub::{Read, Subscribed},
    snapshot::Snapshot,
};

/// The changes, in the order of their revisions, none twice and none left out; or, where that cannot be, a
/// snapshot to start again from. A [`Stream`]; ends when the watcher does ([`crate::Watcher::error`] says
/// why).
///
/// No other subscriber waits for it: if it does not read for a while, it receives a notice that it lagged,
/// and costs nothing.
#[derive(Debug)]
#[must_use = "a subscription does nothing unless it is read"]
pub struct Subscription {
    subscribed: Subscribed,
    filter: Filter,
    position: Option<u64>,
    /// Why the next snapshot comes.
    why: Why,
    news: WatchStream<u64>,
}

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// What changed.
    Changes(Arc<ChangeSet>),
    /// Everything as it is: replaces whatever the subscriber held. The changes that follow build on it.
    Snapshot(Snapshot, Why),
}

/// Why a subscriber is given a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has only just begun.
    Beginning,
    /// It wanted to go on from a revision after which not all changes are known here, or not any more.
    NotKept,
    /// It read so slowly that changes which it had not read were dropped.
    Lagged,
}

impl Subscription {
    /// `position`: where to begin; `None` for a snapshot first, for that reason.
    pub(crate) fn new(
        subscribed: Subscribed,
        filter: Filter,
        position: Option<u64>,
        why: Why,
        news: WatchStream<u64>,
    ) -> Self {
        Self { subscribed, filter, position, why, news }
    }

    /// Waits for what comes next; `None` when the watcher has ended and everything is read.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// What is there already.
    fn take(&mut self) -> Option<Delivery> {
        loop {
            match self.subscribed.hub().read(self.position) {
                Read::Nothing => return None,
                Read::Set(set, next) => {
                    self.position = Some(next);
                    if let Some(set) = self.filter.changes(&set) {
                        return Some(Delivery::Changes(set));
                    }
                }
                Read::Present(snapshot, next) => {
                    self.position = Some(next);
                    let why = std::mem::replace(&mut self.why, Why::Lagged);
                    return Some(Delivery::Snapshot(self.filter.snapshot(snapshot), why));
                }
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            if let Some(delivery) = self.take() {
                return Poll::Ready(Some(delivery));
            }
            match Pin::new(&mut self.news).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(None), // News that came before the end would have come first.
            }
        }
    }
}
