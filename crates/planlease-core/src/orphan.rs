//! Orphans: tasks in progress whose claimant is gone, and what becomes of them.
//!
//! A task is an orphan *by definition* the moment the key behind its claim's guard is gone, or the lease
//! behind its limit; no timeout is guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    counted::counted,
    id::{LeaseId, OrchestratorId, TaskId},
    record::{Claim, Guard, TaskRecord},
    revision::Revision,
    spec::{OnLost, PlanSpec, Policy},
    transition::{Change, TaskStatus},
};

/// What claims hang on, as far as it exists.
#[derive(Clone, Debug)]
pub struct Alive {
    /// The owner's guard; `Unowned` without one. At most one owner is effective, so every other owner's claim
    /// is an orphan.
    pub owner: Guard,
    /// Every registration with its create revision.
    pub workers: BTreeSet<(OrchestratorId, Revision)>,
    /// The leases under limited claims, and how long each has left.
    pub limits: BTreeMap<LeaseId, Duration>,
}

impl Alive {
    /// Whether what a claim hangs on still exists. A claim by an operator without a limit stands until an
    /// operator ends it.
    #[must_use]
    pub fn holds(&self, claim: &Claim) -> bool {
        match &claim.guard {
            None => claim.limit.is_none_or(|limit| self.limits.contains_key(&limit.lease)),
            Some(Guard::Worker { orchestrator, revision }) => {
                self.workers.contains(&(orchestrator.clone(), *revision))
            }
            Some(guard) => *guard == self.owner,
        }
    }

    /// How long a limited claim has left; `None` without a limit, or when it has passed.
    #[must_use]
    pub fn left(&self, claim: &Claim) -> Option<Duration> {
        self.limits.get(&claim.limit?.lease).copied()
    }
}

/// Whether the task is in progress without a live claimant.
#[must_use]
pub fn is_orphan(record: &TaskRecord, alive: &Alive) -> bool {
    record.status == TaskStatus::InProgress && !record.claim.as_ref().is_none_or(|claim| alive.holds(claim))
}

/// What to do about an orphan: the policy of its task. A task that may run again goes back at once, for
/// owners that do not put resting tasks back.
#[must_use]
pub fn recovery(spec: &PlanSpec, task: &TaskId, record: &TaskRecord) -> Change {
    lost(&Policy { retry_delay_s: 0, ..policy(spec, task) }, record, claimant_lost(record))
}

/// As [`recovery`], for an owner that runs [`crate::overdue`]: a task that may run again rests for its retry
/// delay.
#[must_use]
pub fn recovery_after_rest(spec: &PlanSpec, task: &TaskId, record: &TaskRecord) -> Change {
    lost(&policy(spec, task), record, claimant_lost(record))
}

fn policy(spec: &PlanSpec, task: &TaskId) -> Policy {
    let unknown = || Policy { on_lost: OnLost::Ask, ..Policy::default() };
    spec.task(task).map_or_else(unknown, |task| spec.policy_of(task))
}

fn claimant_lost(record: &TaskRecord) -> String {
    let attempt = record.attempt;
    match &record.claim {
        Some(Claim { by, limit: Some(limit), .. }) => {
            format!("the claim of {by} on attempt {attempt} ended after {}", counted(limit.seconds, "second"))
        }
        Some(Claim { by, .. }) => format!("{by} was lost during attempt {attempt}"),
        None => format!("attempt {attempt} was lost"),
    }
}

/// What becomes of a task in progress whose attempt is lost, for the reason `why`: what its policy says, and
/// once more than [`Policy::max_lost`] attempts are lost, a person's decision.
#[must_use]
pub fn lost(policy: &Policy, record: &TaskRecord, why: String) -> Change {
    match policy.on_lost {
        OnLost::Retry if record.lost >= policy.max_lost => {
            let (lost, allowed) = (counted(record.lost.saturating_add(1), "time"), policy.max_lost);
            let why = format!("{why}; lost {lost}, of {allowed} allowed (max_lost)");
            Change::Lose(OnLost::Ask, why)
        }
        OnLost::Retry if policy.retry_delay_s > 0 => Change::Rest(why),
        on_lost => Change::Lose(on_lost, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LeaseId, WallTime,
        record::{ClaimLimit, Role, Writer},
        transition::{Write, apply},
    };
    use uuid::Uuid;

    fn owner(n: i64) -> Guard {
        Guard::Owner { lease: LeaseId::from_wire(n).unwrap(), revision: Revision::from_wire(n).unwrap() }
    }

    fn in_progress(guard: Guard, role: Role) -> TaskRecord {
        let writer = Writer { who: "x".into(), role, term: None, guard };
        let write = Write { writer: writer.clone(), attempt: None, at: WallTime(0), op_id: Uuid::nil() };
        apply(&TaskRecord::new(writer, Uuid::nil()), &Change::Start, &write).unwrap()
    }

    #[test]
    fn a_lost_attempt_is_retried_up_to_max_lost_then_parked() {
        let run = |policy: &Policy| {
            let mut record = in_progress(owner(1), Role::Owner);
            let write = |role| {
                let writer = Writer { who: "x".into(), role, term: None, guard: owner(1) };
                Write { writer, attempt: None, at: WallTime(0), op_id: Uuid::nil() }
            };
            let mut seen = Vec::new();
            while record.parked.is_none() && !record.lost_for_good {
                record = apply(&record, &lost(policy, &record, "gone".into()), &write(Role::Owner)).unwrap();
                seen.push((record.status, record.lost, record.failures));
                if record.status == TaskStatus::Failed && record.parked.is_none() && !record.lost_for_good {
                    record = apply(&record, &Change::Retry("rested".into()), &write(Role::Owner)).unwrap();
                }
                if record.status == TaskStatus::Pending {
                    record = apply(&record, &Change::Start, &write(Role::Owner)).unwrap();
                }
            }
            (seen, record.parked)
        };
        let (pending, failed) = (TaskStatus::Pending, TaskStatus::Failed);
        let bounded = |max_lost, retry_delay_s, on_lost| Policy {
            max_lost,
            retry_delay_s,
            on_lost,
            max_retries: 0,
            ..Policy::default()
        };
        let (seen, parked) = run(&bounded(2, 0, OnLost::Retry));
        assert_eq!(seen, [(pending, 1, 0), (pending, 2, 0), (failed, 3, 0)]);
        let parked = parked.unwrap();
        assert!(parked.starts_with("gone; lost 3 times, of 2 allowed (max_lost)"), "{parked}");
        assert_eq!(
            run(&bounded(1, 5, OnLost::Retry)).0,
            [(failed, 1, 0), (failed, 2, 0)],
            "it rests between"
        );
        assert_eq!(run(&bounded(0, 0, OnLost::Retry)).0, [(failed, 1, 0)]);
        assert_eq!(run(&bounded(9, 5, OnLost::Fail)).0, [(failed, 1, 0)]);
        assert_eq!(run(&bounded(9, 5, OnLost::Ask)).0, [(failed, 1, 0)]);
    }

    #[test]
    fn an_owner_without_retries_lets_no_task_rest() {
        let spec = PlanSpec {
            tasks: vec![crate::spec::TaskSpec::new(TaskId::new("1").unwrap(), "work")],
            policy: Policy { retry_delay_s: 5, ..Policy::default() },
            ..PlanSpec::default()
        };
        let (task, record) = (&spec.tasks[0].id, in_progress(owner(1), Role::Owner));
        assert!(matches!(recovery(&spec, task, &record), Change::Lose(OnLost::Retry, _)));
        assert!(matches!(recovery_after_rest(&spec, task, &record), Change::Rest(_)));
    }

    #[test]
    fn a_claim_stands_exactly_as_long_as_its_guard() {
        let worker = OrchestratorId::new("w").unwrap();
        let seven = Revision::from_wire(7).unwrap();
        let mut alive = Alive {
            owner: owner(2),
            workers: BTreeSet::from([(worker.clone(), seven)]),
            limits: BTreeMap::new(),
        };
        let by_worker =
            |revision| in_progress(Guard::Worker { orchestrator: worker.clone(), revision }, Role::Worker);
        assert!(!is_orphan(&in_progress(owner(2), Role::Owner), &alive));
        assert!(is_orphan(&in_progress(owner(1), Role::Owner), &alive), "a former owner's");
        assert!(!is_orphan(&by_worker(seven), &alive));
        assert!(is_orphan(&by_worker(seven.next()), &alive), "another life of the same worker");
        let mut by_person = in_progress(Guard::Unowned, Role::Operator);
        assert!(!is_orphan(&by_person, &alive), "without a limit, as older versions claimed");
        let limit = ClaimLimit { lease: LeaseId::from_wire(5).unwrap(), seconds: 60 };
        by_person.claim = Some(Claim { limit: Some(limit), ..by_person.claim.unwrap() });
        assert!(is_orphan(&by_person, &alive), "its lease has expired");
        alive.limits.insert(limit.lease, Duration::from_secs(7));
        assert!(!is_orphan(&by_person, &alive));
        assert_eq!(alive.left(by_person.claim.as_ref().unwrap()), Some(Duration::from_secs(7)));
        by_person.claim = Some(Claim { guard: Some(owner(9)), ..by_person.claim.unwrap() });
        assert!(is_orphan(&by_person, &alive));
        by_person.claim = Some(Claim { guard: Some(Guard::Import), ..by_person.claim.unwrap() });
        assert!(is_orphan(&by_person, &alive), "of a process that was never here");
    }
}
