//! Why a watcher cannot do what it is asked.

use std::{sync::Arc, time::Duration};

use planlease_core::Revision;

/// Why a watcher, or a request to it, came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It was closed. There is nothing more to come.
    #[error("the watcher is closed")]
    Closed,
    /// It ended, for a reason that a retry does not remove: correct it, and start another watcher.
    #[error("the watcher cannot go on")]
    Failed(#[source] Arc<planlease::Error>),
    /// It ended: etcd was restored from an older snapshot, or another one answers. What is held was never, or
    /// is no more. Start another watcher once the store is adopted.
    #[error(
        "the store went back from revision {held} to {found}: etcd was restored from an older snapshot, or another one answers"
    )]
    WentBack {
        /// The revision that was seen before.
        held: Revision,
        /// The revision that etcd reports now.
        found: Revision,
    },
    /// Nothing can be resumed from a revision that has not been seen yet: it may be of another store. If it
    /// is known to be of this one (a fresh write's, say), wait for it first.
    #[error("revision {from} is in the future: the watcher is at {at}")]
    Future {
        /// From where the subscriber wanted to go on.
        from: Revision,
        /// Where the watcher is.
        at: Revision,
    },
    /// The revision was not reached in the time that was given.
    #[error("revision {wanted} was not reached within {within:?}")]
    Behind {
        /// Which one was waited for.
        wanted: Revision,
        /// For how long.
        within: Duration,
    },
}
