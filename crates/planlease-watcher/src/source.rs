//! Where the raw material comes from: the coordinator, or a script in tests.

use planlease::{Changes, Coordinator, Error, Feed, History, Listing, RawSnapshot};
use planlease_core::{BootTime, Revision, keys::KeyRange};

use crate::scope::Scope;

/// A namespace, or a part of it, that can be listed and followed.
pub(crate) trait Source: Send + Sync + 'static {
    type Rest: Rest;
    type Tail: Tail;

    /// Everything, at one revision: the first page, and what is left.
    fn list(&self) -> impl Future<Output = Result<(RawSnapshot, Self::Rest), Error>> + Send;

    /// What changes from a revision on.
    fn tail(&self, from: Revision) -> Self::Tail;

    /// The state at `from`, and what has changed up to `until`; `None` if that is not to be had, or more than
    /// `most` changes.
    fn history(
        &self,
        from: Revision,
        until: Revision,
        most: usize,
    ) -> impl Future<Output = Result<Option<History>, Error>> + Send;

    fn now(&self) -> BootTime;
}

/// What is left of a list. See [`planlease::Listing`], whose contract this is.
pub(crate) trait Rest: Send {
    fn next(&mut self) -> impl Future<Output = Result<Option<RawSnapshot>, Error>> + Send;
}

/// The changes from a revision on. See [`planlease::Changes`], whose contract this is.
pub(crate) trait Tail: Send {
    fn next(&mut self) -> impl Future<Output = Result<Feed, Error>> + Send;
}

/// What a watcher reads of etcd.
#[derive(Debug)]
pub(crate) struct Scoped {
    coordinator: Coordinator,
    scope: Scope,
}

impl Scoped {
    pub(crate) fn new(coordinator: Coordinator, scope: Scope) -> Self {
        Self { coordinator, scope }
    }

    fn range(&self) -> KeyRange {
        self.scope.range(self.coordinator.layout())
    }
}

/// What is left of a list, or the changes, of a scope.
pub(crate) struct Part<T> {
    of: T,
    scope: Scope,
}

impl Source for Scoped {
    type Rest = Part<Listing>;
    type Tail = Part<Changes>;

    async fn list(&self) -> Result<(RawSnapshot, Part<Listing>), Error> {
        let (page, rest) = self.coordinator.raw().pages(self.range()).await?;
        Ok((self.scope.of_page(page), Part { of: rest, scope: self.scope.clone() }))
    }

    fn tail(&self, from: Revision) -> Part<Changes> {
        Part { of: self.coordinator.raw().changes(self.range(), from), scope: self.scope.clone() }
    }

    async fn history(&self, from: Revision, until: Revision, most: usize) -> Result<Option<History>, Error> {
        let history = self.coordinator.raw().history(self.range(), from, until, most).await?;
        Ok(history.map(|History { base, sets }| History {
            base: self.scope.of_page(base),
            sets: self.scope.of_sets(sets),
        }))
    }

    fn now(&self) -> BootTime {
        self.coordinator.clock().boot()
    }
}

impl Rest for Part<Listing> {
    async fn next(&mut self) -> Result<Option<RawSnapshot>, Error> {
        Ok(self.of.next().await?.map(|page| self.scope.of_page(page)))
    }
}

impl Tail for Part<Changes> {
    async fn next(&mut self) -> Result<Feed, Error> {
        Ok(match self.of.next().await? {
            Feed::Changes(sets) => Feed::Changes(self.scope.of_sets(sets)),
            other => other,
        })
    }
}
