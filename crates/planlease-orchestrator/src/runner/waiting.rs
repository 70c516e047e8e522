//! Waiting for the next thing to happen to a plan that is executed.

use futures_util::{FutureExt as _, StreamExt as _};
use planlease::{
    Changes,
    clock::{Clock, sleep_until},
};
use planlease_core::BootTime;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    execution::{Runner, Stop},
    loss::explain_end,
    unrecorded::Unrecorded,
};
use crate::{
    attempt::{self, Ask},
    report::Report,
};

impl Runner {
    /// Waits for the next thing to happen, and deals with it. `Err` if the ownership is lost.
    pub(super) async fn step(&mut self, changes: &mut Changes) -> Result<(), String> {
        let wants_more = self.stop() == Stop::Run && self.not_before.is_none() && self.can_start();
        let (better, yields_at) = (self.not_before, self.yields_at());
        let coordinator = self.ownership.session().coordinator().clone();
        let wants_permits = self.stop() == Stop::Run
            && better.is_none()
            && self.view.graph().uses_pools()
            && self.may_start();
        tokio::select! {
            biased; // The loss first: what runs has to die. Then the wish to stop, then what has ended.
            _ = self.ownership.lost() => Err(explain_end(&self.ownership).await),
            changed = self.shared.stop.changed() => {
                if changed.is_err() {
                    self.ask.send_replace(Ask::Terminate); // No caller is left that could want more.
                }
                Ok(())
            }
            Ok(()) = self.shared.steering.changed() => Ok(()),
            Some(first) = self.running.next() => {
                self.end(first);
                // Those that have ended as well are recorded together with it.
                while let Some(Some(other)) = self.running.next().now_or_never() {
                    self.end(other);
                }
                Ok(())
            }
            () = until(better) => Ok(()),
            () = until(self.asked.look_at) => Ok(()),
            () = until_due(self.ownership.session().coordinator().clock(), yields_at) => Ok(()),
            () = until(self.unstarted.next(Instant::now())) => Ok(()),
            () = until(self.short.next(Instant::now())) => Ok(()),
            () = until(self.pools.next_try()), if wants_permits => Ok(()),
            () = self.pools.changed(&coordinator), if self.view.graph().uses_pools() => {
                self.pools_changed();
                Ok(())
            }
            () = until_due(self.ownership.session().coordinator().clock(), self.due), if better.is_none() => Ok(()),
            () = self.slots.wait(), if wants_more => Ok(()),
            () = self.claimants.gone() => {
                self.claimant_gone = true;
                Ok(())
            }
            feed = changes.next() => self.apply(feed).await,
        }
    }

    /// An attempt is over; what came of it is still to be recorded.
    fn end(&mut self, (result, _permit): (attempt::Result, OwnedSemaphorePermit)) {
        let task = &result.started.id;
        self.busy.remove(task);
        match &result.end {
            attempt::End::NotStarted(why) => self.unstarted.note(task.clone(), why, Instant::now()),
            attempt::End::Short(why) => {
                if self.short.note(self.busy.len(), why, Instant::now()) {
                    let what = format!("this host is short of resources: {why}");
                    self.shared.reporter.send(&Report::Trouble(what));
                }
            }
            _ => {
                self.unstarted.started(task);
                self.short.started();
            }
        }
        let spent = self.spent(task);
        let known = self.view.tasks().get(task);
        let seen = known.filter(|known| known.record.attempt == result.started.record.attempt);
        let seen = seen.cloned();
        self.ended.push_back(Unrecorded::new(result, seen, spent));
    }
}

/// Waits until the moment; for ever if there is none.
pub(crate) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The same by the clock that counts while the host is suspended.
async fn until_due(clock: &dyn Clock, moment: Option<BootTime>) {
    match moment {
        Some(moment) => sleep_until(clock, moment).await,
        None => std::future::pending().await,
    }
}
