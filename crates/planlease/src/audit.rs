//! The audit of a live store: reads its whole history from etcd and replays it against the invariants.

use planlease_core::{
    Revision,
    audit::{Audit, Report},
    change::RawChangeSet,
};

use crate::{
    admin::Admin,
    error::Error,
    feed::{Feed, RawSnapshot},
    history::{Arrival, written},
};

/// How often an audit restarts because the history was compacted while it was read.
const MAX_RESTARTS: usize = 5;

/// What an audit came to.
#[derive(Clone, Debug)]
pub struct Audited {
    /// What was found.
    pub report: Report,
    /// Whether the history was there from the first revision on. If not, it began with a snapshot: the
    /// compacted past is taken as it is.
    pub complete: bool,
    /// Up to which revision it was read.
    pub until: Revision,
    /// The audit itself, for further questions.
    pub audit: Audit,
}

impl Admin<'_> {
    /// Reads the history of the namespace up to the present revision and replays it. Takes as long as the
    /// history is; `progress` is called with the revision up to which it was read. Changes nothing.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// let audited = coordinator.admin().audit(|revision| println!("read up to revision {revision}")).await?;
    /// assert!(audited.report.violations.is_empty());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn audit(self, mut progress: impl FnMut(u64)) -> Result<Audited, Error> {
        let present = self.coordinator.raw().snapshot(&self.coordinator.layout().everything()).await?;
        let until = present.revision;
        let first = Revision::from_wire(1).unwrap_or(until);
        let mut replay = Replay::new(Arrival::new(written(&present), until));
        let Some(mut compacted) = self.replay(&mut replay, first, &mut progress).await? else {
            return Ok(replay.finish(true));
        };
        for _ in 0..MAX_RESTARTS {
            replay = Replay::new(replay.arrival.again());
            match self.coordinator.raw().snapshot_at(&self.coordinator.layout().everything(), compacted).await
            {
                Ok(snapshot) => replay.seed(snapshot),
                Err(Error::Compacted) => {}
                Err(error) => return Err(error),
            }
            match self.replay(&mut replay, compacted.next(), &mut progress).await? {
                None => return Ok(replay.finish(false)),
                Some(further) => compacted = further, // Compacted while it was read: again from there.
            }
        }
        Err(Error::Compacted)
    }

    /// Replays the history from `from` on. `Some` if it is compacted up to a later revision than that.
    async fn replay(
        self,
        replay: &mut Replay,
        from: Revision,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Revision>, Error> {
        let mut changes =
            self.coordinator.raw().changes(self.coordinator.layout().everything(), from).in_a_hurry();
        while !replay.arrival.is_complete() {
            match changes.next().await? {
                Feed::Compacted(at) => return Ok(Some(at)),
                Feed::Broken(reason) => {
                    tracing::debug!(reason, "the history is read on");
                    // An audit has an end: if the store cannot be read either, for the time of an operation,
                    // that is it.
                    self.coordinator.ping(self.coordinator.config().operation_timeout).await?;
                }
                Feed::Alive(revision) => replay.arrival.reported(revision),
                Feed::Connected => replay.arrival.asked(),
                Feed::Changes(sets) => {
                    sets.iter().for_each(|set| replay.apply(set));
                    progress(sets.last().map_or(0, |set| set.revision.get()));
                }
            }
        }
        Ok(None)
    }
}

/// A history being replayed until it arrives at the present.
struct Replay {
    audit: Audit,
    arrival: Arrival,
}

impl Replay {
    fn new(arrival: Arrival) -> Self {
        Self { audit: Audit::new(), arrival }
    }

    fn seed(&mut self, base: RawSnapshot) {
        self.arrival.seed(&base);
        self.audit.seed(base.entries);
    }

    fn apply(&mut self, set: &RawChangeSet) {
        if self.arrival.apply(set) {
            self.audit.apply(set);
        }
    }

    fn finish(self, complete: bool) -> Audited {
        let until = self.arrival.until();
        Audited { report: self.audit.report(), complete, until, audit: self.audit }
    }
}
