//! How often a delivery is tried, and when it is given up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{event::Event, not_delivered::NotDelivered, receiver::Receiver};

/// How often and for how long a delivery is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// How often an event is tried in all; at least once. Default: 8.
    pub attempts: u32,
    /// How long one try may take. Default: 10 s.
    pub timeout: Duration,
    /// The first pause; each is twice as long as the one before it. Default: 1 s.
    pub first_pause: Duration,
    /// The longest pause. Default: 1 min.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 8,
            timeout: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(1),
        }
    }
}

impl Retries {
    /// Sets how often an event is tried.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Sets how long one try may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The pause after this failed try, counted from 1.
    fn pause(&self, attempt: u32) -> Duration {
        let factor = 1_u32 << attempt.saturating_sub(1).min(20);
        self.first_pause.saturating_mul(factor).min(self.longest_pause)
    }
}

/// What became of an event.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// It was delivered, after so many tries.
    Delivered(u32),
    /// It was given up after so many tries.
    GivenUp(u32, NotDelivered),
    /// The hook is stopped, and the event is neither.
    Stopped,
}

/// Deliveries to one receiver, one after the other.
#[derive(Debug)]
pub(crate) struct Deliveries<'a> {
    receiver: &'a Receiver,
    retries: Retries,
    stop: &'a CancellationToken,
    /// The last event was given up: the next ones have one try each, so that a dead receiver does not hold up
    /// its own events for hours when it comes back.
    dead: bool,
}

impl<'a> Deliveries<'a> {
    pub(crate) fn new(receiver: &'a Receiver, retries: Retries, stop: &'a CancellationToken) -> Self {
        Self { receiver, retries, stop, dead: false }
    }

    /// Delivers an event, or gives it up. After the stop no try begins; one that is under way goes on.
    pub(crate) async fn deliver(&mut self, event: &Event) -> Delivery {
        let body = serde_json::to_vec(event).expect("an event can be written as JSON");
        let attempts = if self.dead { 1 } else { self.retries.attempts.max(1) };
        let mut attempt = 1;
        while !self.stop.is_cancelled() {
            let tried = tokio::time::timeout(self.retries.timeout, self.receiver.deliver(event, &body)).await;
            let error = match tried.unwrap_or(Err(NotDelivered::TimedOut)) {
                Ok(()) => {
                    self.dead = false;
                    return Delivery::Delivered(attempt);
                }
                Err(error) => error,
            };
            if attempt >= attempts {
                self.dead = true;
                return Delivery::GivenUp(attempt, error);
            }
            tracing::debug!(id = event.id, attempt, %error, "an event is not delivered yet");
            let pause = tokio::time::sleep(self.retries.pause(attempt));
            self.stop.run_until_cancelled(pause).await;
            attempt += 1;
        }
        Delivery::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retries = Retries::default();
        let pauses: Vec<u64> = (1..=8).map(|attempt| retries.pause(attempt).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retries.pause(u32::MAX), Duration::from_mins(1));
    }
}
