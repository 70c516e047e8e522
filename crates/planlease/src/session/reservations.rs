//! Reservations: which plans and locks this process has, or waits for, under one session. The keys of a
//! session in the queues are named after its lease, so each plan and each lock can be had once only; a second
//! part of the process must not share one by accident.

use std::collections::BTreeMap;

use planlease_core::{LockName, PlanName, session::LossReason};
use tokio::sync::watch;

use super::Session;
use crate::error::Error;

/// The most plans that one session owns or waits for. All of their keys hang on one lease, and etcd deletes
/// them in one transaction when it ends: thousands at once would hold up everybody else.
pub const MAX_HELD: usize = 1_000;

/// What a session can have once only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reservable {
    /// The ownership of a plan, or a place in its queue.
    Plan(PlanName),
    /// A lock of a plan, likewise.
    Lock(PlanName, LockName),
}

impl Reservable {
    /// The error for another part of this process that has it.
    pub(crate) fn held_locally(&self) -> Error {
        match self {
            Self::Plan(plan) => Error::HeldLocally(plan.clone()),
            Self::Lock(plan, lock) => Error::LockedLocally { plan: plan.clone(), lock: lock.clone() },
        }
    }
}

/// What a reservation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An ownership or a lock, or a place in a queue.
    InUse,
    /// One that was dropped, and that the session's task has still to clean up.
    Abandoned,
}

/// All reservations of a session.
#[derive(Debug)]
pub(super) struct Reservations(watch::Sender<BTreeMap<Reservable, State>>);

impl Reservations {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }

    /// Reserves the plan, or the lock, for this process. What was abandoned and is not cleaned up yet is
    /// waited for: it hangs on the same key of the same lease, so cleaning it up later would take away what
    /// is acquired now.
    pub(super) async fn reserve(&self, wanted: &Reservable) -> Result<(), Error> {
        let mut changes = self.0.subscribe();
        loop {
            let mut found = None;
            let mut full = false;
            self.0.send_if_modified(|all| {
                found = all.get(wanted).copied();
                full = all.len() >= MAX_HELD;
                if found.is_none() && !full {
                    all.insert(wanted.clone(), State::InUse);
                }
                false // No caller waits for a new reservation.
            });
            match found {
                None if full => return Err(Error::TooManyHeld { max: MAX_HELD }),
                None => return Ok(()),
                Some(State::InUse) => return Err(wanted.held_locally()),
                Some(State::Abandoned) => {
                    let free = changes.wait_for(|all| all.get(wanted) != Some(&State::Abandoned));
                    free.await.map_err(|_| Error::session_lost(LossReason::Closed))?;
                }
            }
        }
    }

    /// Reserves for cleaning up; `false` if there is a reservation already.
    pub(super) fn reserve_for_cleanup(&self, wanted: &Reservable) -> bool {
        let mut free = false;
        self.0.send_if_modified(|all| {
            free = !all.contains_key(wanted);
            if free {
                all.insert(wanted.clone(), State::Abandoned);
            }
            false
        });
        free
    }
}

/// The reservation of a plan or of a lock; ended when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    session: Session,
    what: Reservable,
}

impl Reservation {
    /// Of what was reserved in this session a moment ago.
    pub(super) fn new(session: &Session, what: Reservable) -> Self {
        Self { session: session.clone(), what }
    }

    /// The session that it belongs to.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The same reservation, for what is to be cleaned up: it stays until that is done.
    pub(crate) fn abandoned(self) -> Self {
        self.session.reservations().0.send_modify(|all| {
            all.insert(self.what.clone(), State::Abandoned);
        });
        self
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.session.reservations().0.send_modify(|all| {
            all.remove(&self.what);
        });
    }
}
