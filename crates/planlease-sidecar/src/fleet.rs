//! How the fleet is, for the metrics: counted in the watcher's snapshot, again only when it has changed, and
//! not more often than every few seconds, however often it is asked for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use planlease::clock::Clock;
use planlease_core::{BootTime, Revision};
use planlease_observe::metrics::FleetCounts;
use planlease_watcher::Watcher;

/// How old counts may be while plans change: to count takes a millisecond for a thousand tasks.
const FRESH: Duration = Duration::from_secs(5);

/// The last counts.
#[derive(Debug, Default)]
pub(crate) struct Fleet(Mutex<Option<(Revision, BootTime, FleetCounts)>>);

impl Fleet {
    /// The counts; `None` before the plans were read.
    pub(crate) fn counts(&self, watcher: &Watcher, clock: &dyn Clock) -> Option<FleetCounts> {
        let (snapshot, now) = (watcher.snapshot()?, clock.boot());
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, at, counts)) = &*last
            && (*revision == snapshot.revision() || at.until(now) < FRESH)
        {
            let mut counts = counts.clone();
            if counts.ready > 0 {
                counts.oldest_ready += at.until(now); // Time goes on where nothing changes.
            }
            return Some(counts);
        }
        let alive =
            snapshot.orchestrators().map(|one| (one.id.clone(), one.revision, one.record.offer.as_ref()));
        let counts = FleetCounts::of(snapshot.plans().map(AsRef::as_ref), alive, clock.wall());
        *last = Some((snapshot.revision(), now, counts.clone()));
        Some(counts)
    }
}
