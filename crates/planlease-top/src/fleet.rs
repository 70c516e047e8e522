//! In which state plans are, and what needs a person: worked out for a plan when it changes, and not at each
//! look.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    LeaseId, OrchestratorId, PlanName, PlanState, Revision,
    attention::{Attention, attention},
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
}

#[derive(Debug)]
struct Known {
    since: Revision,
    revision: Revision,
    state: PlanState,
    needs: Vec<Attention>,
}

impl Fleet {
    /// Brings it up to date.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) {
        let workers = snapshot.orchestrators().map(|one| (one.id.clone(), one.revision)).collect();
        if self.workers != workers {
            self.workers = workers;
            self.plans.clear(); // A claim may hang on any of them.
        }
        self.plans.retain(|name, _| snapshot.plan(name).is_some());
        for plan in snapshot.plans() {
            let (since, revision) = (plan.since(), plan.revision());
            if self
                .plans
                .get(plan.name())
                .is_none_or(|known| (known.since, known.revision) != (since, revision))
            {
                let needs = attention(plan, &self.alive(plan));
                let known = Known { since, revision, state: PlanState::of(plan), needs };
                self.plans.insert(plan.name().clone(), known);
            }
        }
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
    fn alive(&self, plan: &PlanView) -> Alive {
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
