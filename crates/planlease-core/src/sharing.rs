//! How orchestrators that stay up share plans: which plan has work for one of them, which comes first, and
//! how long one that is loaded lets others go first.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use crate::{
    id::{OrchestratorId, PlanName, TaskId},
    offer::Load,
    record::{Guard, TaskRecord},
    revision::Revision,
    spec::{Policies, TaskSpec},
    standing::may_be_retried,
    transition::TaskStatus,
    view::PlanView,
};

/// The longest that a loaded orchestrator lets others go first.
pub const MAX_HESITATION: Duration = Duration::from_millis(400);

/// Up to how long every orchestrator waits, by chance: so that of several which see a free plan at the same
/// moment, the others see that the first has it before they try.
pub const SPREAD: Duration = Duration::from_millis(60);

/// A plan that waits for an owner. The least one is to be acquired first: that of the highest priority, and
/// among equals the one that has waited longest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    priority: Reverse<i32>,
    /// Since when: a revision of the store, so that no clock of a host is compared.
    since: Revision,
    /// The plan.
    pub plan: PlanName,
}

impl Waiting {
    /// A plan that waits since it was imported, or since its last term was written.
    #[must_use]
    pub fn of(plan: &PlanView) -> Self {
        let term = plan.queue().term.as_ref().map(|(revision, _)| *revision);
        Self {
            priority: Reverse(plan.spec().priority),
            since: term.map_or(plan.since(), |term| term.max(plan.since())),
            plan: plan.name().clone(),
        }
    }
}

/// How long an orchestrator with this load waits before it tries to acquire a plan: it grows with the share
/// of its jobs that are taken, so that of several the least loaded is first. `chance`: a random number below
/// 1, which spreads equals. Bounded by [`MAX_HESITATION`] and [`SPREAD`] together.
#[must_use]
pub fn hesitation(load: &Load, chance: f64) -> Duration {
    let jobs = load.running.saturating_add(load.free).max(1);
    let taken = u32::try_from(load.running.min(jobs).saturating_mul(100) / jobs).unwrap_or(100);
    MAX_HESITATION * taken / 100 + SPREAD.mul_f64(chance.clamp(0.0, 1.0))
}

/// Whether an orchestrator that takes these tasks would find something to do as the owner of a plan which no
/// process owns or waits for: start one of its tasks, put one back that failed, or recover one whose claimant
/// is gone. While others work on tasks, it keeps their time limits, unless a task is ready that is not for
/// it: then another orchestrator may want to own the plan. `alive` says whether a registration exists.
#[must_use]
pub fn has_work_for(
    plan: &PlanView,
    takes: impl Fn(&TaskSpec) -> bool,
    alive: impl Fn(&OrchestratorId, Revision) -> bool,
) -> bool {
    let policies = Policies::of(plan.spec());
    let not_for_it: BTreeSet<&TaskId> =
        plan.spec().tasks.iter().filter(|task| !takes(task)).map(|task| &task.id).collect();
    let of = |id: &TaskId| !not_for_it.contains(id);
    let open = |record: &TaskRecord| {
        record.parked.is_none() && !matches!(record.status, TaskStatus::Completed | TaskStatus::Skipped)
    };
    let records = || plan.tasks().values().map(|task| (&task.id, &task.record));
    if !records().any(|(id, record)| of(id) && open(record)) {
        return false;
    }
    let gone = |record: &TaskRecord| match record.claim.as_ref().and_then(|claim| claim.guard.as_ref()) {
        None => false,
        Some(Guard::Worker { orchestrator, revision }) => !alive(orchestrator, *revision),
        Some(_) => true, // No process owns the plan.
    };
    let in_progress = |record: &TaskRecord| record.status == TaskStatus::InProgress && !record.result_waits();
    let now = |(id, record): (&TaskId, &TaskRecord)| {
        (of(id) && may_be_retried(record, policies.of_task(id))) || (in_progress(record) && gone(record))
    };
    let others_wait = || plan.ready().any(|id| !of(id));
    plan.ready().any(of)
        || records().any(now)
        || (records().any(|(_, one)| in_progress(one)) && !others_wait())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{
        record::{Claim, Role, Writer},
        spec::PlanSpec,
        time::WallTime,
        view::{Definition, Parts, TaskView},
    };

    fn revision(n: i64) -> Revision {
        Revision::from_wire(n).unwrap()
    }

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    /// Tasks with a status, a label, and the guard of a claim; each may depend on one.
    fn plan(tasks: &[(&str, TaskStatus, &str, Option<Guard>)], depends: &[(&str, &str)]) -> PlanView {
        let mut spec = PlanSpec::default();
        let mut views = BTreeMap::new();
        for (name, status, label, guard) in tasks {
            let depends_on = depends.iter().filter(|(task, _)| task == name).map(|(_, on)| id(on)).collect();
            let labels = [(*label).to_owned()].into();
            spec.tasks.push(TaskSpec { labels, depends_on, ..TaskSpec::new(id(name), "work") });
            let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
            let mut record = TaskRecord { status: *status, ..TaskRecord::new(writer, Uuid::nil()) };
            record.claim = guard.clone().map(|guard| Claim::new("w".into(), Some(guard), None, WallTime(0)));
            views.insert(id(name), TaskView { id: id(name), revision: revision(1), record });
        }
        let mut parts = Parts::default();
        parts.tasks = views.into_values().collect();
        let definition = Definition::new(revision(1), revision(1), spec);
        PlanView::new(PlanName::new("p").unwrap(), revision(1), definition, parts)
    }

    #[test]
    fn a_plan_has_work_for_those_who_take_what_is_ready() {
        use TaskStatus::{Completed, Failed, InProgress, Pending};
        let worker = |name: &str| {
            let orchestrator = OrchestratorId::new(name).unwrap();
            Some(Guard::Worker { orchestrator, revision: revision(1) })
        };
        let mine = |plan: &PlanView| {
            let takes = |task: &TaskSpec| task.labels.contains("mine");
            has_work_for(plan, takes, |id, _| id.as_str() == "alive")
        };
        let of = |tasks: &[(&str, TaskStatus, &str, Option<Guard>)]| mine(&plan(tasks, &[]));
        assert!(of(&[("1", Pending, "mine", None)]));
        assert!(!of(&[("1", Pending, "theirs", None)]));
        assert!(!of(&[("1", Completed, "mine", None), ("2", Pending, "theirs", None)]), "done");
        assert!(of(&[("1", Failed, "mine", None)]), "the owner puts it back");
        let waits = |status, guard| {
            let tasks = [("1", status, "theirs", guard), ("2", Pending, "mine", None)];
            mine(&plan(&tasks, &[("2", "1")]))
        };
        assert!(!waits(Pending, None), "another one is ready first");
        assert!(waits(InProgress, worker("alive")), "keeps the time limits");
        assert!(waits(InProgress, worker("gone")));
        assert!(!of(&[("1", InProgress, "theirs", worker("gone"))]), "never anything for this one");
        let third = ("3", Pending, "theirs", None);
        let shared = |name| {
            let two = ("2", Pending, "mine", None);
            mine(&plan(&[("1", InProgress, "theirs", worker(name)), two, third.clone()], &[("2", "1")]))
        };
        assert!(!shared("alive"), "task 3 may be for another orchestrator");
        assert!(shared("gone"), "its owner recovers the task");
    }

    proptest! {
        #[test]
        fn priority_comes_first_and_then_the_longest_wait(plans in prop::collection::vec((-3..3_i32, 1..9_i64), 2..9)) {
            let mut waiting: Vec<Waiting> = plans.iter().enumerate().map(|(n, (priority, since))| Waiting {
                priority: Reverse(*priority),
                since: revision(*since),
                plan: PlanName::new(format!("p{n}")).unwrap(),
            }).collect();
            waiting.sort();
            for pair in waiting.windows(2) {
                let (first, next) = (&pair[0], &pair[1]);
                prop_assert!(first.priority.0 >= next.priority.0);
                prop_assert!(first.priority.0 > next.priority.0 || first.since <= next.since);
            }
        }

        #[test]
        fn the_less_loaded_never_waits_longer(jobs in 1..64_u64, one in 0..64_u64, other in 0..64_u64, chance in 0.0..1.0_f64) {
            let load = |running: u64| {
                let running = running.min(jobs);
                Load { running, free: jobs - running, ..Load::default() }
            };
            let (less, more) = (load(one.min(other)), load(one.max(other)));
            prop_assert!(hesitation(&less, chance) <= hesitation(&more, chance));
            prop_assert!(hesitation(&more, chance) <= MAX_HESITATION + SPREAD);
        }
    }
}
