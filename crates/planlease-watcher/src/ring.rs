//! The last change sets, for all subscribers together: a subscriber is no more than a position in here.
//!
//! So a slow one costs nothing and delays no other; once the ring has moved past its position, it has lagged.
//! Pure.

use std::{collections::VecDeque, sync::Arc};

use planlease_core::Revision;

use crate::change::ChangeSet;

/// The first position. There is room below it for what is recalled from before the beginning.
const FIRST: u64 = 1 << 40;

/// The last change sets, bounded by the number of changes in them. The newest set is kept whatever its size.
#[derive(Debug)]
pub(crate) struct Ring {
    kept: VecDeque<Kept>,
    /// The position of the first set that is kept.
    first: u64,
    /// How many changes are kept.
    changes: usize,
    /// How many are to be kept at most.
    limit: usize,
    /// The revision up to which the sets are not kept.
    floor: Revision,
}

#[derive(Debug)]
struct Kept {
    /// The revision that the set follows on.
    after: Revision,
    set: Arc<ChangeSet>,
}

/// The position is not in the ring any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Ring {
    /// Nothing yet, as of this revision.
    pub(crate) fn new(limit: usize, at: Revision) -> Self {
        Self { kept: VecDeque::new(), first: FIRST, changes: 0, limit, floor: at }
    }

    /// Adds a set that follows on revision `after`, and drops the oldest ones that are too many.
    pub(crate) fn push(&mut self, after: Revision, set: Arc<ChangeSet>) {
        self.changes += set.changes.len();
        self.kept.push_back(Kept { after, set });
        while (self.changes > self.limit || self.kept.len() > self.limit) && self.kept.len() > 1 {
            if let Some(oldest) = self.kept.pop_front() {
                self.changes -= oldest.set.changes.len();
                self.floor = oldest.set.revision;
                self.first += 1;
            }
        }
    }

    /// The revision up to which the sets are not kept.
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    /// How many more changes there is room for.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.changes.max(self.kept.len()))
    }

    /// Adds what lies before: all sets after `from` up to `floor`. Whether they fit, and nothing is missing
    /// between them and what is kept.
    pub(crate) fn recall(&mut self, from: Revision, floor: Revision, sets: Vec<Arc<ChangeSet>>) -> bool {
        let changes: usize = sets.iter().map(|set| set.changes.len()).sum();
        let (count, positions) = (sets.len(), u64::try_from(sets.len()).unwrap_or(u64::MAX));
        if floor != self.floor || from > floor || changes.max(count) > self.room() || positions > self.first {
            return false;
        }
        for set in sets.into_iter().rev() {
            self.kept.push_front(Kept { after: from, set });
        }
        self.changes += changes;
        self.first -= positions;
        self.floor = from;
        true
    }

    /// The position after all sets.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// The set at a position; `None` if it is yet to come.
    pub(crate) fn at(&self, position: u64) -> Result<Option<&Arc<ChangeSet>>, Overrun> {
        let index = position.checked_sub(self.first).ok_or(Overrun)?;
        let kept = usize::try_from(index).ok().and_then(|index| self.kept.get(index));
        Ok(kept.map(|kept| &kept.set))
    }

    /// Where a subscriber continues that has seen everything up to `revision`. A revision inside a gap that
    /// was closed by a resynchronisation is nowhere: what was seen in the gap is not known here.
    pub(crate) fn position_after(&self, revision: Revision) -> Result<u64, Overrun> {
        if revision < self.floor {
            return Err(Overrun);
        }
        let index = self.kept.partition_point(|kept| kept.set.revision <= revision);
        match self.kept.get(index) {
            Some(kept) if kept.set.resynced && kept.after < revision => Err(Overrun),
            _ => Ok(self.first + index as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use planlease_core::PlanName;

    fn revision(n: i64) -> Revision {
        Revision::from_wire(n).unwrap()
    }

    fn set(at: i64, changes: usize, resynced: bool) -> Arc<ChangeSet> {
        let gone = Change::PlanGone { plan: PlanName::new("p").unwrap() };
        Arc::new(ChangeSet { revision: revision(at), resynced, changes: vec![gone; changes] })
    }

    #[test]
    fn it_is_bounded_by_changes_and_keeps_the_newest_set() {
        let mut ring = Ring::new(10, revision(1));
        for at in 2..=6 {
            ring.push(revision(at - 1), set(at, 4, false));
        }
        assert_eq!(ring.end(), FIRST + 5);
        assert_eq!(ring.at(FIRST + 2).unwrap_err(), Overrun);
        assert_eq!(ring.at(FIRST + 3).unwrap().unwrap().revision, revision(5));
        assert_eq!(ring.at(FIRST + 5).unwrap(), None);
        ring.push(revision(6), set(7, 1000, false));
        assert_eq!(ring.kept.len(), 1);
        assert_eq!(ring.at(FIRST + 5).unwrap().unwrap().revision, revision(7));
    }

    #[test]
    fn sets_without_changes_are_bounded_too() {
        let mut ring = Ring::new(10, revision(1));
        for at in 2..=100 {
            ring.push(revision(at - 1), set(at, 0, true));
        }
        assert_eq!(ring.kept.len(), 10);
    }

    #[test]
    fn resuming_continues_or_is_refused() {
        let mut ring = Ring::new(3, revision(10));
        assert_eq!(ring.position_after(revision(10)), Ok(FIRST));
        assert_eq!(ring.position_after(revision(9)), Err(Overrun));
        ring.push(revision(10), set(12, 1, false));
        ring.push(revision(14), set(20, 1, true)); // 15 to 19 were not heard of.
        ring.push(revision(20), set(21, 1, false));
        for (seen, position) in [
            (10, Ok(0)),
            (11, Ok(0)),
            (12, Ok(1)),
            (14, Ok(1)),
            (15, Err(Overrun)),
            (19, Err(Overrun)),
            (20, Ok(2)),
            (21, Ok(3)),
            (30, Ok(3)),
        ] {
            let position = position.map(|position: u64| FIRST + position);
            assert_eq!(ring.position_after(revision(seen)), position, "{seen}");
        }
        ring.push(revision(21), set(22, 1, false));
        assert_eq!(ring.position_after(revision(11)), Err(Overrun), "12 was dropped");
        assert_eq!(ring.position_after(revision(12)), Ok(FIRST + 1));
    }

    #[test]
    fn what_is_recalled_lies_before_what_is_kept() {
        let mut ring = Ring::new(5, revision(10));
        ring.push(revision(10), set(11, 1, false));
        assert!(!ring.recall(revision(5), revision(9), vec![]), "10 is missing");
        assert!(!ring.recall(revision(5), revision(10), vec![set(6, 5, false)]), "too many");
        assert!(ring.recall(revision(5), revision(10), vec![set(6, 1, false), set(8, 2, false)]));
        assert_eq!((ring.floor(), ring.room(), ring.end()), (revision(5), 1, FIRST + 1));
        for (seen, next) in [(5, 6), (6, 8), (7, 8), (8, 11)] {
            let position = ring.position_after(revision(seen)).unwrap();
            assert_eq!(ring.at(position).unwrap().unwrap().revision, revision(next), "{seen}");
        }
        assert_eq!(ring.position_after(revision(4)), Err(Overrun));
        ring.push(revision(11), set(12, 3, false));
        assert_eq!(ring.position_after(revision(5)), Err(Overrun), "the oldest one goes first");
    }
}
