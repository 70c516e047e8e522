//! The end of a plan's execution: released, or lost.

use std::time::Duration;

use futures_util::StreamExt as _;
use planlease::{Error, Outcome, Ownership, PlanView, error_chain};
use planlease_core::{
    TaskId,
    record::HaltRecord,
    spec::{OnLost, Policies},
    transition::{Change, TaskStatus},
};

use super::{
    execution::{Ended, Runner, Stop},
    loss::was_taken_away,
    pooling::release_permits,
};
use crate::{
    attempt::Ask,
    report::{Report, Reporter},
};

/// How often it is tried to give back the tasks of a closed plan, and how long to wait in between.
const GIVE_BACK_TRIES: usize = 5;
const GIVE_BACK_AGAIN: Duration = Duration::from_millis(200);

impl Runner {
    /// Nothing more is to be done here.
    pub(super) async fn finish(self, stop: Stop) -> Ended {
        for unrecorded in &self.ended {
            self.not_recorded(&unrecorded.result.started.id, self.trouble.clone());
        }
        let plan = self.ownership.plan().clone();
        let summary = self.view.summary();
        let reporter = self.shared.reporter.clone();
        let finished = stop == Stop::Run || summary.is_finished();
        let failed = failed_tasks(&self.view);
        let left = self.view.ready().any(|task| self.left.has(task));
        let idle = finished && !self.was_of_use && summary.completed + summary.skipped < summary.total;
        self.release().await;
        reporter.send(&if finished && !left {
            Report::Finished { plan, summary, failed }
        } else {
            Report::Released(plan)
        });
        match finished {
            true if idle => Ended::Idle(summary),
            true => Ended::Finished(summary),
            false => Ended::Stopped,
        }
    }

    /// Releases the plan to the next waiter.
    pub(super) async fn release(self) {
        let (plan, session) = (self.ownership.plan().clone(), self.ownership.session().clone());
        let uses_pools = self.view.graph().uses_pools();
        if let Err(error) = self.ownership.release().await {
            let why = format!("{plan} ends with the session: {}", error_chain(&error));
            self.shared.reporter.send(&Report::Trouble(why));
        } else if uses_pools {
            release_permits(&session, &plan).await; // What its commands have claimed by our authority.
        }
    }

    /// The ownership is over: everything that ran by its right is killed before anything else is done.
    pub(super) async fn lose(mut self, why: String) -> Ended {
        self.ask.send_replace(Ask::Kill);
        for unrecorded in &self.ended {
            self.not_recorded(&unrecorded.result.started.id, format!("the ownership is over: {why}"));
        }
        while let Some((result, _permit)) = self.running.next().await {
            self.not_recorded(&result.started.id, format!("the ownership is over: {why}"));
        }
        self.shared.reporter.send(&Report::Lost { plan: self.ownership.plan().clone(), why });
        give_back_if_closed(&self.ownership, self.timers.policies(), &self.shared.reporter).await;
        if self.view.graph().uses_pools() {
            release_permits(self.ownership.session(), self.ownership.plan()).await;
        }
        if was_taken_away(&self.ownership).await { Ended::TakenAway } else { Ended::Lost }
    }
}

/// Gives back what was killed here, if the plan was cancelled or archived: no owner comes after us who would
/// recover it. By the authority of an operator, which compares that no process owns the plan or waits for it;
/// so it is tried again while others leave the queue. A task that must not run twice, or about which a person
/// decides, fails as its policy says.
async fn give_back_if_closed(ownership: &Ownership, policies: &Policies, reporter: &Reporter) {
    for _ in 0..GIVE_BACK_TRIES {
        match try_to_give_back(ownership, policies).await {
            Ok(true) => return,
            Ok(false) | Err(Error::PlanOwned { .. }) => tokio::time::sleep(GIVE_BACK_AGAIN).await,
            Err(error) => return reporter.send(&Report::Trouble(error_chain(&error))),
        }
    }
}

/// Whether nothing is left to be given back.
async fn try_to_give_back(ownership: &Ownership, policies: &Policies) -> Result<bool, Error> {
    let coordinator = ownership.session().coordinator();
    let view = match coordinator.plan(ownership.plan()).await {
        Ok(view) => view,
        Err(Error::PlanNotFound(_)) => return Ok(true),
        Err(error) => return Err(error),
    };
    let Some((_, halt)) = &view.halts().closed else { return Ok(true) };
    let own = ownership.guard();
    let ours = view.tasks().values().filter(|task| {
        let claim = task.record.claim.as_ref();
        task.record.status == TaskStatus::InProgress
            && claim.is_some_and(|claim| claim.guard.as_ref() == Some(&own))
    });
    let ended = |task: &TaskId| match policies.of_task(task).on_lost {
        OnLost::Retry => Change::Return(closed(halt)),
        on_lost => Change::Lose(on_lost, format!("killed: {}", closed(halt))),
    };
    let updates: Vec<_> = ours.map(|task| (task.clone(), ended(&task.id))).collect();
    if updates.is_empty() {
        return Ok(true);
    }
    let who = ownership.session().id().to_string();
    let outcomes = coordinator.operator(&view, &who)?.update_all(&updates).await?;
    Ok(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))))
}

fn closed(halt: &HaltRecord) -> String {
    format!("the plan was {} by {}: {}", halt.how, halt.by, halt.why)
}

/// The tasks that failed, with the reason.
pub(crate) fn failed_tasks(view: &PlanView) -> Vec<(TaskId, String)> {
    view.failed().map(|(task, why)| (task.clone(), why.to_owned())).collect()
}
