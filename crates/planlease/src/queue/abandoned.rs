//! What becomes of ownerships and places in a queue whose handles were dropped: the session's task ends them,
//! and looks again for what may arrive late.

use futures_util::future::BoxFuture;
use planlease_core::{LeaseId, PlanName, keys::PlanKey, record::Ending};

use super::{
    ending::{Ticket, end_term},
    reservation::Reservation,
};
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    session::{Cleanup, Reservable, Session},
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
}

impl Cleanup for Abandoned {
    fn clean_up<'a>(&'a mut self, coordinator: &'a Coordinator) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(clean_up(coordinator, self))
    }
}

async fn clean_up(coordinator: &Coordinator, abandoned: &mut Abandoned) -> Result<(), Error> {
    match abandoned {
        Abandoned::Ownership { ticket, .. } => end_term(coordinator, ticket, Ending::Clean, None).await,
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
            match Reservation::for_cleanup(session, what) {
                Some(_held) => leave(session, what).await,
                None => Err(what.held_locally()),
            }
        }
    }
}

/// Deletes the session's key from the queue: the one that is there, compared by its create revision, since a
/// request that arrives late must spare the next one of the same name.
async fn leave(session: &Session, what: &Reservable) -> Result<(), Error> {
    let (coordinator, lease) = (session.coordinator(), session.lease());
    for _ in 0..LEAVE_TRIES {
        let has_left = match what {
            Reservable::Plan(plan) => leave_plan(coordinator, plan, lease).await?,
            Reservable::Lock(..) => leave_lock(coordinator, what.key(coordinator.layout(), lease)).await?,
        };
        if has_left {
            return Ok(());
        }
    }
    Err(Error::outcome_unknown("the queue keeps moving"))
}

/// Deletes a candidate's key from the queue of a lock. `false` if it moved meanwhile.
async fn leave_lock(coordinator: &Coordinator, key: Vec<u8>) -> Result<bool, Error> {
    let read = Transaction::default().then([Op::Get(key.clone())]);
    let Some(entry) = coordinator.etcd().execute(&read, Admission::TURN).await?.row() else {
        return Ok(true);
    };
    let seen = Compare::Created(key.clone(), Some(entry.created));
    let delete = Transaction::when([seen]).then([Op::Delete(key)]);
    Ok(coordinator.etcd().execute(&delete, Admission::TURN).await?.branch == Branch::Then)
}

/// Deletes a candidate's key from the queue of a plan; if it has taken over meanwhile, releases the plan.
/// `false` if the queue moved meanwhile.
async fn leave_plan(coordinator: &Coordinator, plan: &PlanName, lease: LeaseId) -> Result<bool, Error> {
    let queue = coordinator.queue(plan).await?;
    let Some(candidate) = queue.candidates().iter().find(|candidate| candidate.lease == lease) else {
        return Ok(true);
    };
    if let Some((owner, term)) = queue.owner()
        && owner.lease == lease
    {
        let ticket = Ticket { plan: plan.clone(), lease, revision: owner.joined, term: term.clone() };
        return end_term(coordinator, &ticket, Ending::Clean, None).await.map(|()| true);
    }
    // The term as seen: else it could be the key of an owner by now, whose term would have no end.
    let key = coordinator.layout().of(plan, &PlanKey::Owner(lease));
    let term = coordinator.layout().of(plan, &PlanKey::Term);
    let seen = queue.term.as_ref().map(|(revision, _)| *revision);
    let when = [Compare::Created(key.clone(), Some(candidate.joined)), Compare::Modified(term, seen)];
    let txn = Transaction::when(when).then([Op::Delete(key)]);
    Ok(coordinator.etcd().execute(&txn, Admission::TURN).await?.branch == Branch::Then)
}
