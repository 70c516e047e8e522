//! When to try again: the only place that knows, and the only user of the crate `backoff`.
//!
//! The schedule alone is taken from it: its time budget is counted by a clock that stands still in
//! simulations, and its jitter comes from a generator that no seed reaches. Both are given here instead.

use std::time::Duration;

use backoff::{SystemClock, backoff::Backoff as _, exponential::ExponentialBackoff};
use tokio::time::Instant;

use crate::clock::Random;

/// Delays that grow, with jitter, until a budget of time is used up.
#[derive(Debug)]
pub(crate) struct Backoff {
    schedule: ExponentialBackoff<SystemClock>,
    /// When to give up; never, if not given.
    deadline: Option<Instant>,
}

impl Backoff {
    /// From `first` to `max`, doubling; gives up when the next try would begin after `budget`.
    pub(crate) fn new(first: Duration, max: Duration, budget: Option<Duration>) -> Self {
        let schedule = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            max_interval: max,
            multiplier: 2.0,
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        // A budget that no clock reaches is no bound.
        Self { schedule, deadline: budget.and_then(|budget| Instant::now().checked_add(budget)) }
    }

    /// How long to wait before the next try; `None` if there is to be none.
    pub(crate) fn next(&mut self, random: &Random) -> Option<Duration> {
        let delay = random.jitter(self.schedule.next_backoff()?);
        match self.deadline {
            Some(deadline) if Instant::now() + delay >= deadline => None,
            _ => Some(delay),
        }
    }

    /// Starts again with the first pause, after a success.
    pub(crate) fn reset(&mut self) {
        self.schedule.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_counted_in_the_time_that_tests_drive() {
        let random = Random::new(Some(1));
        let mut backoff =
            Backoff::new(Duration::from_millis(100), Duration::from_secs(1), Some(Duration::from_secs(5)));
        let start = Instant::now();
        let mut tries = 0;
        while let Some(delay) = backoff.next(&random) {
            tokio::time::sleep(delay).await;
            tries += 1;
        }
        assert!(start.elapsed() <= Duration::from_secs(5));
        assert!((5..30).contains(&tries), "{tries}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_no_clock_reaches_is_no_bound() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(1));
        assert!(Backoff::new(first, max, Some(Duration::MAX)).next(&Random::new(Some(1))).is_some());
    }
}
