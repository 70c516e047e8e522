//! What in a plan needs a person: nothing goes on there by itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    counted::counted,
    id::{OrchestratorId, TaskId},
    offer::{Offer, unoffered},
    orphan::{Alive, is_orphan},
    record::{Ending, TaskRecord},
    spec::{Policies, TaskSpec},
    standing::{Standing, standing},
    time::WallTime,
    transition::TaskStatus,
    view::{PlanView, TaskView},
};

/// What needs a person, most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A task waits for a decision.
    Decision,
    /// A task waits for an approval: of its next start, or of its result.
    Approval,
    /// A task failed as often as it may.
    Failed,
    /// A task is in progress, its claimant is gone, and no process owns the plan or waits for it, which would
    /// recover the task.
    Lost,
    /// The plan was worked on, has work left, and no process owns it or waits for it.
    Unowned,
    /// Tasks are ready, and no registered orchestrator runs them, although one of them runs the plan.
    Unrunnable,
}

impl Need {
    /// Every need, most pressing first.
    pub const ALL: [Self; 6] =
        [Self::Decision, Self::Approval, Self::Failed, Self::Lost, Self::Unowned, Self::Unrunnable];

    /// The word in JSON and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Approval => "approval",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unowned => "unowned",
            Self::Unrunnable => "unrunnable",
        }
    }
}

/// One thing that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// What is needed.
    pub need: Need,
    /// The task; `None` if it is the plan as a whole.
    pub task: Option<TaskId>,
    /// What is known about it: the decision or the approval that is asked for, the error, the last owner.
    pub what: String,
    /// Since when, if a record has it.
    pub since: Option<WallTime>,
}

/// What in the plan needs a person, in the order of its tasks. Nothing, if it is halted: a person has seen to
/// that already.
#[must_use]
pub fn attention(plan: &PlanView, alive: &Alive) -> Vec<Attention> {
    if plan.halt().is_some() {
        return Vec::new();
    }
    let policies = Policies::of(plan.spec());
    let has_candidates = !plan.queue().candidates().is_empty();
    let of_task = |task: &TaskView| {
        let record = &task.record;
        let (need, what, since) = match record.status {
            TaskStatus::Failed | TaskStatus::Pending | TaskStatus::InProgress
                if record.status == TaskStatus::Failed || record.awaits().is_some() =>
            {
                let standing =
                    standing(&task.id, record, policies.of_task(&task.id), plan.graph(), |id| plan.state(id));
                let error = || record.error.clone().unwrap_or_else(|| "no reason given".to_owned());
                match standing {
                    Standing::Parked(what) => (Need::Decision, what, record.ended_at),
                    Standing::Approval(what) => (Need::Approval, what, waits_since(record)),
                    Standing::Exhausted { .. } => (Need::Failed, error(), record.ended_at),
                    _ => return None,
                }
            }
            TaskStatus::InProgress if !has_candidates && is_orphan(record, alive) => {
                let claim = record.claim.as_ref()?;
                (Need::Lost, format!("{} had it and is gone", claim.by), Some(claim.since))
            }
            _ => return None,
        };
        Some(Attention { need, task: Some(task.id.clone()), what, since })
    };
    let mut found: Vec<Attention> = plan.tasks().values().filter_map(of_task).collect();
    if found.iter().all(|one| one.need != Need::Lost) {
        found.extend(unowned(plan)); // A lost task says it already.
    }
    found
}

/// Since when a result waits for approval. Of a start no record says it: it waits since the tasks before it
/// have ended.
fn waits_since(record: &TaskRecord) -> Option<WallTime> {
    record.approval.as_ref()?.result.as_ref().map(|result| result.at)
}

/// Whether the plan was left by its last owner, with work to do.
fn unowned(plan: &PlanView) -> Option<Attention> {
    let (_, term) = plan.queue().term.as_ref()?;
    if !plan.queue().candidates().is_empty() || !plan.has_work() {
        return None;
    }
    let how = match term.ended.as_ref().map(|end| &end.how) {
        None | Some(Ending::Unclean) => "is gone".to_owned(),
        Some(Ending::Clean) => "released it".to_owned(),
        Some(Ending::HandedOver { to }) => format!("handed it over to {to}"),
        Some(Ending::Forced { by, .. }) => format!("lost it to {by}"),
    };
    let what = format!("{} {how}, and no process owns it or waits for it", term.owner.orchestrator);
    Some(Attention { need: Need::Unowned, task: None, what, since: term.ended.as_ref().map(|end| end.at) })
}

/// The ready tasks of a plan that none of the registered orchestrators runs, as one thing: the first of them,
/// why, and how many there are. `offers`: what each orchestrator runs that says so.
#[must_use]
pub fn unrunnable(plan: &PlanView, offers: &BTreeMap<OrchestratorId, Offer>) -> Option<Attention> {
    unrunnable_as_one(&unrunnable_tasks(plan, offers))
}

/// What [`unrunnable_tasks`] found, as one thing.
#[must_use]
pub fn unrunnable_as_one(unrunnable: &[(TaskId, String)]) -> Option<Attention> {
    let ((task, why), others) = unrunnable.split_first()?;
    let what = match others.len() {
        0 => format!("no orchestrator runs it: {why}"),
        more => format!("no orchestrator runs it: {why}; nor {}", counted(more, "other ready task")),
    };
    Some(Attention { need: Need::Unrunnable, task: Some(task.clone()), what, since: None })
}

/// The ready tasks of a plan that none of the registered orchestrators runs, each with the reason, in the
/// order of the plan. `offers`: what each orchestrator runs that says so.
///
/// Nothing, if the plan is halted, if an owner without an offer works on it, which may run anything, or if
/// none of the orchestrators takes the plan: then it may be for claimants. A task without a command that no
/// orchestrator brings one for is left to claimants, too.
#[must_use]
pub fn unrunnable_tasks(plan: &PlanView, offers: &BTreeMap<OrchestratorId, Offer>) -> Vec<(TaskId, String)> {
    let labels = &plan.spec().labels;
    let owner = plan.queue().owner().map(|(_, term)| &term.owner.orchestrator);
    if plan.halt().is_some() || owner.is_some_and(|owner| !offers.contains_key(owner)) {
        return Vec::new();
    }
    let offers: Vec<&Offer> = offers.values().filter(|offer| offer.takes_plan(plan.name(), labels)).collect();
    if offers.is_empty() {
        return Vec::new();
    }
    let with_own_command = offers.iter().any(|offer| offer.without_command);
    let ready: BTreeSet<&TaskId> = plan.ready().collect();
    let tasks = plan.spec().tasks.iter().filter(|spec| ready.contains(&spec.id));
    let tasks = tasks.filter(|spec| spec.command.is_some() || with_own_command);
    let not_run = |spec: &TaskSpec| {
        let why = unoffered(plan.name(), Some(labels), spec, offers.iter().copied())?;
        Some((spec.id.clone(), why))
    };
    tasks.filter_map(not_run).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        approval::{ApprovalOf, WaitingResult},
        id::PlanName,
        record::{Guard, Halt, HaltRecord, Role, TaskRecord, Writer},
        revision::Revision,
        spec::{PlanSpec, TaskSpec},
        state::PlanState,
        view::{Definition, Halts, Parts},
    };

    fn revision() -> Revision {
        Revision::from_wire(1).unwrap()
    }

    fn task(id: &str, change: impl FnOnce(&mut TaskRecord)) -> TaskView {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        let mut record = TaskRecord::new(writer, Uuid::nil());
        change(&mut record);
        TaskView { id: TaskId::new(id).unwrap(), revision: revision(), record }
    }

    fn plan(halts: Halts) -> PlanView {
        let failed = |failures: u32| {
            move |record: &mut TaskRecord| {
                (record.status, record.failures, record.error) =
                    (TaskStatus::Failed, failures, Some("boom".into()));
            }
        };
        let parked = |record: &mut TaskRecord| {
            (record.status, record.parked) = (TaskStatus::Failed, Some("which one?".into()));
        };
        let tasks = [task("1", failed(1)), task("2", failed(9)), task("3", parked), task("4", |_| {})];
        let spec = PlanSpec {
            tasks: tasks.iter().map(|task| TaskSpec::new(task.id.clone(), "work")).collect(),
            ..PlanSpec::default()
        };
        let mut parts = Parts::default();
        (parts.tasks, parts.halts) = (tasks.into_iter().collect(), halts);
        PlanView::new(
            PlanName::new("p").unwrap(),
            revision(),
            Definition::new(revision(), revision(), spec),
            parts,
        )
    }

    #[test]
    fn what_goes_on_by_itself_needs_no_person() {
        let alive = Alive { owner: Guard::Unowned, workers: BTreeSet::new(), limits: BTreeMap::new() };
        let needs: Vec<_> = attention(&plan(Halts::default()), &alive)
            .into_iter()
            .map(|one| (one.need, one.task.unwrap().to_string(), one.what))
            .collect();
        assert_eq!(
            needs,
            [
                (Need::Failed, "2".to_owned(), "boom".to_owned()),
                (Need::Decision, "3".to_owned(), "which one?".to_owned()),
            ]
        );
        let paused = HaltRecord::unreadable(Halt::Paused, "lunch".into());
        let halts = Halts { paused: Some((revision(), paused)), closed: None };
        assert_eq!(attention(&plan(halts), &alive), []);
    }

    #[test]
    fn what_waits_for_approval_is_a_need_of_its_own() {
        let before = |record: &mut TaskRecord| record.require_approval(Some(ApprovalOf::Before));
        let done = |record: &mut TaskRecord| {
            (record.status, record.attempt) = (TaskStatus::InProgress, 1);
            record.require_approval(Some(ApprovalOf::After));
            let result = WaitingResult { by: "w".into(), at: WallTime(7) };
            record.approval.as_mut().unwrap().result = Some(result);
        };
        // The third waits for the first, and only then for its own approval.
        let tasks = [task("1", before), task("2", done), task("3", before)];
        let mut spec = PlanSpec {
            tasks: tasks.iter().map(|task| TaskSpec::new(task.id.clone(), "work")).collect(),
            ..PlanSpec::default()
        };
        spec.tasks[2].depends_on = vec![tasks[0].id.clone()];
        let mut parts = Parts::default();
        parts.tasks = tasks.into_iter().collect();
        let definition = Definition::new(revision(), revision(), spec);
        let plan = PlanView::new(PlanName::new("p").unwrap(), revision(), definition, parts);
        let alive = Alive { owner: Guard::Unowned, workers: BTreeSet::new(), limits: BTreeMap::new() };
        let needs: Vec<_> = attention(&plan, &alive)
            .into_iter()
            .map(|one| (one.need, one.task.unwrap().to_string(), one.what, one.since))
            .collect();
        let start = "attempt 1 may start only when it is approved".to_owned();
        let result = "attempt 1 was completed by w and waits for approval".to_owned();
        assert_eq!(
            needs,
            [
                (Need::Approval, "1".to_owned(), start, None),
                (Need::Approval, "2".to_owned(), result, Some(WallTime(7))),
            ]
        );
        assert_eq!(PlanState::of(&plan), PlanState::NeedsDecision);
    }

    #[test]
    fn every_need_has_a_word_of_its_own() {
        let words: BTreeSet<&str> = Need::ALL.iter().map(|need| need.as_str()).collect();
        assert_eq!(words.len(), Need::ALL.len());
        assert!(Need::ALL.is_sorted(), "most pressing first");
    }

    /// A plan of ready tasks, of which the second and the third need a GPU.
    fn plan_with_needs(halts: Halts) -> PlanView {
        let tasks = ["1", "2", "3"].map(|id| task(id, |_| {}));
        let spec = |view: &TaskView| {
            let needs = if view.id.as_str() == "1" { vec![] } else { vec!["gpu".to_owned()] };
            let command = Some(vec!["true".to_owned()]);
            TaskSpec { needs: needs.into_iter().collect(), command, ..TaskSpec::new(view.id.clone(), "work") }
        };
        let spec = PlanSpec { tasks: tasks.iter().map(spec).collect(), ..PlanSpec::default() };
        let mut parts = Parts::default();
        (parts.tasks, parts.halts) = (tasks.into_iter().collect(), halts);
        let definition = Definition::new(revision(), revision(), spec);
        PlanView::new(PlanName::new("p").unwrap(), revision(), definition, parts)
    }

    #[test]
    fn tasks_that_no_orchestrator_runs_need_a_person() {
        let id = |name: &str| OrchestratorId::new(name).unwrap();
        let offer = Offer { with_command: true, ..Offer::default() };
        let with_gpu = Offer { can: ["gpu".to_owned()].into(), ..offer.clone() };
        let elsewhere = Offer { plans: Some([PlanName::new("other").unwrap()].into()), ..with_gpu.clone() };
        let of = |offers: &[(&str, &Offer)]| {
            let offers = offers.iter().map(|(name, offer)| (id(name), (*offer).clone())).collect();
            unrunnable(&plan_with_needs(Halts::default()), &offers)
        };
        let found = of(&[("a", &offer), ("b", &elsewhere)]).unwrap();
        let offers = BTreeMap::from([(id("a"), offer.clone())]);
        let each = unrunnable_tasks(&plan_with_needs(Halts::default()), &offers);
        let each: Vec<_> = each.iter().map(|(task, why)| (task.as_str(), why.as_str())).collect();
        assert_eq!(each, [("2", "it needs gpu"), ("3", "it needs gpu")]);
        assert_eq!((found.need, found.task.unwrap().to_string()), (Need::Unrunnable, "2".to_owned()));
        assert_eq!(found.what, "no orchestrator runs it: it needs gpu; nor 1 other ready task");
        assert_eq!(of(&[("a", &offer), ("b", &with_gpu)]), None);
        // Of nothing is nothing known, and a plan that no orchestrator takes may be for claimants.
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("b", &elsewhere)]), None);
        // A task without a command is left to claimants where no orchestrator brings one.
        let bare = Offer { can: ["gpu".to_owned()].into(), ..Offer::default() };
        let mut without = plan_with_needs(Halts::default());
        let mut spec = PlanSpec::clone(without.spec());
        spec.tasks.iter_mut().for_each(|task| task.command = None);
        let tasks: Vec<TaskView> = without.tasks().values().cloned().collect();
        let mut parts = Parts::default();
        parts.tasks = tasks.into_iter().collect();
        without = PlanView::new(
            PlanName::new("p").unwrap(),
            revision(),
            Definition::new(revision(), revision(), spec),
            parts,
        );
        let offers = BTreeMap::from([(id("a"), bare)]);
        assert_eq!(unrunnable(&without, &offers), None);
        let paused = HaltRecord::unreadable(Halt::Paused, "lunch".into());
        let halts = Halts { paused: Some((revision(), paused)), closed: None };
        let offers = BTreeMap::from([(id("a"), offer)]);
        assert_eq!(unrunnable(&plan_with_needs(halts), &offers), None);
    }
}
