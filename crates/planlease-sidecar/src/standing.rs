//! What a connection may take of what there is: as long as it has shown no token, a place among few, from
//! which a newer connection may push it; afterwards one of the many for clients.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    clients: Arc<Semaphore>,
    unproven: Arc<Unproven>,
}

/// Connections without a token so far, by age.
#[derive(Debug)]
struct Unproven {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    closing: BTreeMap<u64, CancellationToken>,
}

/// The place of one connection.
#[derive(Debug)]
pub(crate) struct Standing {
    clients: Arc<Semaphore>,
    place: Mutex<Place>,
    /// A newer connection has taken its place.
    pub(crate) pushed_out: CancellationToken,
}

#[derive(Debug)]
enum Place {
    Unproven { _leave: Leave },
    Client { _permit: OwnedSemaphorePermit },
}

/// Leaves the place when dropped.
#[derive(Debug)]
struct Leave {
    unproven: Arc<Unproven>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.unproven.waiting().closing.remove(&self.number);
    }
}

impl Unproven {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// So many for clients, and so many for connections that have not shown that they are one.
    pub(crate) fn new(clients: usize, unproven: usize) -> Self {
        let unproven = Unproven { most: unproven.max(1), waiting: Mutex::default() };
        Self { clients: Arc::new(Semaphore::new(clients)), unproven: Arc::new(unproven) }
    }

    /// A place for a client that needs no token; `None` if there is none left.
    pub(crate) fn client(&self) -> Option<Standing> {
        let permit = Arc::clone(&self.clients).try_acquire_owned().ok()?;
        Some(self.standing(Place::Client { _permit: permit }, CancellationToken::new()))
    }

    /// A place for a connection that has to show a token. The oldest one of its kind is closed if there are
    /// too many: a client shows its token in a moment.
    pub(crate) fn unproven(&self) -> Standing {
        let pushed_out = CancellationToken::new();
        let mut waiting = self.unproven.waiting();
        if waiting.closing.len() >= self.unproven.most
            && let Some((_, oldest)) = waiting.closing.pop_first()
        {
            oldest.cancel();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.closing.insert(number, pushed_out.clone());
        drop(waiting);
        let leave = Leave { unproven: Arc::clone(&self.unproven), number };
        self.standing(Place::Unproven { _leave: leave }, pushed_out)
    }

    fn standing(&self, place: Place, pushed_out: CancellationToken) -> Standing {
        Standing { clients: Arc::clone(&self.clients), place: Mutex::new(place), pushed_out }
    }
}

impl Standing {
    /// Whether it is a client's.
    pub(crate) fn is_client(&self) -> bool {
        matches!(*self.place(), Place::Client { .. })
    }

    /// The connection has shown a token.
    ///
    /// # Errors
    /// [`Kind::TooMany`] if there are as many clients as there may be.
    pub(crate) fn prove(&self) -> Result<(), Problem> {
        let mut place = self.place();
        if matches!(*place, Place::Client { .. }) {
            return Ok(());
        }
        let Ok(permit) = Arc::clone(&self.clients).try_acquire_owned() else {
            return Err(Problem::new(Kind::TooMany, "too many connections (--max-connections)"));
        };
        *place = Place::Client { _permit: permit };
        Ok(())
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_without_a_token_evict_each_other_only() {
        let places = Places::new(2, 3);
        let first = places.unproven();
        first.prove().unwrap();
        let idle: Vec<_> = (0..10).map(|_| places.unproven()).collect();
        let closed = idle.iter().filter(|one| one.pushed_out.is_cancelled()).count();
        assert_eq!((closed, first.pushed_out.is_cancelled()), (7, false));
        assert!(!idle[9].pushed_out.is_cancelled(), "the newest one has time to show its token");
        idle[9].prove().unwrap();
        assert!(idle[8].prove().is_err(), "as many clients as there may be");
        assert!(places.client().is_none());
        drop(first);
        assert!(places.client().is_some());
    }
}
