//! Where the raw material comes from: the coordinator, or a script in tests.

use planlease::{Changes, Coordinator, Error, Feed, RawSnapshot};
use planlease_core::{BootTime, Revision};

/// A namespace that can be listed and followed.
pub(crate) trait Source: Send + Sync + 'static {
    type Tail: Tail;

    /// Everything, at one revision.
    fn list(&self) -> impl Future<Output = Result<RawSnapshot, Error>> + Send;

    /// What changes from a revision on.
    fn tail(&self, from: Revision) -> Self::Tail;

    fn now(&self) -> BootTime;
}

/// The changes from a revision on. See [`planlease::Changes`], whose contract this is.
pub(crate) trait Tail: Send {
    fn next(&mut self) -> impl Future<Output = Result<Feed, Error>> + Send;
}

impl Source for Coordinator {
    type Tail = Changes;

    async fn list(&self) -> Result<RawSnapshot, Error> {
        self.snapshot(&self.layout().everything()).await
    }

    fn tail(&self, from: Revision) -> Changes {
        self.changes(self.layout().everything(), from)
    }

    fn now(&self) -> BootTime {
        self.clock().boot()
    }
}

impl Tail for Changes {
    async fn next(&mut self) -> Result<Feed, Error> {
        Changes::next(self).await
    }
}
