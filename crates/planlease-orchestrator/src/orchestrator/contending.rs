//! Waiting in the queues of several plans at once, and what comes of it.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use planlease::{AcquireOptions, AuthorityLoss, Error, Ownership, Session, TryAcquire, error_chain};
use planlease_core::{PlanName, Summary as TaskCounts, TaskId};

use super::summary::Dropped;
use crate::{
    report::{Report, Reporter},
    runner::failed_tasks,
};

/// How long to wait before a new session is tried after one was lost or could not be opened.
pub(super) const SESSION_AGAIN: Duration = Duration::from_secs(1);

/// What waiting in the queues came to.
pub(super) enum Won {
    /// The plan is ours.
    Plan(Box<Ownership>),
    /// Nothing is left to do in the plan, whose tasks stand like this; those that failed, with the reason.
    Done(PlanName, TaskCounts, Vec<(TaskId, String)>),
    /// The plan was cancelled, archived or deleted.
    Dropped(PlanName, Dropped),
    /// This plan cannot be owned at the moment, for this reason; the others can.
    Failed(PlanName, String),
    /// This plan cannot be owned, for this reason, before an operator has repaired a record of it.
    Unreadable(PlanName, String),
    /// The plan is not free before this has passed, or may not be.
    Later(Duration),
    /// Something went wrong that a retry may fix.
    Nothing,
    /// etcd says that there is no such session.
    SessionLost,
}

/// Waits in the queues of these plans at once, of as many as there is `room` for in the session; the first
/// one that is acquired ends it, and leaves the other queues. Never returns if there are none.
pub(super) async fn contend(
    session: &Session,
    plans: Vec<PlanName>,
    room: usize,
    reporter: &Reporter,
    reported: &mut BTreeSet<PlanName>,
) -> Result<Won, Error> {
    // Whatever is free is taken first, so that waiting in many queues does not take what another process
    // could have.
    let options = AcquireOptions::default().only_for_work(true);
    for plan in plans.iter().filter(|_| room > 0) {
        match session.try_acquire_with(plan, options).await {
            Ok(TryAcquire::Acquired(ownership)) => return Ok(Won::Plan(ownership)),
            Ok(TryAcquire::HeldBy(_) | TryAcquire::Delayed(_)) => {
                if reported.insert(plan.clone()) {
                    reporter.send(&Report::Waiting(plan.clone()));
                }
            }
            Err(error) => return trouble(session, plan, error, reporter).await,
        }
    }
    let mut queues: FuturesUnordered<_> = plans
        .into_iter()
        .take(room)
        .map(|plan| async move {
            let acquired = session.acquire(&plan, options).await;
            (plan, acquired)
        })
        .collect();
    match queues.next().await {
        Some((_, Ok(ownership))) => Ok(Won::Plan(Box::new(ownership))),
        Some((plan, Err(error))) => trouble(session, &plan, error, reporter).await,
        None => std::future::pending().await,
    }
}

/// What a retry can fix is waited out: the session's end, if it comes to that, is seen elsewhere.
pub(super) async fn trouble(
    session: &Session,
    plan: &PlanName,
    error: Error,
    reporter: &Reporter,
) -> Result<Won, Error> {
    if let Some(why) = Dropped::of(&error) {
        return Ok(Won::Dropped(plan.clone(), why));
    }
    match error {
        Error::NothingLeft { plan, summary } => {
            let view = session.coordinator().plan(&plan).await;
            let failed = view.map(|view| failed_tasks(&view)).unwrap_or_default();
            Ok(Won::Done(plan, summary, failed))
        }
        Error::AuthorityLost(AuthorityLoss::Session(reason)) => {
            reporter.send(&Report::Trouble(reason.to_string()));
            Ok(Won::SessionLost)
        }
        // Until it is uncordoned, or the session has a plan less; both are seen elsewhere.
        Error::Cordoned { .. } | Error::HeldLocally(_) | Error::TooManyHeld { .. } => {
            tokio::time::sleep(SESSION_AGAIN).await;
            Ok(Won::Nothing)
        }
        // Only this plan is concerned, in these and the next ones. No time makes a record readable.
        Error::Unreadable(_) => Ok(Won::Unreadable(plan.clone(), error_chain(&error))),
        Error::Codec(_) | Error::TimedOut(_) | Error::Refused(_) => {
            Ok(Won::Failed(plan.clone(), error_chain(&error)))
        }
        error if error.is_transient() || matches!(error, Error::AuthorityLost(_)) => {
            reporter.send(&Report::Trouble(error_chain(&error)));
            tokio::time::sleep(SESSION_AGAIN).await;
            Ok(Won::Nothing)
        }
        error => Err(error),
    }
}
