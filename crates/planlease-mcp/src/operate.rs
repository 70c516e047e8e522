//! The tools of operators: `retry`, `skip`, `approve`, `reject`, `pause`, `resume`.

use planlease::{Authority, Change, Coordinator, Reason};
use planlease_core::record::Halt;
use planlease_documents::HaltView;

use crate::{
    arguments::{self, Approve, Operate, Pause, Reject, Resume},
    reply::{Refusal, Reply, shown},
};

/// What an operator decides about a task.
pub(crate) struct Decision {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<String>,
    pub(crate) change: Change,
}

impl Operate {
    pub(crate) fn into_decision(self, change: fn(String) -> Change) -> Decision {
        let Self { plan, task, reason, request } = self;
        Decision { plan, task, attempt: None, request, change: change(reason) }
    }
}

impl From<Approve> for Decision {
    fn from(asked: Approve) -> Self {
        let Approve { plan, task, reason, attempt, request } = asked;
        Self { plan, task, attempt, request, change: Change::Approve(reason) }
    }
}

impl From<Reject> for Decision {
    fn from(asked: Reject) -> Self {
        let Reject { plan, task, reason, then, attempt, request } = asked;
        Self { plan, task, attempt, request, change: Change::Reject(then, reason) }
    }
}

/// The authority of an operator over the plan.
pub(crate) fn authority(
    coordinator: &Coordinator,
    operator: &str,
    asked: &Decision,
) -> Result<Authority, Refusal> {
    let plan = arguments::plan(&asked.plan)?;
    Ok(coordinator.as_operator(&plan, operator))
}

pub(crate) async fn pause(coordinator: &Coordinator, operator: &str, asked: Pause) -> Reply {
    let plan = arguments::plan(&asked.plan)?;
    let halted = coordinator.admin().pause(&plan, &Reason::by(operator).because(asked.reason)).await?;
    shown(&HaltView::new(plan, Halt::Paused, halted))
}

pub(crate) async fn resume(coordinator: &Coordinator, asked: Resume) -> Reply {
    let plan = arguments::plan(&asked.plan)?;
    let changed = coordinator.admin().resume(&plan).await?;
    shown(&HaltView::resumed(plan, changed))
}
