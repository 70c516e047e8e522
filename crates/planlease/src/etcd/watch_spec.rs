//! What a watch is asked for.

use std::time::Duration;

use planlease_core::{Revision, keys::KeyRange};

/// After how much silence a stream is asked whether it is alive, where no caller is in a hurry.
pub(crate) const QUIET: Duration = Duration::from_secs(4);

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchSpec {
    /// Returned with each message; chosen by the caller, positive, unique on the stream.
    pub(crate) id: i64,
    pub(crate) range: KeyRange,
    /// The first revision of interest.
    pub(crate) from: Revision,
    /// After how much silence the stream is asked whether it has sent everything. Of the first watch of a
    /// stream.
    pub(crate) quiet: Duration,
}

impl WatchSpec {
    /// A watch that has nothing to tell.
    pub(super) fn of_the_future(id: i64, range: KeyRange) -> Self {
        let from = Revision::from_wire(i64::MAX - 1).expect("it is positive");
        Self { id, range, from, quiet: QUIET }
    }
}
