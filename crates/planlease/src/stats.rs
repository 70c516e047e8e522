//! What a coordinator's requests did, counted since it was connected.

use crate::{coordinator::Coordinator, counts::Distribution};

/// What a coordinator's requests did since it was connected. Made by [`Coordinator::stats`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Updates of tasks that were carried out.
    pub committed: u64,
    /// Updates that were refused: the task or the authority was not as it was expected.
    pub refused: u64,
    /// Updates of which it was not known whether they were carried out: no answer came in time.
    pub unknown: u64,
    /// Unknown ones that turned out to have been carried out.
    pub settled_committed: u64,
    /// Unknown ones that turned out not to be carried out any more.
    pub settled_refused: u64,
    /// Unknown ones that were reported as unknown.
    pub unsettled: u64,
    /// How many updates wait for a request that they share, at this moment.
    pub waiting: usize,
    /// How many updates travelled in one request, by [`BATCH_BOUNDS`](crate::BATCH_BOUNDS).
    pub batches: Distribution,
    /// How long the answers to renewals took, by [`RENEWAL_BOUNDS`](crate::RENEWAL_BOUNDS).
    pub renewals: Distribution,
}

impl Coordinator {
    /// What its requests did since it was connected.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = self.etcd().counts();
        let [[committed, refused, unknown], [settled_committed, settled_refused, unsettled]] =
            counts.updates();
        let [batches, renewals] = counts.distributions();
        Stats {
            committed,
            refused,
            unknown,
            settled_committed,
            settled_refused,
            unsettled,
            waiting: self.etcd().waiting(),
            batches,
            renewals,
        }
    }
}
