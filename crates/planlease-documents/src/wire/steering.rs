//! `fleet pause`, `fleet resume`, `fleet status`, `orchestrator cordon`, `drain` and `uncordon`, `owner
//! move`.

use std::collections::BTreeSet;

use planlease::{Halted, List, PlanView};
use planlease_core::{
    OrchestratorId, PlanName,
    steering::{CordonRecord, Eligibility, MoveRecord, Steering},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{document::Document, halt::HaltedBy};
use crate::time::Time;

/// The pause of a fleet, or its end.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FleetView {
    /// `paused` or `running`.
    pub(crate) now: &'static str,
    /// Whether this command did it.
    pub(crate) changed: bool,
    /// Who paused it, where it is known.
    pub(crate) paused: Option<HaltedBy>,
    /// The orchestrators that take nothing new.
    pub(crate) cordons: Vec<CordonedBy>,
    /// The plans that are to move.
    pub(crate) moves: Vec<MoveView>,
}

/// Why an orchestrator takes nothing new.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CordonedBy {
    pub(crate) orchestrator: OrchestratorId,
    /// `cordoned` or `draining`; `fleet status` shows `cordoned` once a drained one owns nothing any more.
    pub(crate) state: Eligibility,
    /// How long a draining one lets running tasks go on.
    pub(crate) deadline_s: Option<u64>,
    pub(crate) by: String,
    pub(crate) at: Time,
    pub(crate) why: String,
}

impl CordonedBy {
    fn of(orchestrator: &OrchestratorId, record: &CordonRecord) -> Self {
        let CordonRecord { state, deadline_s, by, at, why, .. } = record;
        let (by, at, why) = (by.clone(), (*at).into(), why.clone());
        Self { orchestrator: orchestrator.clone(), state: *state, deadline_s: *deadline_s, by, at, why }
    }
}

impl FleetView {
    /// What became of a pause.
    #[must_use]
    pub fn paused(halted: Halted) -> Self {
        let (changed, paused) = match halted {
            Halted::Done(_) => (true, None),
            Halted::Unchanged(record) => (false, Some(HaltedBy::of(&record))),
        };
        Self { now: "paused", changed, paused, cordons: Vec::new(), moves: Vec::new() }
    }

    /// What became of a resumption.
    #[must_use]
    pub fn resumed(changed: bool) -> Self {
        Self { now: "running", changed, paused: None, cordons: Vec::new(), moves: Vec::new() }
    }

    /// All that is asked of the fleet.
    #[must_use]
    pub fn of(steering: &Steering) -> Self {
        let cordons = steering.cordons.iter().map(|(id, record)| CordonedBy::of(id, record)).collect();
        let moves = steering.moves.iter().map(|(plan, record)| MoveView::of(plan, record)).collect();
        let paused = steering.pause.as_ref().map(HaltedBy::of);
        let now = if paused.is_some() { "paused" } else { "running" };
        Self { now, changed: false, paused, cordons, moves }
    }

    /// The same where these are all plans: what is drained and owns none of them any more is cordoned.
    #[must_use]
    pub fn with_owners(mut self, plans: &List<PlanView>) -> Self {
        let owners = plans.iter().filter_map(|plan| Some(plan.queue().owner()?.1.owner.orchestrator.clone()));
        let owners: BTreeSet<OrchestratorId> = owners.collect();
        let drained = self.cordons.iter_mut().filter(|cordon| !owners.contains(&cordon.orchestrator));
        drained.for_each(|cordon| cordon.state = Eligibility::Cordoned);
        self
    }
}

impl Document for FleetView {
    const SCHEMA: Option<&'static str> = Some("planlease.fleet.v1");
}

/// What became of `orchestrator cordon`, `drain` or `uncordon`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EligibilityView {
    pub(crate) orchestrator: OrchestratorId,
    /// What it is now.
    pub(crate) state: Eligibility,
    /// The plans that it still owns, if that was waited for.
    pub(crate) owns: Option<Vec<PlanName>>,
    /// Of `uncordon`: whether it was cordoned or drained before.
    pub(crate) was_cordoned: Option<bool>,
}

impl EligibilityView {
    /// The orchestrator, and whether it takes work now.
    #[must_use]
    pub fn new(orchestrator: OrchestratorId, state: Eligibility, owns: Option<Vec<PlanName>>) -> Self {
        Self { orchestrator, state, owns, was_cordoned: None }
    }

    /// What became of an `uncordon`, which found a cordon or none.
    #[must_use]
    pub fn uncordoned(orchestrator: OrchestratorId, was_cordoned: bool) -> Self {
        let was_cordoned = Some(was_cordoned);
        Self { orchestrator, state: Eligibility::Eligible, owns: None, was_cordoned }
    }
}

impl Document for EligibilityView {
    const SCHEMA: Option<&'static str> = Some("planlease.eligibility.v1");
}

/// A move of a plan that was asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanMove")]
pub struct MoveView {
    pub(crate) plan: PlanName,
    pub(crate) from: OrchestratorId,
    pub(crate) to: OrchestratorId,
    /// How long running tasks go on.
    pub(crate) deadline_s: u64,
    pub(crate) by: String,
    pub(crate) why: String,
    /// Whether the plan has moved.
    pub(crate) done: bool,
}

impl MoveView {
    /// What was asked for.
    #[must_use]
    pub fn of(plan: &PlanName, record: &MoveRecord) -> Self {
        let MoveRecord { from, to, deadline_s, by, why, .. } = record.clone();
        Self { plan: plan.clone(), from, to, deadline_s, by, why, done: false }
    }

    /// The plan has moved as asked.
    #[must_use]
    pub fn done(plan: &PlanName, record: &MoveRecord) -> Self {
        Self { done: true, ..Self::of(plan, record) }
    }
}

impl Document for MoveView {
    const SCHEMA: Option<&'static str> = Some("planlease.move.v1");
}
