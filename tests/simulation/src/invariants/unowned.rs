//! When faults are over, no plan stays without an owner while an orchestrator that stays up could own it: one
//! that lives, takes the plan by its labels, can do one of the tasks that are ready, is not cordoned, and has
//! a free job and room for one more plan. At most [`WITHIN`] goes by.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use planlease::core::{
    LeaseId, OrchestratorId, PlanName, Revision, TaskId, codec,
    keys::{Key, PlanKey, SteeringKey},
    record::{Guard, Registration, TaskRecord, TermRecord},
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
};

use super::Evidence;
use crate::hosts::service::MAX_PLANS;

/// How long a plan may stay unowned: what an orchestrator leaves alone for a while after the trouble that it
/// had with it while things went wrong, and some.
pub const WITHIN: Duration = Duration::from_secs(45);

/// What a plan is.
#[derive(Default)]
struct Plan {
    spec: Option<PlanSpec>,
    tasks: BTreeMap<TaskId, TaskRecord>,
    /// Who is in its queue, the owner among them.
    queue: BTreeSet<LeaseId>,
    halted: bool,
    owner: Option<(LeaseId, OrchestratorId)>,
    /// Since when one could own it, and does not.
    since: Option<(Duration, OrchestratorId)>,
}

/// What the store says.
#[derive(Default)]
struct Store {
    plans: BTreeMap<PlanName, Plan>,
    live: BTreeMap<OrchestratorId, Registration>,
    cordoned: BTreeSet<OrchestratorId>,
    paused: bool,
}

/// Which plans stayed unowned for too long.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let world = evidence.world;
    let (Some(healed), Some(over)) = (world.healed.get(), world.ended.get()) else { return Vec::new() };
    if world.options.services == 0 {
        return Vec::new();
    }
    let (sets, times) = (world.history.sets(), world.history.times());
    let mut store = Store::default();
    let mut violations = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        for change in &set.changes {
            store.apply(
                &change.key,
                change.entry.as_ref().map(|entry| (entry.value.as_slice(), entry.created)),
            );
        }
        let next = times.get(index + 1).copied().unwrap_or(*over);
        if next > *healed {
            let now = times.get(index).copied().unwrap_or_default().max(*healed);
            store.look(now, next, world.options.jobs, &mut violations);
        }
    }
    violations
}

impl Store {
    fn apply(&mut self, key: &Key, entry: Option<(&[u8], Revision)>) {
        let value = entry.map(|(value, _)| value);
        match key {
            Key::Orchestrator(id) => match value.and_then(|value| codec::decode(value).ok()) {
                Some(registration) => drop(self.live.insert(id.clone(), registration)),
                None => drop(self.live.remove(id)),
            },
            Key::Steering(SteeringKey::Pause) => self.paused = value.is_some(),
            Key::Steering(SteeringKey::Cordon(id)) => match value {
                Some(_) => drop(self.cordoned.insert(id.clone())),
                None => drop(self.cordoned.remove(id)),
            },
            Key::Plan(name, key) => self.plans.entry(name.clone()).or_default().apply(key, value),
            _ => {}
        }
    }

    /// Looks from one revision to the next, between which nothing changes.
    fn look(&mut self, now: Duration, next: Duration, jobs: usize, violations: &mut Vec<String>) {
        let could: BTreeMap<PlanName, OrchestratorId> = self
            .plans
            .iter()
            .filter_map(|(name, plan)| Some((name.clone(), self.could_own(name, plan, jobs)?)))
            .collect();
        for (name, plan) in &mut self.plans {
            let Some(one) = could.get(name) else {
                plan.since = None;
                continue;
            };
            let (since, _) = plan.since.get_or_insert((now, one.clone()));
            if next.saturating_sub(*since) > WITHIN {
                violations
                    .push(format!("{name} had no owner from {since:?} to {next:?}, and {one} could own it"));
                plan.since = Some((Duration::MAX, one.clone())); // Said once.
            }
        }
    }

    /// An orchestrator that could own the plan, which has no owner.
    fn could_own(&self, name: &PlanName, plan: &Plan, jobs: usize) -> Option<OrchestratorId> {
        let spec = plan.spec.as_ref().filter(|_| plan.queue.is_empty() && !plan.halted && !self.paused)?;
        let mut services = self.live.iter().filter(|(id, _)| id.as_str().starts_with("service"));
        let free = services.find(|(id, registration)| {
            let Some(offer) = &registration.offer else { return false };
            let owned: Vec<&Plan> = self
                .plans
                .values()
                .filter(|plan| plan.owner.as_ref().is_some_and(|(_, of)| of == *id))
                .collect();
            let lease = registration.lease;
            let busy: usize = owned.iter().map(|plan| plan.busy(lease)).sum();
            !self.cordoned.contains(*id)
                && owned.len() < MAX_PLANS
                && busy < jobs
                && offer.takes_plan(name, &spec.labels)
                && spec.tasks.iter().any(|task| plan.is_ready(task) && offer.takes_task(task).is_ok())
        });
        free.map(|(id, _)| id.clone())
    }
}

impl Plan {
    fn apply(&mut self, key: &PlanKey, value: Option<&[u8]>) {
        match key {
            PlanKey::Spec => {
                self.spec = value.and_then(|value| codec::decode_within(value, codec::MAX_SPEC_PART).ok());
            }
            PlanKey::Task(id) => match value.and_then(|value| codec::decode(value).ok()) {
                Some(record) => drop(self.tasks.insert(id.clone(), record)),
                None => drop(self.tasks.remove(id)),
            },
            PlanKey::Pause | PlanKey::Close => self.halted = value.is_some(),
            PlanKey::Owner(lease) => match value {
                Some(_) => drop(self.queue.insert(*lease)),
                None => {
                    self.queue.remove(lease);
                    self.owner.take_if(|(owner, _)| owner == lease);
                }
            },
            PlanKey::Term => {
                let term = value.and_then(|value| codec::decode::<TermRecord>(value).ok());
                let owner = term.filter(|term| term.ended.is_none());
                self.owner = owner.map(|term| (term.lease, term.owner.orchestrator));
            }
            _ => {}
        }
    }

    /// How many of its tasks run by this session's right.
    fn busy(&self, of: LeaseId) -> usize {
        let runs = |record: &&TaskRecord| {
            let guard = record.claim.as_ref().and_then(|claim| claim.guard.as_ref());
            record.status == TaskStatus::InProgress
                && matches!(guard, Some(Guard::Owner { lease, .. }) if *lease == of)
        };
        self.tasks.values().filter(runs).count()
    }

    /// Whether a task may start, as far as its dependencies and its own record go.
    fn is_ready(&self, task: &TaskSpec) -> bool {
        let done = |id: &TaskId| {
            let status = self.tasks.get(id).map(|record| record.status);
            matches!(status, None | Some(TaskStatus::Completed | TaskStatus::Skipped))
        };
        let pending = self.tasks.get(&task.id).is_some_and(|record| record.status == TaskStatus::Pending);
        pending && task.depends_on.iter().all(done)
    }
}
