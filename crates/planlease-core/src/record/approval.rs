//! What a task's record says of the approval that it needs, and of what waits for one.

use super::TaskRecord;
use crate::{
    approval::{Approval, ApprovalOf, Approved, Awaits},
    codec,
    status::TaskStatus,
};

impl TaskRecord {
    /// What of the task waits for an approval, as far as its record decides. A start may have to wait for
    /// other tasks as well.
    #[must_use]
    pub fn awaits(&self) -> Option<Awaits> {
        let approval = self.approval.as_deref()?;
        match self.status {
            TaskStatus::Pending if approval.of == Some(ApprovalOf::Before) => {
                let next = self.attempt.saturating_add(1);
                let is_approved = approval.given.as_ref().is_some_and(|given| given.attempt == next);
                (!is_approved).then_some(Awaits::Start(next))
            }
            TaskStatus::InProgress if approval.result.is_some() => Some(Awaits::Result(self.attempt)),
            _ => None,
        }
    }

    /// Whether the result of the present attempt waits for approval: nothing works on the task.
    #[must_use]
    pub fn result_waits(&self) -> bool {
        matches!(self.awaits(), Some(Awaits::Result(_)))
    }

    /// What is to be decided, as a sentence for people, if the task waits for an approval.
    #[must_use]
    pub fn approval_question(&self) -> Option<String> {
        match self.awaits()? {
            Awaits::Start(attempt) => Some(format!("attempt {attempt} may start only when it is approved")),
            Awaits::Result(attempt) => {
                let result = self.approval.as_ref()?.result.as_ref()?;
                let notes = self
                    .notes
                    .as_deref()
                    .map_or_else(String::new, |notes| format!(": {}", codec::shorten(notes, 200)));
                Some(format!(
                    "attempt {attempt} was completed by {} and waits for approval{notes}",
                    result.by
                ))
            }
        }
    }

    /// Who approved the attempt that is present, or the next one of a pending task.
    #[must_use]
    pub fn approved(&self) -> Option<&Approved> {
        let next = self.attempt.saturating_add(u32::from(self.status == TaskStatus::Pending));
        self.approval.as_ref()?.given.as_ref().filter(|given| given.attempt == next)
    }

    /// What its plan asks for.
    #[must_use]
    pub fn approval_of(&self) -> Option<ApprovalOf> {
        self.approval.as_ref()?.of
    }

    /// Enters what the plan asks for. A result that waits goes on waiting whatever the plan says now.
    pub fn require_approval(&mut self, of: Option<ApprovalOf>) {
        let mut approval = self.approval.take().map_or_else(Approval::default, |approval| *approval);
        approval.of = of;
        let is_needed = of.is_some() || approval.result.is_some();
        self.set_approval(is_needed.then_some(approval));
    }

    /// Whether its next start waits for approval, or has it: what is approved is the task as it is defined.
    #[must_use]
    pub fn start_needs_approval(&self) -> bool {
        self.status == TaskStatus::Pending && self.approval_of() == Some(ApprovalOf::Before)
    }

    /// Takes back the approval of the next attempt: the task is defined differently now.
    pub fn revoke_approval(&mut self) {
        if self.start_needs_approval()
            && let Some(approval) = &mut self.approval
        {
            approval.given = None;
        }
    }

    /// Sets or removes the approval, with the format that belongs to it.
    pub(crate) fn set_approval(&mut self, approval: Option<Approval>) {
        self.approval = approval.map(Box::new);
        self.v = self.format();
    }

    /// Ends the wait for a decision about a result.
    pub(crate) fn end_wait(&mut self) {
        if let Some(mut approval) = self.approval.take() {
            approval.result = None;
            let is_needed = approval.of.is_some();
            self.set_approval(is_needed.then_some(*approval));
        }
    }
}
