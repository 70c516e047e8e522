//! Two operations that are to meet, round after round: the one that has won waits a little longer in the next
//! round. So each wins some rounds, unless one of them always wins.

use std::time::Duration;

/// The first and the longest step by which a winner is held back.
const STEPS: (i64, i64) = (50, 10_000);

/// Delays the winner of the last round a little longer, so that each of two operations wins some rounds.
#[derive(Debug, Default)]
pub struct Race {
    /// By how much the first one begins after the second one, in microseconds; negative: before it.
    offset: i64,
    /// Who has won last, and how often since the other one did.
    last: (usize, u32),
    wins: [u32; 2],
}

impl Race {
    /// How long each of the two waits before it begins.
    #[must_use]
    pub fn waits(&self) -> [Duration; 2] {
        [self.offset, -self.offset].map(|wait| Duration::from_micros(u64::try_from(wait).unwrap_or(0)))
    }

    /// Which one has won this round: 0 or 1.
    pub fn won(&mut self, which: usize) {
        let streak = if self.last.0 == which { self.last.1 + 1 } else { 1 };
        self.last = (which, streak.min(16));
        let step = (STEPS.0 << (self.last.1 - 1)).min(STEPS.1);
        self.offset += if which == 0 { step } else { -step };
        self.wins[which] += 1;
    }

    /// Requires that each has won.
    ///
    /// # Panics
    ///
    /// If one of them has won all rounds: then they never met, or one of them always wins.
    pub fn both_have_won(&self) {
        let [first, second] = self.wins;
        println!("measured: the first one won {first} times, the second one {second} times");
        assert!(first > 0 && second > 0, "one side has won all rounds: {first} to {second}");
    }
}
