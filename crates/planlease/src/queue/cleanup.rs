//! What becomes of ownerships and places in a queue whose handles were dropped: a task of the session ends
//! them, one after the other, and looks again for what may arrive late.

use std::collections::VecDeque;

use planlease_core::{LeaseId, PlanName, keys::PlanKey, record::Ending, session::Status};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    ending::{Ticket, end_term},
    place::key_of,
};
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    session::{Reservable, Reservation, Session},
};

/// How often leaving a queue is tried at once while the queue moves.
const LEAVE_TRIES: usize = 8;

/// What the session's task has to clean up. The plan stays marked as held until that is done.
#[derive(Debug)]
pub(crate) enum Abandoned {
    /// An ownership whose handle was dropped.
    Ownership { ticket: Box<Ticket>, _held: Reservation },
    /// A place in a queue whose future was dropped, or a lock whose handle was.
    Place { what: Reservable, held: Reservation, in_flight: bool },
    /// A transaction that may put the key arrives late, if ever. It must not: no process would know of that
    /// place.
    Late { session: Session, what: Reservable, fenced: bool },
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
            if error.is_transient() || matches!(error, Error::HeldLocally(_) | Error::LockedLocally { .. }) {
                tracing::debug!(%error, "cleaned up later");
                again.push_back((Instant::now() + look_after, abandoned));
            } else {
                tracing::warn!(%error, "could not clean up; the end of the session will");
            }
        }
        // Else everything is gone with the session.
    }
}

/// Cleans up one thing. Can be done again.
async fn clean_up(coordinator: &Coordinator, abandoned: &mut Abandoned) -> Result<(), Error> {
    match abandoned {
        Abandoned::Flush(_) => Ok(()),
        Abandoned::Ownership { ticket, .. } => end_term(coordinator, ticket, Ending::Clean, &[]).await,
        Abandoned::Place { what, held, in_flight } => {
            let session = held.session();
            if *in_flight {
                session.fence_stale_joins().await?;
            }
            leave(session, what).await
        }
        Abandoned::Late { session, what, fenced } => {
            if !*fenced {
                session.fence_stale_joins().await?;
                *fenced = true;
            }
            // Looked at when this process has the place no more: only then is a key of ours in the queue one
            // too many.
            match session.reserve_if_free(what) {
                Some(_held) => leave(session, what).await,
                None => Err(what.held_locally()),
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

/// Deletes the session's key from the queue.
async fn leave(session: &Session, what: &Reservable) -> Result<(), Error> {
    let coordinator = session.coordinator();
    match what {
        Reservable::Plan(plan) => leave_plan(coordinator, plan, session.lease()).await,
        Reservable::Lock(..) => {
            // Its name has our lease in it, and no other part of this session has it as long as it is marked
            // as held.
            let key = key_of(session, what, session.lease());
            let delete = Transaction::default().then([Op::Delete(key)]);
            coordinator.etcd().execute(&delete, Admission::TURN).await?;
            Ok(())
        }
    }
}

/// Deletes a candidate's key from the queue of a plan; if it has taken over meanwhile, releases the plan.
async fn leave_plan(coordinator: &Coordinator, plan: &PlanName, lease: LeaseId) -> Result<(), Error> {
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
