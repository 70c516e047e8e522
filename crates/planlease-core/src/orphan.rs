//! Orphans: tasks in progress whose claimant is gone, and what becomes of them.
//!
//! A task is an orphan *by definition* the moment the key behind its claim's guard is gone; no timeout is guessed.

use std::collections::BTreeSet;

use crate::{
    OrchestratorId, Revision, TaskId,
    record::{Guard, TaskRecord},
    spec::{OnLost, PlanSpec},
    transition::{Change, TaskStatus},
};

/// Who is alive, as seen at one revision by the plan's owner.
#[derive(Clone, Debug)]
pub struct Alive {
    /// The owner's own guard. At most one owner is effective, so every other owner's claim is an orphan.
    pub owner: Guard,
    /// Every registration with its create revision.
    pub workers: BTreeSet<(OrchestratorId, Revision)>,
}

impl Alive {
    /// Whether the right behind a claim still exists. A claim by a person (no guard) stands until a person ends it.
    #[must_use]
    pub fn holds(&self, guard: Option<&Guard>) -> bool {
        match guard {
            None => true,
            Some(Guard::Worker { orchestrator, revision }) => {
                self.workers.contains(&(orchestrator.clone(), *revision))
            }
            Some(guard) => *guard == self.owner,
        }
    }
}

/// Whether the task is in progress and nobody works on it.
#[must_use]
pub fn is_orphan(record: &TaskRecord, alive: &Alive) -> bool {
    record.status == TaskStatus::InProgress
        && !alive.holds(record.claim.as_ref().and_then(|claim| claim.guard.as_ref()))
}

/// What to do about an orphan: the policy of its task.
#[must_use]
pub fn recovery(spec: &PlanSpec, task: &TaskId, record: &TaskRecord) -> Change {
    let on_lost = spec.task(task).map_or(OnLost::Ask, |task| spec.policy_of(task).on_lost);
    let by = record.claim.as_ref().map_or("somebody", |claim| claim.by.as_str());
    Change::Lose(on_lost, format!("{by} was lost during attempt {}", record.attempt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LeaseId, WallTime,
        record::{Claim, Role, Writer},
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
        let alive = Alive { owner: owner(2), workers: BTreeSet::from([(worker.clone(), seven)]) };
        let by_worker =
            |revision| in_progress(Guard::Worker { orchestrator: worker.clone(), revision }, Role::Worker);
        assert!(!is_orphan(&in_progress(owner(2), Role::Owner), &alive));
        assert!(is_orphan(&in_progress(owner(1), Role::Owner), &alive), "a former owner's");
        assert!(!is_orphan(&by_worker(seven), &alive));
        assert!(is_orphan(&by_worker(seven.next()), &alive), "another life of the same worker");
        let mut by_person = in_progress(Guard::Unowned, Role::Operator);
        assert!(!is_orphan(&by_person, &alive));
        by_person.claim = Some(Claim { guard: Some(owner(9)), ..by_person.claim.unwrap() });
        assert!(is_orphan(&by_person, &alive));
        by_person.claim = Some(Claim { guard: Some(Guard::Import), ..by_person.claim.unwrap() });
        assert!(is_orphan(&by_person, &alive), "of a process that was never here");
    }
}
