//! What waits for a request that it shares, and how many such requests are under way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use planlease_core::PlanName;
use tokio::sync::Semaphore;

use super::batch::{MAX_FLIGHTS, Queue};

/// How many transactions of one plan wait at most; a further caller waits for a place first.
const MAX_WAITING: usize = 1024;

/// What waits, and how much is under way.
#[derive(Debug)]
pub(super) struct Backlog(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) flights: usize,
    /// The places of each plan that has a waiting transaction.
    pub(super) places: BTreeMap<PlanName, Arc<Semaphore>>,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { queue: Queue::new(), flights: 0, places: BTreeMap::new() }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn places(&self, plan: &PlanName) -> Arc<Semaphore> {
        let mut state = self.state();
        if let Some(places) = state.places.get(plan) {
            return Arc::clone(places);
        }
        let places = Arc::new(Semaphore::new(MAX_WAITING));
        state.places.insert(plan.clone(), Arc::clone(&places));
        places
    }
}

impl State {
    /// Whether one more request is to go out now.
    pub(super) fn wants_flight(&self) -> bool {
        !self.queue.is_empty()
            && (self.flights == 0 || (self.flights < MAX_FLIGHTS && self.queue.has_enough()))
    }
}
