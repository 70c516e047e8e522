//! Orphans: tasks in progress whose claimant is gone, and what becomes of them.
//!
//! A task is an orphan *by definition* the moment the key behind its claim's guard is gone, or the lease behind its limit; no
//! timeout is guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    LeaseId, OrchestratorId, Revision, TaskId, counted,
    record::{Claim, Guard, TaskRecord},
    spec::{OnLost, PlanSpec},
    transition::{Change, TaskStatus},
};

/// What claims hang on, as far as it exists.
#[derive(Clone, Debug)]
pub struct Alive {
    /// The owner's guard; `Unowned` without one. At most one owner is effective, so every other owner's claim is an orphan.
    pub owner: Guard,
    /// Every registration with its create revision.
    pub workers: BTreeSet<(OrchestratorId, Revision)>,
    /// The leases under limited claims, and how long each has left.
    pub limits: BTreeMap<LeaseId, Duration>,
}

impl Alive {
    /// Whether what a claim hangs on still exists. A claim by an operator without a limit stands until an operator ends it.
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

/// Whether the task is in progress and nobody works on it.
#[must_use]
pub fn is_orphan(record: &TaskRecord, alive: &Alive) -> bool {
    record.status == TaskStatus::InProgress && !record.claim.as_ref().is_none_or(|claim| alive.holds(claim))
}

/// What to do about an orphan: the policy of its task.
#[must_use]
pub fn recovery(spec: &PlanSpec, task: &TaskId, record: &TaskRecord) -> Change {
    let on_lost = spec.task(task).map_or(OnLost::Ask, |task| spec.policy_of(task).on_lost);
    let attempt = record.attempt;
    Change::Lose(
        on_lost,
        match &record.claim {
            Some(Claim { by, limit: Some(limit), .. }) => {
                format!(
                    "the claim of {by} on attempt {attempt} ended after {}",
                    counted(limit.seconds, "second")
                )
            }
            Some(Claim { by, .. }) => format!("{by} was lost during attempt {attempt}"),
            None => format!("attempt {attempt} was lost"),
        },
    )
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
