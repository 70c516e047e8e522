//! What an orchestrator reports about itself.

use std::{sync::Arc, time::Duration};

use planlease_core::{
    FencingToken, OrchestratorId, PlanName, Summary, TaskId, pool::PoolWait, record::Halt,
    steering::Eligibility, trace::TraceContext, transition::TaskStatus,
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
    /// A ready task waits for permits of a pool; reported once until a task of the plan gets some.
    WaitsForPool {
        /// The plan.
        plan: PlanName,
        /// The task.
        task: TaskId,
        /// What it waits for, and who has the permits.
        wait: PoolWait,
    },
    /// Tasks are ready that are not for this orchestrator: they are left to claimants and to other
    /// orchestrators.
    Left {
        /// Of which plan.
        plan: PlanName,
        /// Which tasks.
        tasks: Vec<TaskId>,
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
        /// The span of the attempt, if it is exported.
        trace: Option<TraceContext>,
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
    /// An operator took the plan away from this orchestrator, which leaves it alone for a while.
    LeftAlone {
        /// Which plan.
        plan: PlanName,
        /// For how long.
        rest: Duration,
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
    /// The plan was handed over to a named orchestrator, as an operator asked.
    HandedOver {
        /// Which plan.
        plan: PlanName,
        /// The orchestrator that owns it now.
        to: OrchestratorId,
    },
    /// An operator has cordoned, drained or uncordoned this orchestrator.
    Eligibility {
        /// What it is now.
        state: Eligibility,
        /// By whom, and why; `None` once it is eligible.
        why: Option<(String, String)>,
    },
    /// An operator has paused the plan, with the name and the reason: nothing starts in it. `None` once it
    /// was resumed.
    Paused {
        /// Which plan.
        plan: PlanName,
        /// By whom, and why.
        why: Option<(String, String)>,
    },
    /// An operator has paused the fleet, with the name and the reason; `None` once it was resumed.
    FleetPaused(Option<(String, String)>),
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
