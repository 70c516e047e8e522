//! `GET /v1/attention` of the sidecar: what needs a person, in all plans.

use std::collections::BTreeMap;

use planlease::{PlanView, core::PlanName};
use planlease_core::{
    OrchestratorId, Revision, TaskId,
    attention::{Attention, attention, unrunnable},
    offer::Offer,
    orphan::Alive,
    record::Guard,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// What needs a person, most pressing first. Plans that are halted are left out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttentionList {
    pub(crate) revision: Revision,
    pub(crate) attention: Vec<Needed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AttentionNeeded")]
pub(crate) struct Needed {
    /// `decision` (a task waits for a person's word), `approval` (it waits for a person to approve its start
    /// or its result), `failed` (it failed as often as it may), `lost` (in progress, its claimant is gone,
    /// and no owner is there to recover it), `unowned` (the plan was worked on, has work left, and no process
    /// owns it or waits for it) or `unrunnable` (it is ready, and no registered orchestrator runs it; `what`
    /// says how many more).
    pub(crate) need: &'static str,
    pub(crate) plan: PlanName,
    /// `None` if it is the plan as a whole.
    pub(crate) task: Option<TaskId>,
    pub(crate) description: String,
    /// The decision or the approval that is asked for, the error, the last owner.
    pub(crate) what: String,
    pub(crate) since: Option<Time>,
}

impl AttentionList {
    /// Of these plans, as of this revision. `alive`: what the claims of all of them hang on, besides their
    /// owners. `offers`: what the orchestrators run that say so.
    #[must_use]
    pub fn new<'a>(
        revision: Revision,
        plans: impl Iterator<Item = &'a PlanView>,
        alive: Alive,
        offers: &BTreeMap<OrchestratorId, Offer>,
    ) -> Self {
        let (mut needed, mut unreadable, mut alive) = (Vec::new(), Vec::new(), alive);
        for plan in plans {
            alive.owner = plan.queue().guard().unwrap_or(Guard::Unowned);
            let found = attention(plan, &alive).into_iter().chain(unrunnable(plan, offers));
            needed.extend(found.map(|one| (one.need, Needed::of(plan, one))));
            unreadable.extend(plan.unreadable());
        }
        needed.sort_by_key(|(need, _)| *need);
        let attention = needed.into_iter().map(|(_, needed)| needed).collect();
        Self { revision, attention, unreadable: views(&unreadable) }
    }
}

impl Needed {
    fn of(plan: &PlanView, attention: Attention) -> Self {
        let Attention { need, task, what, since } = attention;
        let spec = task.as_ref().and_then(|task| plan.spec().task(task));
        Self {
            need: need.as_str(),
            plan: plan.name().clone(),
            description: spec.map_or_else(|| plan.spec().title.clone(), |spec| spec.description.clone()),
            task,
            what,
            since: since.map(Time),
        }
    }
}

impl Document for AttentionList {
    const SCHEMA: Option<&'static str> = Some("planlease.attention.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.attention_needed.v1", &self.attention, &self.unreadable)
    }
}
