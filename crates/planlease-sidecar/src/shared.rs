//! What all requests share.

use std::sync::Arc;

use planlease::Coordinator;
use planlease_watcher::Watcher;
use tokio::sync::Semaphore;

use crate::{
    bodies::Bodies,
    drain::Drain,
    encoded::Encoded,
    metrics::Metrics,
    options::{MAX_READING, Options},
    pulse::Pulse,
    repeated::Repeated,
    sessions::Sessions,
};

/// The state of the router.
pub(crate) type App = Arc<Shared>;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) coordinator: Coordinator,
    pub(crate) watcher: Watcher,
    pub(crate) options: Options,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) drain: Drain,
    pub(crate) metrics: Metrics,
    pub(crate) encoded: Encoded,
    pub(crate) pulse: Pulse,
    pub(crate) bodies: Bodies,
    /// Memory for reading plan files.
    pub(crate) reading: Arc<Semaphore>,
    pub(crate) repeated: Repeated,
}

impl Shared {
    /// Nothing yet.
    pub(crate) fn new(coordinator: Coordinator, options: Options) -> App {
        let (watcher, metrics) = (Watcher::start(coordinator.clone()), Metrics::default());
        Arc::new(Self {
            coordinator,
            watcher,
            sessions: Arc::new(Sessions::new(options.max_sessions, metrics.clone())),
            drain: Drain::default(),
            metrics,
            encoded: Encoded::default(),
            pulse: Pulse::default(),
            bodies: Bodies::default(),
            reading: Arc::new(Semaphore::new(MAX_READING)),
            repeated: Repeated::default(),
            options,
        })
    }
}
