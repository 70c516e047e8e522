//! Where the raw material comes from: the coordinator, or a script in tests.

use planlease::{Changes, Coordinator, Error, Feed, History, Listing, RawSnapshot};
use planlease_core::{BootTime, Revision};

/// A namespace that can be listed and followed.
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

impl Source for Coordinator {
    type Rest = Listing;
    type Tail = Changes;

    async fn list(&self) -> Result<(RawSnapshot, Listing), Error> {
        Coordinator::list(self, self.layout().everything()).await
    }

    fn tail(&self, from: Revision) -> Changes {
        self.changes(self.layout().everything(), from)
    }

    async fn history(&self, from: Revision, until: Revision, most: usize) -> Result<Option<History>, Error> {
        Coordinator::history(self, from, until, most).await
    }

    fn now(&self) -> BootTime {
        self.clock().boot()
    }
}

impl Rest for Listing {
    async fn next(&mut self) -> Result<Option<RawSnapshot>, Error> {
        Listing::next(self).await
    }
}

impl Tail for Changes {
    async fn next(&mut self) -> Result<Feed, Error> {
        Changes::next(self).await
    }
}
