//! What a task's record says of its budget: the bounds of its attempt, and what it has used up.

use super::TaskRecord;
use crate::{budget::Amount, spec::Policy};

impl TaskRecord {
    /// Why no further attempt may start, if the task has used up what it may by its record.
    #[must_use]
    pub fn budget_used_up(&self) -> Option<String> {
        self.budget.as_ref()?.used_up(self.attempt)
    }

    /// Enters the bounds of the attempt that starts.
    pub fn set_bounds(&mut self, policy: &Policy) {
        if self.budget.is_none() && policy.max_attempts == 0 && policy.budget.is_zero() {
            return;
        }
        // Attempts from before there were bounds count as well.
        let budget = self.budget.get_or_insert_default();
        budget.max_attempts = policy.max_attempts;
        budget.budget = policy.budget;
    }

    /// What the attempt spent belongs to the attempts before, when the next one starts.
    pub(crate) fn close_spending(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.spent_before = budget.spent_in_all();
            budget.spent = Amount::ZERO;
        }
    }

    /// A person has looked: everything counts from here on.
    pub(crate) fn restore_budget(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.attempts_before = self.attempt;
            budget.spent_before = Amount::ZERO;
            budget.spent = Amount::ZERO;
        }
    }
}
