//! What a wait must not wait for: the commands above this process wait for it.

use planlease::{PlanView, TaskId, core::transition::TaskStatus};
use planlease_orchestrator::{env, hold::Inherited};

use super::condition::Condition;
use crate::{command::holding, environment::Environment, failure::Failure};

/// The commands above this process, and the task whose command it is.
#[derive(Debug, Default)]
pub(super) struct Above {
    held: Inherited,
    /// The names of its plan and of itself.
    task: Option<(String, String)>,
}

impl Above {
    /// Those that the environment names, if the condition can be one that they keep from coming.
    pub(super) fn of(environment: &Environment, condition: &Condition) -> Result<Self, Failure> {
        if matches!(condition, Condition::Failed | Condition::Owned) {
            return Ok(Self::default());
        }
        let held = holding::inherited(environment)?;
        Ok(Self { held, task: environment.text(env::PLAN).zip(environment.text(env::TASK)) })
    }

    /// Whether the condition does not come about before this process has ended.
    pub(super) fn is_waited_for(&self, plan: &PlanView, condition: &Condition) -> bool {
        let needs_our_end = match condition {
            Condition::Finished | Condition::Unowned => true,
            Condition::Task(task, status) => {
                *status != TaskStatus::InProgress && self.is_own_task(plan, task)
            }
            Condition::Failed | Condition::Owned => false,
        };
        needs_our_end && holding::is_owned_above(plan, &self.held)
    }

    fn is_own_task(&self, plan: &PlanView, task: &TaskId) -> bool {
        let own = self.task.as_ref().map(|(plan, task)| (plan.as_str(), task.as_str()));
        own == Some((plan.name().as_str(), task.as_str()))
    }
}
