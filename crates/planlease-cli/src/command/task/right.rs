//! The authority by which the command line changes a task: that of the plan's owner, if it was delegated to
//! this process, else that of the person at the keyboard.

use planlease::{
    Authority, Coordinator, Delegation, Error, PlanView,
    core::{PlanName, TaskId},
};

use crate::{
    environment::{Environment, OWNERSHIP},
    failure::Failure,
    invocation::Invocation,
};

/// The authority by which a task command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) enum Right {
    /// That of the owner, for this attempt if it is about the very task that the process was started for.
    Delegated(Delegation, Option<u32>),
    /// That of a person.
    Operator(String),
}

impl Right {
    /// The right that this process has to whatever task of a plan. A delegation for another plan is none for
    /// this one.
    pub(in crate::command) fn of_plan(invocation: &Invocation, plan: &PlanName) -> Result<Self, Failure> {
        Ok(match delegation(invocation.environment())? {
            Some(delegation) if delegation.plan == *plan => Self::Delegated(delegation, None),
            _ => Self::Operator(invocation.operator()),
        })
    }

    /// The right that this process has to a task.
    pub(in crate::command) fn of(
        invocation: &Invocation,
        plan: &PlanName,
        task: &TaskId,
    ) -> Result<Self, Failure> {
        Ok(match Self::of_plan(invocation, plan)? {
            Self::Delegated(delegation, _) => {
                Self::Delegated(delegation, attempt(invocation.environment(), task))
            }
            operator @ Self::Operator(_) => operator,
        })
    }

    /// Whether it hangs on an ownership that will not come back.
    pub(in crate::command) fn is_delegated(&self) -> bool {
        matches!(self, Self::Delegated(..))
    }

    /// The attempt that it is about.
    pub(in crate::command) fn attempt(&self) -> Option<u32> {
        match self {
            Self::Delegated(_, attempt) => *attempt,
            Self::Operator(_) => None,
        }
    }

    /// The authority to update tasks of the plan, under the owner that it has at that moment.
    pub(in crate::command) fn over(&self, coordinator: &Coordinator, plan: &PlanName) -> Authority {
        match self {
            Self::Delegated(delegation, _) => coordinator.delegated(delegation),
            Self::Operator(who) => coordinator.as_operator(plan, who),
        }
    }

    /// The right as the library wants it, for the plan as it was seen.
    pub(in crate::command) fn authority(
        &self,
        coordinator: &Coordinator,
        view: &PlanView,
    ) -> Result<Authority, Error> {
        match self {
            Self::Delegated(delegation, _) => Ok(coordinator.delegated(delegation)),
            Self::Operator(who) => coordinator.operator(view, who),
        }
    }
}

/// The right that a command was given which `run` or `hold` started.
pub(in crate::command) fn delegation(environment: &Environment) -> Result<Option<Delegation>, Failure> {
    let Some(text) = environment.text(OWNERSHIP) else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        Failure::usage(format!("the variable {OWNERSHIP} cannot be read: {error}"))
            .meaning("It is set by `planlease run` and `planlease hold` for their commands.")
            .remedy("Unset it to act as an operator.")
    })
}

/// The attempt that this process was started for, if it was for this task.
fn attempt(environment: &Environment, task: &TaskId) -> Option<u32> {
    let same = environment.text("PLANLEASE_TASK").is_some_and(|name| name == task.as_str());
    environment.text("PLANLEASE_ATTEMPT").filter(|_| same)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_result_names_the_attempt_that_it_is_of() {
        let environment = Environment::from_iter([("PLANLEASE_TASK", "1.2"), ("PLANLEASE_ATTEMPT", "3")]);
        assert_eq!(attempt(&environment, &TaskId::new("1.2").unwrap()), Some(3));
        assert_eq!(attempt(&environment, &TaskId::new("1.3").unwrap()), None);
    }

    #[test]
    fn a_damaged_delegation_is_no_operator() {
        assert!(delegation(&Environment::from_iter([(OWNERSHIP, "{}")])).is_err());
        assert!(delegation(&Environment::default()).unwrap().is_none());
    }
}
