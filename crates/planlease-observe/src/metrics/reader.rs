//! Reads how the fleet is when metrics are asked for: for a process that follows no plans but its own.
//!
//! One read of all plans at a time, at most every [`FRESH`]. A scrape waits for it for [`PATIENCE`],
//! and shows what was read last, with its age; counts that are older than [`USABLE`] are not shown.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use planlease::{Coordinator, Error};
use planlease_core::BootTime;
use prometheus_client::registry::Registry;

use super::fleet::{FleetCounts, register_fleet};

/// How old counts may be before they are read again.
const FRESH: Duration = Duration::from_secs(30);

/// How old they may be to be shown.
const USABLE: Duration = Duration::from_mins(2);

/// How long a scrape waits for a read.
const PATIENCE: Duration = Duration::from_secs(3);

/// The counts of a fleet, read when they are asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetReader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    coordinator: Coordinator,
    last: Mutex<Option<(BootTime, FleetCounts)>>,
    /// One read at a time.
    reading: tokio::sync::Mutex<()>,
}

impl FleetReader {
    /// Has read nothing yet.
    #[must_use]
    pub fn new(coordinator: Coordinator) -> Self {
        let (last, reading) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { coordinator, last, reading }))
    }

    /// Enters what was read last in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let reader = self.clone();
        register_fleet(registry, move || reader.usable());
    }

    /// Reads, if what is there is too old. What cannot be read in time leaves what was read last.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn refresh(&self) {
        let read = async {
            let _one = self.0.reading.lock().await;
            if self.age().is_none_or(|age| age >= FRESH)
                && let Err(error) = self.read().await
            {
                tracing::debug!("the fleet cannot be counted: {error}");
            }
        };
        drop(tokio::time::timeout(PATIENCE, read).await); // Counted when it can be.
    }

    async fn read(&self) -> Result<(), Error> {
        let coordinator = &self.0.coordinator;
        let now = coordinator.clock().boot();
        let (plans, registered) = (coordinator.plans().await?, coordinator.orchestrators().await?);
        let alive = registered.iter().map(|one| (one.id.clone(), one.revision, one.record.offer.as_ref()));
        let counts = FleetCounts::of(plans.iter(), alive, coordinator.clock().wall());
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, counts));
        Ok(())
    }

    fn age(&self) -> Option<Duration> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(at, _)| at.until(self.0.coordinator.clock().boot()))
    }

    fn usable(&self) -> Option<FleetCounts> {
        let age = self.age().filter(|age| *age < USABLE)?;
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = last.as_ref()?.1.clone();
        if counts.ready > 0 {
            counts.oldest_ready += age; // Time goes on where nothing changes.
        }
        Some(counts)
    }
}
