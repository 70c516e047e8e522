//! Giving a plan away because an operator asked for it: its orchestrator is drained, or the plan is to move.
//!
//! ```text
//!   asked ──► the candidate waits in the queue (a move only) ──► nothing new starts
//!         ──► nothing runs any more, or the deadline has passed and what runs is ended ──► handed over, or released
//! ```

use std::time::Duration;

use planlease::{Ownership, error_chain};
use planlease_core::{BootTime, OrchestratorId, steering::Eligibility};
use tokio::time::Instant;

use super::{
    asked::{Asked, Yielding},
    execution::{Ended, Runner, Stop},
};
use crate::report::Report;

/// The deadline of a drain whose record names none.
const DEADLINE: Duration = Duration::from_secs(300);

/// How often the queue is read while the candidate of a move is not in it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Runner {
    /// Whether the fleet is paused.
    pub(super) fn fleet_is_paused(&self) -> bool {
        self.shared.steering.borrow().pause.is_some()
    }

    /// How far this runner is to stop: as the orchestrator is to, or as the plan is to be given away.
    pub(super) fn stop(&self) -> Stop {
        let own = match &self.asked.yielding {
            None => Stop::Run,
            Some(yielding) if yielding.until() <= self.now() => Stop::Abort,
            Some(_) => Stop::Drain,
        };
        own.max(*self.shared.stop.borrow())
    }

    /// When what still runs is to be ended, if that is to come.
    pub(super) fn yields_at(&self) -> Option<BootTime> {
        self.asked.yielding.as_ref().map(Yielding::until).filter(|until| *until > self.now())
    }

    /// Looks what is asked about this plan.
    pub(super) async fn look_at_steering(&mut self) {
        let id = self.ownership.session().id().clone();
        if self.asked.look_at.is_some_and(|moment| moment > Instant::now()) {
            self.shared.steering.mark_unchanged(); // Looked at then.
            return;
        }
        let wanted = {
            let steering = self.shared.steering.borrow_and_update();
            let moved = steering.move_of(self.ownership.plan(), &id);
            let drained = steering.cordons.get(&id).filter(|cordon| cordon.state == Eligibility::Draining);
            match (moved, drained) {
                (Some(request), _) => Some((Some(request.to.clone()), Some(request.deadline_s))),
                (None, Some(cordon)) => Some((None, cordon.deadline_s)),
                (None, None) => None,
            }
        };
        self.asked.look_at = None;
        let Some((to, deadline_s)) = wanted else {
            self.asked.yielding = None;
            return;
        };
        let deadline = deadline_s.map_or(DEADLINE, Duration::from_secs);
        if let Some(yielding) = self.asked.yielding.as_mut().filter(|yielding| yielding.to == to) {
            yielding.deadline = deadline;
            return;
        }
        self.asked.yielding = None;
        if let Some(to) = &to
            && !is_waiting(&self.ownership, to).await
        {
            self.asked.look_at = Some(Instant::now() + LOOK_AGAIN);
            return;
        }
        self.asked.yielding = Some(Yielding { to, since: self.now(), deadline });
    }

    /// The successor that the plan is to be handed to now.
    pub(super) fn successor(&self) -> Option<OrchestratorId> {
        self.asked.yielding.as_ref()?.to.clone().filter(|_| !self.view.summary().is_finished())
    }

    /// Hands the plan over. If that does not succeed, this runner goes on: the candidate may have left.
    pub(super) async fn hand_over(mut self, to: &OrchestratorId) -> Result<Ended, Box<Self>> {
        let (plan, reporter) = (self.ownership.plan().clone(), self.shared.reporter.clone());
        match self.ownership.hand_over(to).await {
            Ok(()) => {
                reporter.send(&Report::HandedOver { plan, to: to.clone() });
                Ok(Ended::Stopped)
            }
            Err(failed) => {
                let (ownership, error) = failed.into_parts();
                reporter.send(&Report::Trouble(format!(
                    "{plan} was not handed over to {to}: {}",
                    error_chain(&error)
                )));
                self.ownership = ownership;
                self.asked = Asked { yielding: None, look_at: Some(Instant::now() + LOOK_AGAIN) };
                Err(Box::new(self))
            }
        }
    }
}

/// Whether this orchestrator waits in the queue of the plan.
async fn is_waiting(ownership: &Ownership, to: &OrchestratorId) -> bool {
    let queue = ownership.session().coordinator().queue(ownership.plan()).await;
    queue.is_ok_and(|queue| {
        let mut waiting = queue.candidates().iter().skip(1).filter_map(|candidate| candidate.record.as_ref());
        waiting.any(|record| record.orchestrator == *to)
    })
}
