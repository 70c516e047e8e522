//! Waiting for a condition, with a deadline and the last thing seen; tests never sleep a guessed time.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a test waits for what should take milliseconds: long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value, and returns it.
///
/// # Panics
///
/// After `limit`, with `what` was waited for and the last reason why it was not there yet.
#[track_caller]
pub fn until<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        loop {
            match look().await {
                Ok(value) => return value,
                Err(reason) if Instant::now() >= deadline => {
                    panic!("{caller}: no {what} within {limit:?}; last seen: {reason:?}")
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_value_is_returned() {
        let mut looks = 0;
        let value = until("third look", SOON, async || {
            looks += 1;
            if looks == 3 { Ok("here") } else { Err(looks) }
        });
        assert_eq!(value.await, "here");
    }

    #[tokio::test]
    #[should_panic(expected = "no unicorn within 60ms; last seen: \"a horse\"")]
    async fn the_timeout_reports_the_last_observation() {
        until("unicorn", Duration::from_millis(60), async || Err::<(), _>("a horse")).await;
    }
}
