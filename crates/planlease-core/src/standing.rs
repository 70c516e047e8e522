//! Where a task stands: not only its status, but what comes next, and which rule says so.

use std::time::Duration;

use crate::{
    dependency::State,
    exits::{CommandEnd, Verdict},
    graph::Graph,
    id::TaskId,
    order::Wait,
    record::TaskRecord,
    spec::Policy,
    time::bounded,
    transition::TaskStatus,
};

/// What comes next for a task, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may start now.
    Ready,
    /// It may not, because of these.
    Waits(Vec<Wait>),
    /// A claimant works on it.
    InProgress,
    /// It failed, and may be tried again by itself: this many failures are behind it, of this many that are
    /// allowed.
    Retryable {
        /// How many attempts failed.
        failures: u32,
        /// How many may fail before a person is asked.
        allowed: u32,
    },
    /// It failed too often: a person has to put it back (`retry`) or leave it out (`skip`).
    Exhausted {
        /// How many attempts failed.
        failures: u32,
        /// How many may fail before a person is asked.
        allowed: u32,
    },
    /// It waits for a person's decision, about this.
    Parked(String),
    /// It waits for a person's approval, of this: its start, or its result.
    Approval(String),
    /// It is done.
    Completed,
    /// It was left out.
    Skipped,
}

/// Where the task stands. `state` answers for the others.
#[must_use]
pub fn standing<S: Into<State>>(
    task: &TaskId,
    record: &TaskRecord,
    policy: &Policy,
    graph: &Graph,
    state: impl Fn(&TaskId) -> Option<S>,
) -> Standing {
    if let Some(what) = decision(record) {
        return Standing::Parked(what);
    }
    match record.status {
        TaskStatus::Pending => {
            let waits: Vec<Wait> = graph.blockers(task, state).cloned().collect();
            match record.approval_question() {
                _ if !waits.is_empty() => Standing::Waits(waits),
                Some(question) => Standing::Approval(question),
                None => Standing::Ready,
            }
        }
        TaskStatus::InProgress => record.approval_question().map_or(Standing::InProgress, Standing::Approval),
        TaskStatus::Failed => {
            let (failures, allowed) = (record.failures, policy.max_retries.saturating_add(1));
            if may_be_retried(record, policy) {
                Standing::Retryable { failures, allowed }
            } else {
                Standing::Exhausted { failures, allowed }
            }
        }
        TaskStatus::Completed => Standing::Completed,
        TaskStatus::Skipped => Standing::Skipped,
    }
}

/// The decision that a task waits for, if it does. A task that was left out since keeps what was asked, and
/// asks no more.
pub(crate) fn decision(record: &TaskRecord) -> Option<String> {
    if record.status != TaskStatus::Failed {
        return None;
    }
    if let Some(why) = &record.parked {
        return Some(why.clone());
    }
    record
        .lost_for_good
        .then(|| format!("attempt {} was lost, and must not run twice (on_lost = fail)", record.attempt))
}

/// Whether a task that failed may be put back by its owner, without a person.
#[must_use]
pub fn may_be_retried(record: &TaskRecord, policy: &Policy) -> bool {
    record.status == TaskStatus::Failed
        && record.parked.is_none()
        && record.given_up.is_none()
        && !record.lost_for_good
        && record.failures <= policy.max_retries
}

/// What may still come of a plan without a person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing: every task is completed or skipped.
    Done,
    /// Nothing: tasks failed for good or wait for a decision, and the others wait for those.
    Stuck,
    /// Nothing but automatic retries of failed tasks, which the plan's owner makes.
    Retries,
    /// A task is in progress, or may start.
    Open,
}

impl Outlook {
    /// The outlook of a plan with these tasks. Looks at no more of them than it takes.
    #[must_use]
    pub fn of(standings: impl IntoIterator<Item = Standing>) -> Self {
        let mut outlook = Self::Done;
        for standing in standings {
            match standing {
                Standing::Ready | Standing::InProgress => return Self::Open,
                Standing::Retryable { .. } => outlook = Self::Retries,
                Standing::Waits(_)
                | Standing::Exhausted { .. }
                | Standing::Parked(_)
                | Standing::Approval(_) => {
                    if outlook == Self::Done {
                        outlook = Self::Stuck;
                    }
                }
                Standing::Completed | Standing::Skipped => {}
            }
        }
        outlook
    }
}

/// Why a task is put back by itself, for its history.
#[must_use]
pub fn retry_reason(record: &TaskRecord, policy: &Policy) -> String {
    match (record.failures, record.lost) {
        (0, lost) if lost > 0 => format!("automatic retry after lost attempt {lost} of {}", policy.max_lost),
        (failures, 0) => format!("automatic retry {failures} of {}", policy.max_retries),
        (failures, lost) => {
            format!(
                "automatic retry: {failures} failed of {} retries, {lost} lost of {}",
                policy.max_retries, policy.max_lost
            )
        }
    }
}

impl Policy {
    /// How long a task rests after this failure or loss: twice as long after each, up to the bound, and up to
    /// a quarter more, so that tasks which failed together are not started together. The same for the same
    /// record.
    #[must_use]
    pub fn retry_delay(&self, record: &TaskRecord) -> Duration {
        let before = record.failures.saturating_add(record.lost).saturating_sub(1);
        let doubled = self.retry_delay_s.saturating_mul(1 << before.min(32));
        let delay = bounded(doubled.min(self.retry_delay_max_s));
        let jitter = u32::from(record.op_id.as_bytes()[15]); // Random, as the last byte of a random UUID.
        delay + delay / 4 * jitter / 256
    }

    /// What follows from the end of a command that failed: `ask_on` comes before `fail_on`, and where
    /// `retry_on` says which ends are worth another attempt, all others are not.
    #[must_use]
    pub fn verdict(&self, end: CommandEnd<'_>) -> Verdict {
        if self.ask_on.contains(end) {
            Verdict::Ask
        } else if self.fail_on.contains(end) || !(self.retry_on.is_empty() || self.retry_on.contains(end)) {
            Verdict::Fail
        } else {
            Verdict::Retry
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        order::Why,
        record::{Guard, Role, Writer},
        spec::{PlanSpec, TaskSpec},
    };
    use uuid::Uuid;

    fn record(status: TaskStatus, failures: u32) -> TaskRecord {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        TaskRecord { status, failures, ..TaskRecord::new(writer, Uuid::nil()) }
    }

    #[test]
    fn what_comes_next_follows_from_record_policy_and_the_others() {
        let id = |text| TaskId::new(text).unwrap();
        let mut spec = PlanSpec {
            tasks: vec![TaskSpec::new(id("1"), "work"), TaskSpec::new(id("2"), "work")],
            ..PlanSpec::default()
        };
        spec.tasks[1].depends_on = vec![id("1")];
        let (graph, policy) = (Graph::new(&spec), Policy { max_retries: 1, ..Policy::default() });
        let look = |record: &TaskRecord, first: TaskStatus| {
            standing(&id("2"), record, &policy, &graph, |task| (*task == id("1")).then_some(first))
        };
        let pending = record(TaskStatus::Pending, 0);
        let wait = Wait { on: id("1"), why: Why::Dependency };
        assert_eq!(look(&pending, TaskStatus::Failed), Standing::Waits(vec![wait]));
        assert_eq!(look(&pending, TaskStatus::Skipped), Standing::Ready);
        let failed = |failures| look(&record(TaskStatus::Failed, failures), TaskStatus::Completed);
        assert_eq!(failed(1), Standing::Retryable { failures: 1, allowed: 2 });
        assert_eq!(failed(2), Standing::Exhausted { failures: 2, allowed: 2 });
        let lost = TaskRecord { lost_for_good: true, attempt: 1, ..record(TaskStatus::Failed, 0) };
        assert!(!may_be_retried(&lost, &policy));
        assert!(
            matches!(look(&lost, TaskStatus::Completed), Standing::Parked(why) if why.contains("on_lost"))
        );
        assert_eq!(retry_reason(&record(TaskStatus::Failed, 1), &policy), "automatic retry 1 of 1");
        let rests = TaskRecord { lost: 2, ..record(TaskStatus::Failed, 0) };
        assert_eq!(retry_reason(&rests, &policy), "automatic retry after lost attempt 2 of 3");
        let parked = TaskRecord { parked: Some("look".into()), ..record(TaskStatus::Failed, 0) };
        assert_eq!(look(&parked, TaskStatus::Completed), Standing::Parked("look".into()));
    }

    #[test]
    fn a_decision_comes_first_and_what_is_not_to_be_retried_fails() {
        let exits = |json: &str| serde_json::from_str(json).unwrap();
        let verdict = |policy: &Policy| [1, 2, 3, 4].map(|code| policy.verdict(CommandEnd::Code(code)));
        let mut policy = Policy::default();
        assert_eq!(verdict(&policy), [Verdict::Retry; 4]);
        (policy.fail_on, policy.ask_on) = (exits("[1, 2]"), exits("[2]"));
        assert_eq!(verdict(&policy), [Verdict::Fail, Verdict::Ask, Verdict::Retry, Verdict::Retry]);
        policy.retry_on = exits("[1, 2, 3]");
        assert_eq!(verdict(&policy), [Verdict::Fail, Verdict::Ask, Verdict::Retry, Verdict::Fail]);
    }

    #[test]
    fn a_plan_is_stuck_when_only_a_person_can_go_on() {
        let retryable = || Standing::Retryable { failures: 1, allowed: 2 };
        let exhausted = || Standing::Exhausted { failures: 2, allowed: 2 };
        let of = |standings: Vec<Standing>| Outlook::of(standings);
        assert_eq!(of(vec![]), Outlook::Done);
        assert_eq!(of(vec![Standing::Completed, Standing::Skipped]), Outlook::Done);
        assert_eq!(of(vec![Standing::Completed, exhausted(), Standing::Waits(vec![])]), Outlook::Stuck);
        assert_eq!(of(vec![Standing::Parked("?".into())]), Outlook::Stuck);
        assert_eq!(of(vec![retryable(), exhausted()]), Outlook::Retries);
        assert_eq!(of(vec![exhausted(), retryable(), Standing::Waits(vec![])]), Outlook::Retries);
        assert_eq!(of(vec![exhausted(), retryable(), Standing::Ready]), Outlook::Open);
        assert_eq!(of(vec![Standing::InProgress, exhausted()]), Outlook::Open);
    }
}
