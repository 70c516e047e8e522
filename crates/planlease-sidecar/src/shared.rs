//! What all requests share.

use std::sync::Arc;

use planlease::{Coordinator, Error};
use planlease_core::offer::Offer;
use tokio::sync::Semaphore;

use crate::{
    bodies::Bodies,
    drain::Drain,
    encoded::Encoded,
    fleet::Fleet,
    metrics::Metrics,
    options::{MAX_READING, Options},
    pulse::Pulse,
    recent::Recent,
    repeated::Repeated,
    sessions::Sessions,
    watchers::Watchers,
};

/// The state of the router.
pub(crate) type App = Arc<Shared>;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) coordinator: Coordinator,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) options: Options,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) drain: Drain,
    pub(crate) metrics: Metrics,
    pub(crate) fleet: Fleet,
    pub(crate) encoded: Encoded,
    pub(crate) pulse: Pulse,
    /// What it answered with last.
    pub(crate) recent: Recent,
    pub(crate) bodies: Bodies,
    /// Memory for reading plan files.
    pub(crate) reading: Arc<Semaphore>,
    pub(crate) repeated: Repeated,
    /// The answers to claims of agents that carried an id.
    pub(crate) claims: Arc<planlease_mcp::Repeated>,
}

impl Shared {
    /// Nothing yet.
    pub(crate) fn new(coordinator: Coordinator, options: Options) -> App {
        let metrics = Metrics::default();
        Arc::new(Self {
            watchers: Watchers::new(coordinator.clone()),
            coordinator,
            sessions: Arc::new(Sessions::new(options.max_sessions, metrics.clone())),
            drain: Drain::default(),
            metrics,
            fleet: Fleet::default(),
            encoded: Encoded::default(),
            pulse: Pulse::default(),
            recent: Recent::default(),
            bodies: Bodies::default(),
            reading: Arc::new(Semaphore::new(MAX_READING)),
            repeated: Repeated::default(),
            claims: Arc::default(),
            options,
        })
    }

    /// What the registered orchestrators run, of those that say so: from a watcher of the namespace, if one
    /// runs.
    pub(crate) async fn offers(&self) -> Result<Vec<Offer>, Error> {
        let Some(snapshot) = self.watchers.of_namespace().and_then(|watcher| watcher.snapshot()) else {
            return self.coordinator.offers().await;
        };
        let all = snapshot.orchestrators();
        Ok(all.filter_map(|one| one.record.offer.clone()).collect())
    }
}
