//! Reservations: which plans and locks this process has, or waits for, under one session. The keys of a
//! session in the queues are named after its lease, so each plan and each lock can be had once only; a second
//! part of the process must not share one by accident.

use std::collections::BTreeMap;

use planlease_core::{
    LeaseId, LockName, PlanName,
    keys::{Key, Layout, PlanKey},
    session::LossReason,
};
use tokio::sync::watch;

use crate::error::Error;

/// The most plans that one session owns or waits for. All of their keys hang on one lease, and etcd deletes
/// them in one transaction when it ends: thousands at once would hold up everybody else.
pub const MAX_HELD: usize = 1_000;

/// What a session can have once only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reservable {
    /// The ownership of a plan, or a place in its queue.
    Plan(PlanName),
    /// A lock of a plan, or without one of the namespace, likewise.
    Lock(Option<PlanName>, LockName),
}

impl Reservable {
    /// The key that stands in its queue for the session with this lease.
    pub(crate) fn key(&self, layout: &Layout, lease: LeaseId) -> Vec<u8> {
        match self {
            Self::Plan(plan) => layout.of(plan, &PlanKey::Owner(lease)),
            Self::Lock(Some(plan), lock) => layout.of(plan, &PlanKey::Lock(lock.clone(), lease)),
            Self::Lock(None, lock) => layout.key(&Key::Lock(lock.clone(), lease)),
        }
    }

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
pub(crate) struct Reservations(watch::Sender<BTreeMap<Reservable, State>>);

impl Reservations {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }

    /// Reserves the plan, or the lock, for this process. What was abandoned and is not cleaned up yet is
    /// waited for: it hangs on the same key of the same lease, so cleaning it up later would take away what
    /// is acquired now.
    pub(crate) async fn reserve(&self, wanted: &Reservable) -> Result<(), Error> {
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
    pub(crate) fn reserve_for_cleanup(&self, wanted: &Reservable) -> bool {
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

    /// Marks what is reserved as abandoned: it stays reserved until it is cleaned up.
    pub(crate) fn abandon(&self, what: &Reservable) {
        self.0.send_modify(|all| {
            all.insert(what.clone(), State::Abandoned);
        });
    }

    /// Ends a reservation.
    pub(crate) fn end(&self, what: &Reservable) {
        self.0.send_modify(|all| {
            all.remove(what);
        });
    }
}
