//! What an operation on one task needs to read of its plan: the only place that decides.
//!
//! | operation | reads |
//! | --- | --- |
//! | progress, complete, fail, …, under an ownership or a registration | the task's record |
//! | the same by an operator | the record, and who owns the plan |
//! | start; show a task; why a task is where it is | the task's [excerpt](crate::excerpt::view::Excerpt) |
//! | … of a task of an ordered phase that waits for nothing else | the whole plan: all of the phases before count |
//! | … of a task that runs after failures, where one that it waits for has failed | the whole plan: that one's policy counts |
//! | start, in a plan that bounds how many tasks are in progress | the whole plan: they are counted |
//! | claim, and everything that is about more than one task | the whole plan |

use crate::{
    graph::satisfies,
    id::TaskId,
    on_failed::OnDependencyFailed,
    order::{Wait, Why},
    record::Role,
    spec::Policy,
    status::TaskStatus,
    transition::Change,
};

/// What is read of a plan for a change of one of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The task's record.
    Task,
    /// The task's record, the queue and the term: an operator's write is guarded by them.
    Queue,
    /// The task with all that decides whether it may start.
    Excerpt,
}

impl Reading {
    /// What this change needs by a writer in this role.
    #[must_use]
    pub fn of(change: &Change, role: Role) -> Self {
        match (change, role) {
            (Change::Start, _) => Self::Excerpt,
            (_, Role::Operator) => Self::Queue,
            _ => Self::Task,
        }
    }
}

/// Whether a start has to count the tasks that are in progress, and so to read them all.
#[must_use]
pub fn start_counts(policy: &Policy) -> bool {
    policy.max_in_progress > 0
}

/// Whether more than these records decides if a task may start: in an order of phases everything in the
/// phases before counts, and not only what ends them, once all is done that the task waits for itself.
#[must_use]
pub fn phases_decide(waits: &[Wait], status: impl Fn(&TaskId) -> Option<TaskStatus>) -> bool {
    waits.iter().any(|wait| wait.why == Why::PhaseSequence)
        && waits.iter().all(|wait| satisfies(status(&wait.on)))
}

/// Whether the policies of these tasks decide if a task may start that runs after failures: whether one of
/// them has failed for good depends on how it is treated.
#[must_use]
pub fn failures_decide(
    on_failed: OnDependencyFailed,
    waits: &[Wait],
    status: impl Fn(&TaskId) -> Option<TaskStatus>,
) -> bool {
    on_failed == OnDependencyFailed::Run
        && waits.iter().any(|wait| status(&wait.on) == Some(TaskStatus::Failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_decide_when_nothing_else_does() {
        let wait = |on: &str, why| Wait { on: TaskId::new(on).unwrap(), why };
        let waits = [wait("1", Why::PhaseSequence), wait("2", Why::Dependency)];
        let all = |status| move |_: &TaskId| Some(status);
        assert!(phases_decide(&waits, all(TaskStatus::Completed)));
        assert!(!phases_decide(&waits, all(TaskStatus::Pending)), "it is blocked whatever the phases say");
        assert!(!phases_decide(&waits[1..], all(TaskStatus::Completed)), "there is no order of phases");
        assert!(!phases_decide(&[], all(TaskStatus::Completed)));
    }
}
