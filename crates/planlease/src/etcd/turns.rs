//! How many operations are under way at a time. Ten thousand that are sent at once are answered no sooner
//! than one after the other; but the last of them has waited for longer than a request may take, is taken for
//! lost, and sent again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::fault::Fault;

/// How many operations with one answer are under way at a time; the others wait for their turn, in the order
/// in which they came.
const MAX_UNDER_WAY: usize = 512;

/// Bounds how many operations are under way at a time.
#[derive(Debug)]
pub(super) struct Turns {
    free: Semaphore,
    /// How many turns were given back.
    ended: AtomicU64,
}

/// Held while the operation is under way.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    /// None was free, but those that are taken are unused.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self::of(MAX_UNDER_WAY)
    }

    fn of(bound: usize) -> Self {
        Self { free: Semaphore::new(bound), ended: AtomicU64::new(0) }
    }

    /// Waits for a turn as long as turns are given back, at most for `patience`.
    ///
    /// If none is given back for as long as a request may take (`request`), it goes all the same: then the
    /// others are not answered either, or their futures are not polled any more, so that no caller waits for
    /// them.
    pub(super) async fn next(&self, request: Duration, patience: Duration) -> Result<Turn<'_>, Fault> {
        let turn = |permit| Turn { turns: self, _permit: permit };
        if let Ok(permit) = self.free.try_acquire() {
            return Ok(turn(Some(permit)));
        }
        let deadline = Instant::now() + patience;
        let mut free = std::pin::pin!(self.free.acquire());
        loop {
            let ended = self.ended.load(Ordering::Relaxed);
            match tokio::time::timeout(request, &mut free).await {
                Ok(permit) => return Ok(turn(permit.ok())),
                Err(_) if self.ended.load(Ordering::Relaxed) == ended => return Ok(turn(None)),
                Err(_) if Instant::now() >= deadline => return Err(Fault::no_turn(patience)),
                Err(_) => {}
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    const REQUEST: Duration = Duration::from_secs(3);
    const PATIENCE: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn at_most_the_bound_is_under_way_in_order() {
        let turns = Turns::of(3);
        let (under_way, most, order) =
            (AtomicU64::new(0), AtomicU64::new(0), std::sync::Mutex::new(Vec::new()));
        let all = (0..20).map(async |n| {
            let turn = turns.next(REQUEST, PATIENCE).await.unwrap();
            order.lock().unwrap().push(n);
            most.fetch_max(under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            under_way.fetch_sub(1, Ordering::Relaxed);
            drop(turn);
        });
        join_all(all).await;
        assert_eq!(most.into_inner(), 3);
        assert_eq!(order.into_inner().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unpolled_request_delays_no_other() {
        let turns = Turns::of(1);
        let _stalled = turns.next(REQUEST, PATIENCE).await.unwrap();
        let mut in_line = Box::pin(turns.next(REQUEST, PATIENCE));
        assert!(in_line.as_mut().now_or_never().is_none());
        let began = Instant::now();
        let turn = turns.next(REQUEST, PATIENCE).await.unwrap();
        assert_eq!((began.elapsed(), turns.free.available_permits()), (REQUEST, 0));
        drop(turn);
        assert_eq!(turns.free.available_permits(), 0, "it had none to give back");
    }

    #[tokio::test(start_paused = true)]
    async fn whose_turn_does_not_come_in_time_has_sent_nothing() {
        let turns = Turns::of(1);
        let others = join_all((0..20).map(async |_| {
            let _turn = turns.next(REQUEST, Duration::MAX / 4).await;
            tokio::time::sleep(REQUEST / 2).await;
        }));
        let late = async {
            let began = Instant::now();
            let fault = turns.next(REQUEST, PATIENCE).await.unwrap_err();
            (fault, began.elapsed())
        };
        let (_, (fault, waited)) = tokio::join!(others, late);
        assert!(fault.not_executed);
        assert_eq!(waited, PATIENCE);
    }
}
