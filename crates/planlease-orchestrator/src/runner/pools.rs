//! The pools that the tasks of a plan wait for: followed by one watch, so that nothing is tried while they
//! are full.
//!
//! What is known here only saves requests: each start compares its permits itself. When one becomes free,
//! each waiting orchestrator tries after a pause of its own ([`pool::patience`]), and sees meanwhile whether
//! another one was first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use planlease::{Changes, Coordinator, Feed, error_chain};
use planlease_core::{
    LeaseId, PoolName, Revision,
    pool::{self, PoolWait, Pools, PoolsView},
};
use tokio::time::Instant;

/// How long etcd is left alone after it did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// The first and the longest pause after a start that was refused although the pool looked free.
const REFUSED: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What is known of the pools of a namespace, by a runner whose plan uses some.
#[derive(Default)]
pub(super) struct PoolWaits {
    known: Option<PoolsView>,
    seen: Option<Revision>,
    changes: Option<Changes>,
    /// Since when a task waits for a permit.
    since: Option<Instant>,
    /// No task that uses a pool is started before.
    not_before: Option<Instant>,
    refusals: u32,
    reported: BTreeSet<String>,
}

/// How many permits are left for the starts of one round.
pub(super) struct Room(Option<BTreeMap<PoolName, u32>>);

impl PoolWaits {
    /// Waits for a change of the pools. Cancel safe: what was read is kept, and a read that is cut off is
    /// made again.
    pub(super) async fn changed(&mut self, coordinator: &Coordinator) {
        let Some(changes) = &mut self.changes else { return self.read(coordinator).await };
        match changes.next().await {
            Ok(Feed::Changes(sets)) => {
                let known = self.known.get_or_insert_default();
                self.seen = sets.last().map(|set| set.revision).or(self.seen);
                for change in sets.iter().flat_map(|set| &set.changes) {
                    known.apply(&change.key, change.entry.as_ref());
                }
            }
            Ok(Feed::Compacted(_)) => self.changes = None,
            Ok(Feed::Connected | Feed::Alive(_) | Feed::Broken(_)) => {}
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "the pools are not followed");
                self.changes = None;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn read(&mut self, coordinator: &Coordinator) {
        match coordinator.pools().await {
            Ok((pools, revision)) => {
                let range = coordinator.layout().pools();
                self.changes = Some(coordinator.raw().changes(range, revision.next()));
                (self.known, self.seen) = (Some(pools), Some(revision));
            }
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "the pools cannot be read");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// What a task that uses these pools waits for, as far as it is known here.
    pub(super) fn wait(&self, uses: &Pools) -> Option<PoolWait> {
        self.known.as_ref()?.wait(uses)
    }

    /// Whether a task that uses these pools is not to be tried now.
    pub(super) fn blocks(&self, uses: Option<&Pools>, now: Instant) -> bool {
        let rests = || self.not_before.is_some_and(|moment| moment > now);
        uses.is_some_and(|uses| rests() || self.wait(uses).is_some())
    }

    /// When tasks that use pools are to be tried again, if they rest.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.not_before
    }

    /// Tasks are looked for: those whose rest is over are among them.
    pub(super) fn wake(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|moment| *moment > now);
    }

    /// The permits that are left, for starts at the same time.
    pub(super) fn room(&self) -> Room {
        let free = |pools: &PoolsView| {
            pools
                .0
                .iter()
                .map(|(name, pool)| (name.clone(), pool.size().saturating_sub(pool.used())))
                .collect()
        };
        Room(self.known.as_ref().map(free))
    }

    /// A ready task waits for a permit. Whether that is news.
    pub(super) fn note(&mut self, wait: &PoolWait, now: Instant) -> bool {
        self.since.get_or_insert(now);
        self.reported.insert(format!("{} {}", wait.pool(), wait.ends_by_itself()))
    }

    /// The revision up to which the pools are known.
    pub(super) fn seen(&self) -> Option<Revision> {
        self.seen
    }

    /// A pool has room again: this long others may go first. The longer a task waits here, the shorter. A
    /// rest that is under way is not begun again: a pool that changes all the time must not hold it up for
    /// ever.
    pub(super) fn let_others_go_first(&mut self, priority: i32, lease: LeaseId, at: Revision, now: Instant) {
        if let (Some(since), None) = (self.since, self.not_before) {
            let pause = pool::patience(priority, now.duration_since(since), lease, at);
            self.not_before = now.checked_add(pause);
        }
    }

    /// A start took its permits.
    pub(super) fn started(&mut self) {
        (self.since, self.refusals) = (None, 0);
        self.reported.clear();
    }

    /// A start was refused by its pool, which looked free here.
    pub(super) fn refused(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        let pause = REFUSED.0 * 2_u32.saturating_pow(self.refusals.min(8));
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = now.checked_add(pause.min(REFUSED.1));
    }
}

impl Room {
    /// Whether a task that uses these pools has room besides those before it; takes it.
    pub(super) fn take(&mut self, uses: Option<&Pools>) -> bool {
        let (Some(uses), Some(room)) = (uses, &mut self.0) else { return true };
        let has = |(name, needs): (&PoolName, u32)| room.get(name).is_some_and(|left| *left >= needs);
        if !uses.iter().all(has) {
            return false;
        }
        for (name, needs) in uses.iter() {
            room.entry(name.clone()).and_modify(|left| *left -= needs);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use planlease_core::{change::Entry, keys::Key};

    use super::*;

    fn revision(number: i64) -> Revision {
        Revision::from_wire(number).unwrap()
    }

    fn uses(permits: u32) -> Pools {
        Pools::new([(PoolName::new("gpu").unwrap(), permits)].into()).unwrap()
    }

    fn known(size: u32) -> PoolWaits {
        let value = format!(r#"{{"size":{size},"by":"ops","at":0}}"#).into_bytes();
        let entry = Entry { value, created: revision(2), modified: revision(2), version: 1, lease: None };
        let pools = PoolsView::of([(Key::Pool(PoolName::new("gpu").unwrap()), entry)]);
        PoolWaits { known: Some(pools), ..PoolWaits::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_tried_than_there_is_room_for() {
        let waits = known(3);
        let mut room = waits.room();
        assert_eq!([2, 2, 1, 1].map(|permits| room.take(Some(&uses(permits)))), [true, false, true, false]);
        assert!(room.take(None), "it uses none");
        assert!(waits.blocks(Some(&uses(4)), Instant::now()), "the pool is too small");
        assert!(!waits.blocks(Some(&uses(3)), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_starts_rest_longer_and_hold_up_no_others() {
        let mut waits = known(1);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            waits.refused(Instant::now());
            assert!(waits.blocks(Some(&uses(1)), Instant::now()) && !waits.blocks(None, Instant::now()));
            let next = waits.next_try().unwrap();
            pauses.push(next.duration_since(Instant::now()).as_millis());
            waits.let_others_go_first(0, LeaseId::from_wire(7).unwrap(), revision(3), Instant::now());
            assert_eq!(waits.next_try(), Some(next), "a change does not begin the rest again");
            tokio::time::advance(next.duration_since(Instant::now())).await;
            assert_eq!(waits.next_try(), Some(next), "it is to be tried now");
            waits.wake(Instant::now());
            assert!(!waits.blocks(Some(&uses(1)), Instant::now()));
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000]);
        waits.started();
        waits.refused(Instant::now());
        assert_eq!(waits.next_try(), Some(Instant::now() + REFUSED.0));
    }
}
