//! In which state plans are, and what needs a person: worked out for a plan when it changes, and not at each
//! look.

use std::collections::{BTreeMap, BTreeSet};

use planlease::Registered;
use planlease_core::{
    LeaseId, OrchestratorId, PlanName, PlanState, Revision, TaskId,
    attention::{Attention, attention, unrunnable_as_one, unrunnable_tasks},
    offer::Offer,
    orphan::Alive,
    record::Guard,
    view::PlanView,
};
use planlease_watcher::Snapshot;

use crate::tone::Tone;

/// What was worked out about the plans of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    plans: BTreeMap<PlanName, Known>,
    workers: BTreeSet<(OrchestratorId, Revision)>,
    /// What each orchestrator runs that says so.
    offers: BTreeMap<OrchestratorId, Offer>,
}

#[derive(Debug)]
struct Known {
    since: Revision,
    revision: Revision,
    state: PlanState,
    needs: Vec<Attention>,
    /// The ready tasks that no orchestrator runs, and why.
    unrunnable: BTreeMap<TaskId, String>,
}

impl Fleet {
    /// Brings it up to date.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) {
        let workers: BTreeSet<_> =
            snapshot.orchestrators().map(|one| (one.id.clone(), one.revision)).collect();
        let offer = |one: &std::sync::Arc<Registered>| Some((one.id.clone(), one.record.offer.clone()?));
        let offers: BTreeMap<_, _> = snapshot.orchestrators().filter_map(offer).collect();
        if (&self.workers, &self.offers) != (&workers, &offers) {
            (self.workers, self.offers) = (workers, offers);
            self.plans.clear(); // A claim may hang on any of them, and a task may be for none of them.
        }
        self.plans.retain(|name, _| snapshot.plan(name).is_some());
        for plan in snapshot.plans() {
            let (since, revision) = (plan.since(), plan.revision());
            if self
                .plans
                .get(plan.name())
                .is_none_or(|known| (known.since, known.revision) != (since, revision))
            {
                let known = self.look_at(plan);
                self.plans.insert(plan.name().clone(), known);
            }
        }
    }

    fn look_at(&self, plan: &PlanView) -> Known {
        let unrunnable = unrunnable_tasks(plan, &self.offers);
        let mut needs = attention(plan, &self.alive(plan));
        needs.extend(unrunnable_as_one(&unrunnable));
        Known {
            since: plan.since(),
            revision: plan.revision(),
            state: PlanState::of(plan),
            needs,
            unrunnable: unrunnable.into_iter().collect(),
        }
    }

    /// Why no orchestrator runs this task, if it is ready and none does.
    pub(crate) fn unrunnable(&self, plan: &PlanName, task: &TaskId) -> Option<&str> {
        self.plans.get(plan)?.unrunnable.get(task).map(String::as_str)
    }

    pub(crate) fn state(&self, plan: &PlanView) -> PlanState {
        self.plans.get(plan.name()).map_or(PlanState::Waiting, |known| known.state)
    }

    /// What needs a person, most pressing first.
    pub(crate) fn needs(&self) -> Vec<(&PlanName, &Attention)> {
        let of_plan = |(plan, known)| known_needs(known).map(move |need| (plan, need));
        let mut needs: Vec<_> = self.plans.iter().flat_map(of_plan).collect();
        needs.sort_by_key(|(_, one)| one.need);
        needs
    }

    /// What the claims of a plan hang on. Those with a limit count as held: their leases are not looked at.
    pub(crate) fn alive(&self, plan: &PlanView) -> Alive {
        let limits = plan.tasks().values().filter_map(|task| task.record.claim.as_ref()?.limit);
        let limits: BTreeMap<LeaseId, _> =
            limits.map(|limit| (limit.lease, std::time::Duration::MAX)).collect();
        Alive { owner: plan.queue().guard().unwrap_or(Guard::Unowned), workers: self.workers.clone(), limits }
    }
}

fn known_needs(known: &Known) -> impl Iterator<Item = &Attention> {
    known.needs.iter()
}

/// The place of a state in the list: what needs a person first, then what goes on, then the rest.
pub(crate) fn rank(state: PlanState) -> usize {
    PlanState::ALL.iter().position(|one| *one == state).unwrap_or(PlanState::ALL.len())
}

pub(crate) fn tone(state: PlanState) -> Tone {
    match state {
        PlanState::NeedsDecision | PlanState::Failed | PlanState::Stuck => Tone::Bad,
        PlanState::Running => Tone::Good,
        PlanState::Waiting => Tone::Normal,
        PlanState::Paused => Tone::Warn,
        PlanState::Done | PlanState::Cancelled | PlanState::Archived => Tone::Dim,
    }
}
