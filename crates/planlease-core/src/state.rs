//! The state of a plan in one word: whether it goes on by itself, and if not, what it needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    record::{Ending, Guard, Halt, TaskRecord},
    standing::{Outlook, decision},
    status::TaskStatus,
    view::{PlanView, TaskView},
};

/// The state of a plan. Decided by [`PlanState::of`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// A task waits for a decision by a person; others may be in progress.
    NeedsDecision,
    /// Every task has ended, and at least one failed as often as it may.
    Failed,
    /// Tasks are left, and no process can go on with them without a person: they wait for tasks that failed
    /// for good, a record cannot be read, or the last owner is gone and no process waits for the plan.
    Stuck,
    /// A task is in progress.
    Running,
    /// Nothing is in progress: the plan waits for an owner, for a claimant, or for an automatic retry.
    Waiting,
    /// Paused: no task is started.
    Paused,
    /// Every task is completed or skipped.
    Done,
    /// Cancelled before it was done.
    Cancelled,
    /// Put away.
    Archived,
}

impl PlanState {
    /// Every state, most pressing first.
    pub const ALL: [Self; 9] = [
        Self::NeedsDecision,
        Self::Failed,
        Self::Stuck,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Done,
        Self::Cancelled,
        Self::Archived,
    ];

    /// The state of this plan. Needs nothing but the plan: a claim by a worker or by an operator counts as
    /// alive here, a claim by a former owner does not.
    #[must_use]
    pub fn of(plan: &PlanView) -> Self {
        let summary = plan.summary();
        match plan.halt().map(|halt| halt.how) {
            Some(Halt::Archived) => return Self::Archived,
            Some(Halt::Cancelled) => return Self::Cancelled,
            _ if summary.is_done() => return Self::Done,
            Some(Halt::Paused) => return Self::Paused,
            None => {}
        }
        if plan.tasks().values().any(|task| needs_decision(plan, task)) {
            return Self::NeedsDecision;
        }
        match plan.outlook() {
            Outlook::Stuck if summary.is_finished() => Self::Failed,
            Outlook::Stuck | Outlook::Done => Self::Stuck, // Done but for records that cannot be read.
            Outlook::Open | Outlook::Retries if is_worked_on(plan) => Self::Running,
            Outlook::Open | Outlook::Retries if was_abandoned(plan) => Self::Stuck,
            Outlook::Open | Outlook::Retries => Self::Waiting,
        }
    }

    /// The word in JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsDecision => "needs_decision",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Archived => "archived",
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NeedsDecision => "needs decision",
            other => other.as_str(),
        }
    }

    /// Whether a person has to act before the plan goes on, or before all of it does.
    #[must_use]
    pub const fn needs_person(self) -> bool {
        matches!(self, Self::NeedsDecision | Self::Failed | Self::Stuck)
    }
}

impl fmt::Display for PlanState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the task waits for a decision: one that is asked for, or an approval that is all that it waits
/// for.
fn needs_decision(plan: &PlanView, task: &TaskView) -> bool {
    plan.approval(task).is_some() || decision(&task.record).is_some()
}

/// Whether a task is in progress whose claimant may be alive: not a former owner, nor the process that a
/// plan was imported from.
fn is_worked_on(plan: &PlanView) -> bool {
    let owner = plan.queue().guard();
    let may_live = |record: &TaskRecord| match record.claim.as_ref().and_then(|claim| claim.guard.as_ref()) {
        Some(Guard::Import) => false,
        Some(guard @ Guard::Owner { .. }) => owner.as_ref() == Some(guard),
        Some(Guard::Worker { .. } | Guard::Unowned) | None => !record.result_waits(),
    };
    let mut tasks = plan.tasks().values();
    tasks.any(|task| task.record.status == TaskStatus::InProgress && may_live(&task.record))
}

/// Whether the last owner did not release the plan, and no process owns it or waits for it.
fn was_abandoned(plan: &PlanView) -> bool {
    let queue = plan.queue();
    queue.candidates().is_empty()
        && queue.term.as_ref().is_some_and(|(_, term)| {
            !matches!(
                term.ended.as_ref().map(|end| &end.how),
                Some(Ending::Clean | Ending::HandedOver { .. })
            )
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::{
        Generation, LeaseId, OrchestratorId, PlanName, Revision, TaskId, TermNumber, WallTime,
        record::{CandidateRecord, Claim, HaltRecord, Role, TermEnd, TermRecord, Writer},
        spec::{PlanSpec, TaskSpec},
        term::{Candidate, Queue},
        view::{Definition, Halts, Parts},
    };

    fn revision(n: i64) -> Revision {
        Revision::from_wire(n).unwrap()
    }

    fn record(status: TaskStatus) -> TaskRecord {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        TaskRecord { status, failures: 1, ..TaskRecord::new(writer, Uuid::nil()) }
    }

    fn claimed(guard: Option<Guard>) -> TaskRecord {
        let claim = Some(Claim::new("w".into(), guard, None, WallTime(0)));
        TaskRecord { claim, ..record(TaskStatus::InProgress) }
    }

    fn failed_for_good() -> TaskRecord {
        TaskRecord { failures: 99, ..record(TaskStatus::Failed) }
    }

    fn parked() -> TaskRecord {
        TaskRecord { parked: Some("which?".into()), ..record(TaskStatus::Failed) }
    }

    /// A plan of two tasks, the second of which depends on the first.
    fn plan(records: [TaskRecord; 2], queue: Queue) -> PlanView {
        let ids = ["1", "2"].map(|id| TaskId::new(id).unwrap());
        let tasks = ids.iter().map(|id| TaskSpec::new(id.clone(), "work")).collect();
        let mut spec = PlanSpec { tasks, ..PlanSpec::default() };
        spec.tasks[1].depends_on = vec![ids[0].clone()];
        let tasks = ids.into_iter().zip(records);
        let mut parts = Parts::default();
        parts.tasks = tasks.map(|(id, record)| TaskView { id, revision: revision(1), record }).collect();
        parts.queue = Arc::new(queue);
        let definition = Definition::new(revision(1), revision(1), spec);
        PlanView::new(PlanName::new("p").unwrap(), revision(1), definition, parts)
    }

    fn owned_by(lease: i64, present: bool, ended: Option<Ending>) -> Queue {
        let record = CandidateRecord::new(OrchestratorId::new("o").unwrap(), "h", 1, WallTime(0));
        let lease = LeaseId::from_wire(lease).unwrap();
        let term = TermRecord {
            v: Default::default(),
            number: TermNumber(1),
            generation: Generation(1),
            owner: record.clone(),
            lease,
            guard: Some(revision(5)),
            since: WallTime(0),
            ended: ended.map(|how| TermEnd { at: WallTime(0), how }),
            trace: None,
            extra: crate::extra::Extra::default(),
        };
        let candidate = Candidate { lease, joined: revision(5), record: Some(record) };
        Queue::new(if present { vec![candidate] } else { Vec::new() }, Some((revision(6), term)))
    }

    fn owner(lease: i64) -> Option<Guard> {
        Some(Guard::Owner { lease: LeaseId::from_wire(lease).unwrap(), revision: revision(5) })
    }

    #[test]
    fn the_state_follows_from_tasks_owner_and_halts() {
        use PlanState::{Done, Failed, NeedsDecision, Running, Stuck, Waiting};
        use TaskStatus::{Completed, Pending, Skipped};
        let none = || Queue::new(Vec::new(), None);
        let worker = Guard::Worker { orchestrator: OrchestratorId::new("w").unwrap(), revision: revision(3) };
        let live = || owned_by(7, true, None);
        let of = |first: TaskRecord, second: TaskRecord, queue| PlanState::of(&plan([first, second], queue));
        for (state, first, second, queue) in [
            (Waiting, record(Pending), record(Pending), none()),
            (Waiting, record(Pending), record(Pending), live()),
            (Running, claimed(owner(7)), record(Pending), live()),
            (Running, claimed(Some(worker)), record(Pending), none()),
            (Running, claimed(None), record(Pending), none()),
            (Waiting, claimed(Some(Guard::Import)), record(Pending), none()),
            // The claim is a former owner's; the present one recovers it in a moment.
            (Waiting, claimed(owner(6)), record(Pending), live()),
            (Stuck, claimed(owner(7)), record(Pending), owned_by(7, false, None)),
            (Stuck, record(Pending), record(Pending), owned_by(7, false, Some(Ending::Unclean))),
            (Waiting, record(Pending), record(Pending), owned_by(7, false, Some(Ending::Clean))),
            (Waiting, record(TaskStatus::Failed), record(Pending), live()),
            (Stuck, failed_for_good(), record(Pending), live()),
            (Failed, record(Completed), failed_for_good(), none()),
            (NeedsDecision, parked(), record(Pending), live()),
            (NeedsDecision, claimed(owner(7)), parked(), live()),
            // Left out by a person: what was asked for stays in the record, and is no question any more.
            (Running, claimed(owner(7)), TaskRecord { status: Skipped, ..parked() }, live()),
            (Done, record(Completed), TaskRecord { status: Skipped, ..parked() }, none()),
            (Done, record(Completed), record(Skipped), none()),
        ] {
            assert_eq!(of(first.clone(), second.clone(), queue), state, "{first:?} {second:?}");
        }
    }

    #[test]
    fn a_halt_hides_trouble_but_not_the_end() {
        let halted = |how, records| {
            let mut plan = plan(records, Queue::new(Vec::new(), None));
            let halt = Some((revision(2), HaltRecord::unreadable(how, "why".into())));
            let halts = match how {
                Halt::Paused => Halts { paused: halt, closed: None },
                Halt::Cancelled | Halt::Archived => Halts { paused: None, closed: halt },
            };
            plan.change(revision(2), |parts| parts.halts = halts);
            PlanState::of(&plan)
        };
        let open = || [parked(), record(TaskStatus::Pending)];
        let done = || [record(TaskStatus::Completed), record(TaskStatus::Completed)];
        assert_eq!(halted(Halt::Paused, open()), PlanState::Paused);
        assert_eq!(halted(Halt::Paused, done()), PlanState::Done);
        assert_eq!(halted(Halt::Cancelled, open()), PlanState::Cancelled);
        assert_eq!(halted(Halt::Archived, done()), PlanState::Archived);
    }

    #[test]
    fn an_unreadable_record_keeps_a_plan_from_being_done() {
        let mut plan = plan(
            [record(TaskStatus::Completed), record(TaskStatus::Completed)],
            Queue::new(Vec::new(), None),
        );
        let key = crate::keys::PlanKey::Task(TaskId::new("2").unwrap());
        plan.change(revision(3), |parts| {
            parts.tasks.remove(&TaskId::new("2").unwrap());
            parts.set_unreadable(&key, Some("newer".into()));
        });
        assert_eq!(PlanState::of(&plan), PlanState::Stuck);
    }

    #[test]
    fn every_state_has_its_word() {
        for state in PlanState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
