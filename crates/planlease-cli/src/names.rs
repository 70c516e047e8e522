//! Names as typed.

use planlease::core::{PlanName, TaskId};

use crate::failure::Failure;

/// A plan's name as typed.
pub(crate) fn plan_name(text: &str) -> Result<PlanName, Failure> {
    Ok(PlanName::new(text)?)
}

/// A task's id as typed.
pub(crate) fn task_id(text: &str) -> Result<TaskId, Failure> {
    Ok(TaskId::new(text)?)
}
