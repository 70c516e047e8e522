//! Decides up to which revision a server that compacts itself drops its history. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::options::KeptHistory;

/// In how many steps time is looked at.
const SAMPLES: u32 = 10;

/// What the store was at some moments, the oldest first.
#[derive(Debug)]
pub(crate) struct Compactor {
    kept: KeptHistory,
    /// At most [`SAMPLES`] and one.
    samples: VecDeque<(Duration, i64)>,
}

impl Compactor {
    pub(crate) fn new(kept: KeptHistory) -> Self {
        Self { kept, samples: VecDeque::new() }
    }

    /// The revision up to which history is to go, if any is.
    pub(crate) fn look(&mut self, now: Duration, revision: i64, compacted: i64) -> Option<i64> {
        if self.samples.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= self.kept.age / SAMPLES) {
            self.samples.push_back((now, revision));
        }
        let mut old = None;
        while let Some((at, revision)) = self.samples.front()
            && now.saturating_sub(*at) >= self.kept.age
        {
            old = Some(*revision);
            self.samples.pop_front();
        }
        let revisions = i64::from(self.kept.revisions);
        let excess = revision - compacted.max(0) > revisions + revisions / 10;
        let many = excess.then_some(revision - revisions);
        old.max(many).filter(|target| *target > compacted.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn history_older_than_the_age_goes() {
        let mut compactor = Compactor::new(KeptHistory { age: secs(100), revisions: 1_000 });
        assert_eq!(compactor.look(secs(0), 5, -1), None);
        assert_eq!(compactor.look(secs(50), 9, -1), None);
        assert_eq!(compactor.look(secs(99), 20, -1), None);
        assert_eq!(compactor.look(secs(100), 20, -1), Some(5));
        assert_eq!(compactor.look(secs(101), 20, 5), None);
        assert_eq!(compactor.look(secs(160), 30, 5), Some(9));
        assert_eq!(compactor.look(secs(900), 30, 9), Some(30));
        assert_eq!(compactor.look(secs(1_900), 30, 30), None, "nothing was written since");
        assert!(compactor.samples.len() <= 11);
    }

    #[test]
    fn history_of_more_than_so_many_revisions_goes() {
        let mut compactor = Compactor::new(KeptHistory { age: secs(100), revisions: 1_000 });
        assert_eq!(compactor.look(secs(0), 1_100, -1), None);
        assert_eq!(compactor.look(secs(1), 1_101, -1), Some(101));
        assert_eq!(compactor.look(secs(2), 1_201, 101), None);
        assert_eq!(compactor.look(secs(3), 1_202, 101), Some(202));
    }
}
