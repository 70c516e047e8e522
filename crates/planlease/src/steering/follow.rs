//! What operators ask of the fleet, as a process follows it: one read, then one watch for all of it.

use std::time::Duration;

use planlease_core::steering::Steering;
use tokio::sync::watch;

use crate::{
    coordinator::Coordinator,
    error::{Error, error_chain},
    feed::{Changes, Feed},
};

/// How long etcd is left alone after it did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Follows what operators ask of the fleet, and publishes it. Until the first answer it publishes that
/// nothing is asked: whatever the keys are to stop compares them itself.
#[derive(Debug)]
pub struct SteeringFollower {
    coordinator: Coordinator,
    /// The watch; `None` while the keys are still to be read.
    changes: Option<Changes>,
    known: watch::Sender<Steering>,
}

impl SteeringFollower {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(coordinator: Coordinator) -> Self {
        Self { coordinator, changes: None, known: watch::Sender::default() }
    }

    /// What is asked, now and whenever it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Steering> {
        self.known.subscribe()
    }

    /// Whether the fleet is paused, as far as is known.
    #[must_use]
    pub fn fleet_is_paused(&self) -> bool {
        self.known.borrow().pause.is_some()
    }

    /// Waits until something else is asked.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read is published before it returns, and a read that is cut off is made again.
    pub async fn next(&mut self) {
        loop {
            let changed = match &mut self.changes {
                None => self.read().await,
                Some(changes) => match changes.next().await {
                    Ok(Feed::Changes(sets)) => self.known.send_if_modified(|known| {
                        let before = known.clone();
                        for change in sets.iter().flat_map(|set| &set.changes) {
                            known.apply(&change.key, change.entry.as_ref());
                        }
                        *known != before
                    }),
                    Ok(Feed::Compacted(_)) => {
                        self.changes = None;
                        false
                    }
                    Ok(Feed::Connected | Feed::Alive(_) | Feed::Broken(_)) => false,
                    Err(error) => {
                        tracing::warn!(
                            error = error_chain(&error),
                            "what is asked of the fleet is not followed"
                        );
                        self.changes = None;
                        tokio::time::sleep(AGAIN).await;
                        false
                    }
                },
            };
            if changed {
                return;
            }
        }
    }

    /// Reads what is asked, unless it is followed already.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub(crate) async fn catch_up(&mut self) -> Result<bool, Error> {
        if self.changes.is_some() {
            return Ok(false);
        }
        let (steering, revision) = self.coordinator.steering().await?;
        let range = self.coordinator.layout().steering();
        self.changes = Some(self.coordinator.raw().changes(range, revision.next()));
        Ok(self.known.send_if_modified(|known| {
            let changed = *known != steering;
            *known = steering;
            changed
        }))
    }

    /// Reads all keys. Whether something else is asked than was known.
    async fn read(&mut self) -> bool {
        match self.catch_up().await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "what is asked of the fleet cannot be read");
                tokio::time::sleep(AGAIN).await;
                false
            }
        }
    }
}
