//! Tries alternatives in parallel with a stagger, as RFC 8305 does with addresses: the first success wins.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};

/// How long an attempt has the field to itself before the next one is started beside it: RFC 8305's
/// recommendation.
pub(crate) const STAGGER: Duration = Duration::from_millis(250);

/// The first success; the attempts that still run are dropped then. A failed attempt is followed by the next
/// one at once, a silent one after [`STAGGER`]. The errors, in the order in which the attempts failed, if
/// none succeeds.
pub(crate) async fn first_success<T, E, F>(attempts: impl IntoIterator<Item = F>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter();
    let mut running = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        let started = waiting.next().map(|attempt| running.push(attempt)).is_some();
        if running.is_empty() {
            return Err(failed);
        }
        tokio::select! {
            biased; // What has succeeded counts before the silence does.
            Some(ended) = running.next() => match ended {
                Ok(success) => return Ok(success),
                Err(error) => failed.push(error),
            },
            () = tokio::time::sleep(STAGGER), if started => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, FutureExt as _};
    use tokio::time::{Instant, sleep};

    use super::*;

    type Attempt = BoxFuture<'static, Result<u32, u32>>;

    fn silent() -> Attempt {
        std::future::pending().boxed()
    }

    fn after(millis: u64, result: Result<u32, u32>) -> Attempt {
        async move {
            sleep(Duration::from_millis(millis)).await;
            result
        }
        .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_silent_attempt_costs_one_stagger() {
        let start = Instant::now();
        assert_eq!(first_success([silent(), silent(), after(0, Ok(3))]).await, Ok(3));
        assert!(start.elapsed() <= STAGGER * 2 + Duration::from_millis(5), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_attempt_at_once() {
        let start = Instant::now();
        assert_eq!(first_success([after(1, Err(1)), after(1, Err(2)), after(1, Ok(3))]).await, Ok(3));
        assert!(start.elapsed() < STAGGER / 10, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_attempt_still_wins_over_silent_ones() {
        assert_eq!(first_success([after(600, Ok(1)), silent(), silent()]).await, Ok(1));
        assert_eq!(
            first_success([after(900, Err(1)), after(0, Err(2)), after(0, Err(3))]).await,
            Err(vec![2, 3, 1])
        );
        assert_eq!(first_success(Vec::<Attempt>::new()).await, Err(vec![]));
    }
}
