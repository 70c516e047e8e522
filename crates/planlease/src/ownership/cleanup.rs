//! What becomes of ownerships and places in a queue whose handles were dropped: a task of the session ends
//! them, one after the other, and looks again for what may arrive late.

use std::collections::VecDeque;

use planlease_core::{LeaseId, PlanName, keys::PlanKey, record::Ending, session::Status};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::ending::{Ticket, end_term};
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    session::{Reservation, Session},
};

/// How often leaving a queue is tried at once while the queue moves.
const LEAVE_TRIES: usize = 8;

/// What the session's task has to clean up. The plan stays marked as held until that is done.
#[derive(Debug)]
pub(crate) enum Abandoned {
    /// An ownership whose handle was dropped.
    Ownership { ticket: Box<Ticket>, _held: Reservation },
    /// A place in a queue whose future was dropped.
    Place { plan: PlanName, held: Reservation, in_flight: bool },
    /// A transaction that may put the key arrives late, if ever. It must not: no process would know of that
    /// place.
    Late { session: Session, plan: PlanName, fenced: bool },
    /// A lock whose handle was dropped, or a place in its line.
    Lock { key: Vec<u8>, held: Reservation, in_flight: bool },
    /// Nothing: reports when everything before it is done.
    Flush(oneshot::Sender<()>),
}

/// The task: releases what was dropped, one after the other. Ends when the session does.
pub(crate) async fn release_abandoned(
    coordinator: Coordinator,
    mut inbox: mpsc::UnboundedReceiver<Abandoned>,
    status: watch::Receiver<Status>,
) {
    let look_after = coordinator.config().request_timeout * 2;
    let mut again: VecDeque<(Instant, Abandoned)> = VecDeque::new();
    loop {
        let due = again.front().map(|(due, _)| *due);
        let mut abandoned = tokio::select! {
            biased; // What was dropped just now first: a caller may wait for it.
            abandoned = inbox.recv() => match abandoned {
                Some(abandoned) => abandoned,
                None => return,
            },
            () = until(due) => match again.pop_front() {
                Some((_, abandoned)) => abandoned,
                None => continue,
            },
        };
        let live = matches!(*status.borrow(), Status::Live { .. });
        if let Abandoned::Flush(done) = abandoned {
            let _ = done.send(());
        } else if live && let Err(error) = clean_up(&coordinator, &mut abandoned).await {
            if is_passing(&error) {
                tracing::debug!(%error, "cleaned up later");
                again.push_back((Instant::now() + look_after, abandoned));
            } else {
                tracing::warn!(%error, "could not clean up; the end of the session will");
            }
        }
        // Else everything is gone with the session.
    }
}

/// Whether a later attempt may succeed.
pub(super) fn is_passing(error: &Error) -> bool {
    error.is_passing() || matches!(error, Error::HeldLocally(_))
}

/// Cleans up one thing. Can be done again.
async fn clean_up(coordinator: &Coordinator, abandoned: &mut Abandoned) -> Result<(), Error> {
    match abandoned {
        Abandoned::Flush(_) => Ok(()),
        Abandoned::Ownership { ticket, .. } => end_term(coordinator, ticket, Ending::Clean, &[]).await,
        Abandoned::Place { plan, held, in_flight } => {
            let session = held.session();
            if *in_flight {
                session.fence_stale_joins().await?;
            }
            leave_line(coordinator, plan, session.lease()).await
        }
        Abandoned::Lock { key, held, in_flight } => {
            if *in_flight {
                held.session().fence_stale_joins().await?;
            }
            // Its name has our lease in it, and no other part of this session has it as long as it is marked
            // as held.
            coordinator
                .etcd()
                .execute(&Transaction::default().then([Op::Delete(key.clone())]), Admission::TURN)
                .await?;
            Ok(())
        }
        Abandoned::Late { session, plan, fenced } => {
            if !*fenced {
                session.fence_stale_joins().await?;
                *fenced = true;
            }
            // Looked at when this process has the plan no more: only then is a key of ours in its line one
            // too many.
            match session.reserve_if_free(plan) {
                Some(_held) => leave_line(coordinator, plan, session.lease()).await,
                None => Err(Error::HeldLocally(plan.clone())),
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Deletes a candidate's key from the queue; if it has taken over meanwhile, releases the plan.
async fn leave_line(coordinator: &Coordinator, plan: &PlanName, lease: LeaseId) -> Result<(), Error> {
    for _ in 0..LEAVE_TRIES {
        let line = coordinator.line(plan).await?;
        let Some(candidate) = line.candidates().iter().find(|candidate| candidate.lease == lease) else {
            return Ok(());
        };
        match line.owner() {
            Some((owner, term)) if owner.lease == lease => {
                let ticket = Ticket { plan: plan.clone(), lease, revision: owner.joined, term: term.clone() };
                return end_term(coordinator, &ticket, Ending::Clean, &[]).await;
            }
            _ => {
                // The term as seen: else it could be the key of an owner by now, whose term would have no
                // end.
                let key = coordinator.layout().of(plan, &PlanKey::Owner(lease));
                let term = coordinator.layout().of(plan, &PlanKey::Term);
                let seen = line.term.as_ref().map(|(revision, _)| *revision);
                let when =
                    [Compare::Created(key.clone(), Some(candidate.joined)), Compare::Modified(term, seen)];
                let txn = Transaction::when(when).then([Op::Delete(key)]);
                if coordinator.etcd().execute(&txn, Admission::TURN).await?.branch == Branch::Then {
                    return Ok(());
                }
            }
        }
    }
    Err(Error::outcome_unknown("the queue of the plan keeps moving"))
}
