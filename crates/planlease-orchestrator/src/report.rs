//! What an orchestrator reports about itself.

use std::{sync::Arc, time::Duration};

use planlease_core::{
    FencingToken, OrchestratorId, PlanName, Summary, TaskId, record::Halt, transition::TaskStatus,
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A session was opened under this name.
    SessionOpened(OrchestratorId),
    /// Another process owns the plan; this one waits in its queue.
    Waiting(PlanName),
    /// The plan is ours.
    Acquired {
        /// Which plan.
        plan: PlanName,
        /// The token of this ownership.
        token: FencingToken,
        /// How many tasks of a lost claimant were recovered.
        recovered: usize,
    },
    /// Tasks whose boxes are ticked in the plan file count as pending, and will run.
    Ticked {
        /// Of which plan.
        plan: PlanName,
        /// Which tasks, of those that were never started.
        tasks: Vec<TaskId>,
    },
    /// A task was started.
    Started {
        /// Of which plan.
        plan: PlanName,
        /// Which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
    },
    /// Nothing else is to be done, but a worker or a person has a task in progress: its end, or its loss, is
    /// waited for.
    ClaimedBy {
        /// Of which plan.
        plan: PlanName,
        /// Which task.
        task: TaskId,
        /// Who has it.
        by: String,
    },
    /// An attempt ended, and that is recorded.
    Ended {
        /// Of which plan.
        plan: PlanName,
        /// Which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// Where the task stands now: pending again, if it is to be retried.
        status: TaskStatus,
        /// How long it ran.
        took: Duration,
        /// Why it failed, if it did.
        error: Option<String>,
    },
    /// The command of an attempt did not start; the task was given back, and no retry is used.
    NotStarted {
        /// Of which plan.
        plan: PlanName,
        /// Which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// Why.
        why: String,
    },
    /// The time had come to put a task back, to give it up, or to hand it to a person.
    Overdue {
        /// Of which plan.
        plan: PlanName,
        /// Which task.
        task: TaskId,
        /// Where it stands now.
        status: TaskStatus,
        /// Why.
        why: String,
    },
    /// What an attempt came to could not be recorded, for this reason.
    NotRecorded {
        /// Of which plan.
        plan: PlanName,
        /// Which task.
        task: TaskId,
        /// Why.
        why: String,
    },
    /// The plan is not ours any more, for this reason; what ran for it was killed.
    Lost {
        /// Which plan.
        plan: PlanName,
        /// Why.
        why: String,
    },
    /// Nothing is left to be done in the plan, and it was released.
    Finished {
        /// Which plan.
        plan: PlanName,
        /// Its counts.
        summary: Summary,
        /// The tasks that failed, with the error or the decision that is asked for.
        failed: Vec<(TaskId, String)>,
    },
    /// The plan was cancelled or archived; nothing more is done in it.
    Closed {
        /// Which plan.
        plan: PlanName,
        /// How.
        how: Halt,
        /// By whom.
        by: String,
        /// Why.
        why: String,
    },
    /// The plan was deleted.
    Deleted(PlanName),
    /// No command of the plan could start on this host, for this reason: the plan is released, or was not
    /// acquired.
    CannotStart {
        /// Which plan.
        plan: PlanName,
        /// Why.
        why: String,
        /// When it is tried again; `None` if it is not.
        again: Option<Duration>,
    },
    /// The plan was released before it was finished, since the orchestrator stops.
    Released(PlanName),
    /// Something did not work and is tried again.
    Trouble(String),
    /// A stored record cannot be read. What needs it is left out; the rest goes on.
    Unreadable(String),
}

/// The receiver of reports. Called from the orchestrator's own task, so it must not block.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Fn(&Report) + Send + Sync>);

impl Reporter {
    /// Reports to this function.
    pub fn new(report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    pub(crate) fn send(&self, report: &Report) {
        tracing::debug!(?report, "orchestrator");
        (self.0)(report);
    }
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}
