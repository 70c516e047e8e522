//! What subscribers receive: typed changes, all of one revision together.

use std::sync::Arc;

use planlease::{Registered, TaskView};
use planlease_core::{
    FencingToken, OrchestratorId, PlanName, Revision, TaskId,
    keys::Key,
    term::{Candidate, Queue},
    view::{Halts, PlanView},
};

/// Everything that changed at one revision, or, if `resynced`, between two of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    /// The store's revision after it.
    pub revision: Revision,
    /// Whether the history was not to be had: then these are the differences between what was held before and
    /// what is there now, each once, whatever happened in between. Ownership is an exception: its terms are
    /// reported one by one. A set of no changes says that nothing differs.
    pub resynced: bool,
    /// The changes. Their order within one set means nothing, but for those of one plan's ownership, which
    /// are reported in the order in which they happened, and for a plan that went and came again.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A plan is there, whole, with all its tasks.
    PlanAppeared(Arc<PlanView>),
    /// A plan is gone, with everything that belonged to it.
    PlanGone {
        /// The plan.
        plan: PlanName,
    },
    /// The definition of a plan was edited; this is the plan after the whole set. The tasks that were added
    /// or removed by it are reported beside it.
    Redefined(Arc<PlanView>),
    /// A task's record was written.
    Task {
        /// The plan.
        plan: PlanName,
        /// The task as it is now.
        task: Arc<TaskView>,
        /// As it was before, if it was there.
        before: Option<Arc<TaskView>>,
    },
    /// A task's record was deleted, or cannot be read any more, while its plan stays: it was edited out of
    /// the plan.
    TaskGone {
        /// The plan.
        plan: PlanName,
        /// The task as it was.
        before: Arc<TaskView>,
    },
    /// The output of a task was written or deleted. The text is not held;
    /// [`planlease::Coordinator::findings`] reads it.
    Findings {
        /// The plan.
        plan: PlanName,
        /// The task.
        task: TaskId,
        /// The revision that wrote it; `None` if it was deleted.
        revision: Option<Revision>,
    },
    /// A plan was paused, cancelled, archived or resumed.
    Halted {
        /// The plan.
        plan: PlanName,
        /// What keeps it from going on now.
        halts: Halts,
    },
    /// The owner of a plan, or its queue, changed.
    Ownership {
        /// The plan.
        plan: PlanName,
        /// What happened.
        what: OwnershipChange,
        /// The queue as it is after the whole set.
        queue: Arc<Queue>,
    },
    /// An orchestrator's session began.
    OrchestratorAppeared(Arc<Registered>),
    /// An orchestrator says something else about itself than before, such as how loaded it is.
    OrchestratorChanged(Arc<Registered>),
    /// An orchestrator's session is over.
    OrchestratorGone(Arc<Registered>),
    /// A stored value cannot be read, being of a newer planlease or damaged: what it holds is left out of the
    /// snapshot. To be reported rather than guessed.
    Unreadable {
        /// Where it is.
        key: Key,
        /// Why; `None` once it is gone or readable again.
        reason: Option<String>,
    },
}

/// What happened to the ownership of a plan. Never coalesced: each term is reported with its beginning and
/// its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnershipChange {
    /// The plan has a new owner.
    Acquired {
        /// Who.
        owner: OrchestratorId,
        /// The term's token.
        token: FencingToken,
    },
    /// The owner let go.
    Released {
        /// Who owned it.
        owner: OrchestratorId,
        /// The term's token.
        token: FencingToken,
    },
    /// The owner handed the plan over to a waiter, which takes over next.
    HandedOver {
        /// Who owned it.
        owner: OrchestratorId,
        /// The term's token.
        token: FencingToken,
        /// The successor.
        to: OrchestratorId,
    },
    /// The owner's session ended without a release: it crashed, or was cut off.
    Expired {
        /// Who owned it.
        owner: OrchestratorId,
        /// The term's token.
        token: FencingToken,
    },
    /// An operator ended the ownership.
    Forced {
        /// Who owned it.
        owner: OrchestratorId,
        /// The term's token.
        token: FencingToken,
        /// The operator.
        by: String,
        /// Why.
        reason: String,
    },
    /// A candidate joined the queue.
    Waiting(Candidate),
    /// A waiter left the queue without having owned the plan.
    Left(Candidate),
    /// A record of the queue was rewritten; its candidates and the owner are the same.
    Amended,
}

impl Change {
    /// The plan that it belongs to, if it belongs to one.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanName> {
        match self {
            Self::PlanAppeared(state) | Self::Redefined(state) => Some(state.name()),
            Self::PlanGone { plan }
            | Self::Task { plan, .. }
            | Self::TaskGone { plan, .. }
            | Self::Findings { plan, .. }
            | Self::Halted { plan, .. }
            | Self::Ownership { plan, .. } => Some(plan),
            Self::Unreadable { key, .. } => key.plan(),
            Self::OrchestratorAppeared(_) | Self::OrchestratorChanged(_) | Self::OrchestratorGone(_) => None,
        }
    }
}
