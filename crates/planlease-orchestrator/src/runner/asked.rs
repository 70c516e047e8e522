//! What a runner knows about giving its plan away.

use std::time::Duration;

use planlease_core::{BootTime, OrchestratorId};
use tokio::time::Instant;

/// A plan that is being given away.
#[derive(Clone, Debug)]
pub(super) struct Yielding {
    /// The successor, if it is named; else the next in the queue.
    pub(super) to: Option<OrchestratorId>,
    pub(super) since: BootTime,
    /// How long running tasks may go on.
    pub(super) deadline: Duration,
}

impl Yielding {
    /// When what still runs is ended.
    pub(super) fn until(&self) -> BootTime {
        self.since.plus(self.deadline)
    }
}

/// What the runner knows about giving its plan away.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) yielding: Option<Yielding>,
    /// When the queue is to be read again.
    pub(super) look_at: Option<Instant>,
}
