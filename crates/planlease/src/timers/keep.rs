//! An owner's keeping of timers by one watch on its plan, for as long as the ownership lasts.

use std::{collections::VecDeque, time::Duration};

use super::plan::{PlanTimers, TimerEvent};
use crate::{
    error::{Error, error_chain},
    feed::{Changes, Feed},
    ownership::{Loss, Ownership},
};

/// How long to wait before a watch is made again that has ended for good.
const AGAIN: Duration = Duration::from_secs(1);

impl Ownership {
    /// Keeps the timers of the plan's tasks for as long as the ownership lasts, and returns how it was lost:
    /// what every owner has to do besides its work. To be polled beside it, in a `select!` or a task.
    ///
    /// It recovers what lost claimants leave behind, at the beginning and later; puts failed and lost tasks
    /// back after `retry_delay_s`, up to `max_retries` and `max_lost`; ends attempts whose claimants are
    /// silent for `heartbeat_s` or take longer than `attempt_deadline_s`; and hands to a person what failed
    /// too often, or whose `queue_deadline_s` or `total_deadline_s` has passed. By the monotonic clock of
    /// this host; what it has measured of a total deadline is in the task's record, for the next owner. A
    /// task in progress by the authority of this ownership counts as a worker's. [`Ownership::timer_keeper`]
    /// also reports what it does.
    ///
    /// Time in which the plan or the fleet is paused does not count against what waits to be started.
    ///
    /// Two watches: on the plan, and on what is asked of the fleet. No requests while nothing of that changes
    /// and nothing is due.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::AcquireOptions;
    ///
    /// let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    /// let work = async { /* … start tasks, and report what comes of them … */ };
    /// tokio::select! {
    ///     loss = ownership.keep_timers() => println!("stop: {loss}"),
    ///     () = work => ownership.release().await?,
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future stops the timers; the next call, or the next owner, starts them again.
    pub async fn keep_timers(&self) -> Loss {
        let mut keeper = self.timer_keeper(true);
        loop {
            match keeper.next().await {
                Ok(TimerEvent::Trouble(why)) => {
                    tracing::warn!(plan = %self.plan(), %why, "what is due is not done yet");
                }
                Ok(_) => {}
                Err(loss) => return loss,
            }
        }
    }

    /// As [`Ownership::keep_timers`], reporting what it does. `recovers`: whether what lost claimants leave
    /// behind is recovered; else only time counts.
    #[must_use]
    pub fn timer_keeper(&self, recovers: bool) -> TimerKeeper<'_> {
        TimerKeeper {
            ownership: self,
            timers: PlanTimers::new(self, recovers),
            changes: None,
            events: VecDeque::new(),
        }
    }
}

/// Keeps the timers of an owner's plan while [`TimerKeeper::next`] is polled.
#[derive(Debug)]
pub struct TimerKeeper<'o> {
    ownership: &'o Ownership,
    timers: PlanTimers<'o>,
    /// The watch on the plan; `None` until the plan was read.
    changes: Option<Changes>,
    events: VecDeque<TimerEvent>,
}

impl TimerKeeper<'_> {
    /// Keeps the timers until something happens that is worth a report.
    ///
    /// # Errors
    /// How the ownership was lost; nothing happens any more.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost, and the next call goes on. What was being written is written or not.
    pub async fn next(&mut self) -> Result<TimerEvent, Loss> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            tokio::select! {
                biased; // After a loss nothing is to be done.
                loss = self.ownership.lost() => return Err(loss),
                () = step(&mut self.timers, &mut self.changes, &mut self.events) => {}
            }
        }
    }
}

/// Does what there is to do, then waits for the next thing to happen.
async fn step(timers: &mut PlanTimers<'_>, changes: &mut Option<Changes>, events: &mut VecDeque<TimerEvent>) {
    match timers.work().await {
        Ok(happened) => events.extend(happened),
        Err(_) => std::future::pending().await, // The loss is reported by the ownership.
    }
    if changes.is_none() {
        *changes = timers.changes();
    }
    if !events.is_empty() {
        return;
    }
    let feed = async {
        match changes {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased; // A sign of life that is there comes before what its absence would lead to.
        feed = feed => apply(timers, feed).await,
        () = timers.wait() => {}
    }
}

/// Applies what the watch brings.
async fn apply(timers: &mut PlanTimers<'_>, feed: Result<Feed, Error>) {
    timers.set_in_touch(!matches!(feed, Ok(Feed::Broken(_)) | Err(_)));
    match feed {
        Ok(Feed::Changes(sets)) => {
            for change in sets.into_iter().flat_map(|set| set.changes) {
                timers.changed(change);
            }
        }
        Ok(Feed::Compacted(_)) => timers.missed(),
        Ok(Feed::Connected | Feed::Alive(_) | Feed::Broken(_)) => {}
        Err(error) => {
            tracing::warn!(why = error_chain(&error), "the plan cannot be watched");
            tokio::time::sleep(AGAIN).await; // The watch itself does not wait.
        }
    }
}
