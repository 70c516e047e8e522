//! Counters of what requests do: written by the modules that do it, read by [`crate::stats`].

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper bounds of [`Stats::renewals`](crate::Stats::renewals), in seconds.
pub const RENEWAL_BOUNDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// The upper bounds of [`Stats::batches`](crate::Stats::batches), in updates.
pub const BATCH_BOUNDS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// How often which value was seen.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Distribution {
    /// How many values were at most as large as a bound and larger than the one before it; the last one is of
    /// those above all bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

/// What became of an update.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Committed,
    Refused,
    Unknown,
}

/// The counters.
#[derive(Debug)]
pub(crate) struct Counts {
    outcomes: [AtomicU64; 3],
    settled: [AtomicU64; 3],
    batches: Buckets<9>,
    renewals: Buckets<11>,
}

#[derive(Debug)]
struct Buckets<const N: usize> {
    bounds: &'static [f64],
    counts: [AtomicU64; N],
    /// In millionths.
    sum: AtomicU64,
}

impl<const N: usize> Buckets<N> {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }

    /// `micros`: the value, a million times.
    fn add(&self, value: f64, micros: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(N - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution { counts, sum: Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64() }
    }
}

impl Default for Counts {
    fn default() -> Self {
        let three = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            outcomes: three(),
            settled: three(),
            batches: Buckets::new(&BATCH_BOUNDS),
            renewals: Buckets::new(&RENEWAL_BOUNDS),
        }
    }
}

impl Counts {
    /// An update came to this.
    pub(crate) fn outcome(&self, fate: Fate) {
        self.outcomes[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One of which that was unknown turned out to be this.
    pub(crate) fn settled(&self, fate: Fate) {
        self.settled[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So many updates travel in one request.
    pub(crate) fn batch(&self, updates: usize) {
        let updates = u32::try_from(updates).unwrap_or(u32::MAX);
        self.batches.add(f64::from(updates), u64::from(updates) * 1_000_000);
    }

    /// A renewal was answered after so long.
    pub(crate) fn renewal(&self, took: Duration) {
        self.renewals.add(took.as_secs_f64(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How often updates came to what, and how often unknown ones turned out to be what, in the order of
    /// [`Fate`].
    pub(crate) fn updates(&self) -> [[u64; 3]; 2] {
        [&self.outcomes, &self.settled].map(|of| [0, 1, 2].map(|n| of[n].load(Ordering::Relaxed)))
    }

    /// The sizes of batches, and the times of renewals.
    pub(crate) fn distributions(&self) -> [Distribution; 2] {
        [self.batches.read(), self.renewals.read()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_by_their_bounds() {
        let counts = Counts::default();
        for updates in [1, 2, 3, 128, 129, 5000] {
            counts.batch(updates);
        }
        counts.renewal(Duration::from_millis(3));
        counts.renewal(Duration::from_secs(60));
        let [batches, renewals] = counts.distributions();
        assert_eq!(batches.counts, [1, 1, 1, 0, 0, 0, 0, 1, 2]);
        assert!((batches.sum - 5263.0).abs() < 1e-6, "{}", batches.sum);
        assert_eq!(renewals.counts, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        counts.outcome(Fate::Refused);
        counts.settled(Fate::Unknown);
        assert_eq!(counts.updates(), [[0, 1, 0], [0, 0, 1]]);
    }
}
