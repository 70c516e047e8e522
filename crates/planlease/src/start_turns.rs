//! The turns of starts in plans that bound how many tasks are in progress, and of those that take permits of
//! a pool. Each such start counts first, and is refused if another one is faster; so those of one process go
//! one after the other, in the order in which they came, and do not refuse each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The turns of the plans, or pools, in which a start is under way.
#[derive(Debug)]
pub(crate) struct StartTurns<K>(Mutex<BTreeMap<K, Weak<Turn<()>>>>);

impl<K> Default for StartTurns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> StartTurns<K> {
    /// Waits for the turn of a start in this plan, or pool. Each start before it is bounded in time, so the
    /// wait is, too.
    pub(crate) async fn next(&self, of: &K) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            match turns.get(of).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(Turn::new(()));
                    turns.insert(of.clone(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}
