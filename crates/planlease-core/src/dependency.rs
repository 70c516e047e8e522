//! What a task makes of the state of one that it waits for: whether it waits on, may start, or is given up.

use crate::{
    approval::Awaits,
    on_failed::OnDependencyFailed,
    record::{GivenUp, TaskRecord},
    spec::Policy,
    status::TaskStatus,
};

/// The state of a task, as far as others wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Its status.
    pub status: TaskStatus,
    /// Whether it failed for good, or was left out since one that it waited for did.
    pub by_failure: bool,
    /// Whether it may not start before a person has approved it.
    pub needs_approval: bool,
}

impl State {
    /// Of this record.
    #[must_use]
    pub fn of(record: &TaskRecord, policy: &Policy) -> Self {
        let by_failure = match record.status {
            TaskStatus::Failed => failed_for_good(record, policy),
            TaskStatus::Skipped => record.given_up == Some(GivenUp::Skipped),
            TaskStatus::Pending | TaskStatus::InProgress | TaskStatus::Completed => false,
        };
        let needs_approval = matches!(record.awaits(), Some(Awaits::Start(_)));
        Self { status: record.status, by_failure, needs_approval }
    }

    /// Whether a task that waits for it, and treats failures like this, need not wait for it any more.
    #[must_use]
    pub fn satisfies(self, on_failed: OnDependencyFailed) -> bool {
        match (self.status, self.by_failure) {
            (TaskStatus::Completed, _) | (TaskStatus::Skipped, false) => true,
            (TaskStatus::Skipped | TaskStatus::Failed, true) => on_failed == OnDependencyFailed::Run,
            _ => false,
        }
    }
}

impl From<TaskStatus> for State {
    fn from(status: TaskStatus) -> Self {
        Self { status, by_failure: false, needs_approval: false }
    }
}

/// Whether a task that failed is not tried again by itself, and no decision is asked for that may still
/// change that: it failed or was lost too often, its time is up, or its policy says so of how it ended.
fn failed_for_good(record: &TaskRecord, policy: &Policy) -> bool {
    let used_up = policy.total_deadline().is_some_and(|total| record.spent() >= total);
    match record.given_up {
        Some(GivenUp::Failed) => true,
        Some(GivenUp::Asks | GivenUp::Skipped) => false,
        None => {
            record.lost_for_good
                || record.failures > policy.max_retries
                || record.lost > policy.max_lost
                || (record.parked.is_some() && (used_up || record.budget_used_up().is_some()))
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::{Guard, Role, Writer};

    fn record(status: TaskStatus) -> TaskRecord {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        TaskRecord { status, ..TaskRecord::new(writer, Uuid::nil()) }
    }

    #[test]
    fn a_task_fails_for_good_when_nothing_can_retry_it() {
        let policy = Policy { max_retries: 1, max_lost: 1, total_deadline_s: 5, ..Policy::default() };
        let failed = || record(TaskStatus::Failed);
        let parked = Some("look".to_owned());
        let of = |record: &TaskRecord| State::of(record, &policy).by_failure;
        for record in [
            TaskRecord { failures: 2, ..failed() },
            TaskRecord { lost: 2, parked: parked.clone(), ..failed() },
            TaskRecord { lost_for_good: true, ..failed() },
            TaskRecord { spent_ms: 5_000, parked: parked.clone(), ..failed() },
            TaskRecord { failures: 1, given_up: Some(GivenUp::Failed), ..failed() },
            TaskRecord { status: TaskStatus::Skipped, given_up: Some(GivenUp::Skipped), ..failed() },
        ] {
            assert!(of(&record), "{record:?}");
        }
        for record in [
            TaskRecord { failures: 1, ..failed() },
            TaskRecord { lost: 1, parked, ..failed() },
            TaskRecord { spent_ms: 5_000, ..failed() },
            TaskRecord { failures: 2, given_up: Some(GivenUp::Asks), ..failed() },
            TaskRecord { failures: 9, ..record(TaskStatus::Pending) },
            record(TaskStatus::Skipped),
        ] {
            assert!(!of(&record), "{record:?}");
        }
    }

    #[test]
    fn only_a_task_that_runs_after_failures_starts_after_one() {
        use OnDependencyFailed::{Fail, Run, Skip, Wait};
        let failed = State { by_failure: true, ..State::from(TaskStatus::Failed) };
        let skipped = State { by_failure: true, ..State::from(TaskStatus::Skipped) };
        for on_failed in [Wait, Skip, Fail, Run] {
            let runs = on_failed == Run;
            assert_eq!((failed.satisfies(on_failed), skipped.satisfies(on_failed)), (runs, runs));
            for (status, satisfies) in [
                (TaskStatus::Completed, true),
                (TaskStatus::Skipped, true),
                (TaskStatus::Failed, false),
                (TaskStatus::Pending, false),
                (TaskStatus::InProgress, false),
            ] {
                assert_eq!(State::from(status).satisfies(on_failed), satisfies, "{status}");
            }
        }
    }
}
