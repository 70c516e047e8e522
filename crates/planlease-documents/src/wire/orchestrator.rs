//! `orchestrator list`: who is alive.

use std::collections::BTreeMap;

use planlease::{LeaseTimes, List, PlanView, Registered, core::LeaseId};
use planlease_core::{
    PlanName,
    offer::{Load, Offer},
    steering::{Eligibility, Steering},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// The registered orchestrators.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrchestratorList {
    pub(crate) orchestrators: Vec<Listed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrchestratorListed")]
pub(crate) struct Listed {
    pub(crate) orchestrator: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    /// Whether it takes work: `eligible`, `cordoned`, or, while it still owns a plan, `draining`.
    pub(crate) state: Eligibility,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) since: Time,
    pub(crate) lease: String,
    /// The time to live of its lease; `None` if etcd has it no more.
    pub(crate) ttl_s: Option<f64>,
    /// How long ago it renewed its lease, to the second, as etcd says; `None` if etcd has it no more.
    pub(crate) renewed_ago_s: Option<f64>,
    /// The plans that it owns.
    pub(crate) owns: Vec<String>,
    /// What it runs; `None` if it runs no commands, or does not say so.
    pub(crate) runs: Option<OfferView>,
    /// How loaded it is, as of some seconds ago; `None` if it does not say so.
    pub(crate) load: Option<LoadView>,
}

/// What an orchestrator runs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Offer")]
pub(crate) struct OfferView {
    /// What it can do, of what tasks need.
    pub(crate) can: Vec<String>,
    /// The plans that it takes, by name; `None` for all.
    pub(crate) plans: Option<Vec<PlanName>>,
    /// The plans that it takes, by their labels; empty for all.
    pub(crate) select: String,
    /// The tasks that it takes, by their labels; empty for all.
    pub(crate) task_select: String,
    /// Whether it runs tasks that have a command.
    pub(crate) with_command: bool,
    /// Whether it runs tasks that have none.
    pub(crate) without_command: bool,
}

/// How loaded an orchestrator is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Load")]
pub(crate) struct LoadView {
    /// How many plans it owns.
    pub(crate) plans: u64,
    /// How many tasks it runs.
    pub(crate) running: u64,
    /// How many more it could run.
    pub(crate) free: u64,
}

impl OfferView {
    fn of(offer: Offer) -> Self {
        Self {
            can: offer.can.into_iter().collect(),
            plans: offer.plans.map(|plans| plans.into_iter().collect()),
            select: offer.select.to_string(),
            task_select: offer.task_select.to_string(),
            with_command: offer.with_command,
            without_command: offer.without_command,
        }
    }
}

impl LoadView {
    pub(crate) fn of(load: &Load) -> Self {
        Self { plans: load.plans, running: load.running, free: load.free }
    }
}

impl OrchestratorList {
    /// The registered ones, with the plans that each owns, and how their leases stand.
    #[must_use]
    pub fn new(
        registered: List<Registered>,
        plans: &List<PlanView>,
        leases: &BTreeMap<LeaseId, LeaseTimes>,
        steering: &Steering,
    ) -> Self {
        let mut owned: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for view in plans.iter() {
            if let Some((owner, _)) = view.queue().owner() {
                owned.entry(owner.lease.to_string()).or_default().push(view.name().to_string());
            }
        }
        let unreadable = views(registered.unreadable.iter().chain(&plans.unreadable));
        let orchestrators = registered.into_iter().map(|registered| {
            let (lease, times) = (registered.lease().to_string(), leases.get(&registered.lease()));
            let owns = owned.get(&lease).cloned().unwrap_or_default();
            let state = match steering.eligibility(&registered.id) {
                Eligibility::Draining if owns.is_empty() => Eligibility::Cordoned,
                state => state,
            };
            Listed {
                state,
                orchestrator: registered.id.to_string(),
                host: registered.record.host,
                pid: registered.record.pid,
                version: registered.record.version,
                labels: registered.record.labels,
                endpoint: registered.record.endpoint,
                since: registered.record.started_at.into(),
                ttl_s: times.map(|times| times.ttl.as_secs_f64()),
                renewed_ago_s: times.map(|times| times.ttl.saturating_sub(times.left).as_secs_f64()),
                owns,
                runs: registered.record.offer.map(OfferView::of),
                load: registered.record.load.as_ref().map(LoadView::of),
                lease,
            }
        });
        Self { orchestrators: orchestrators.collect(), unreadable }
    }
}

impl Document for OrchestratorList {
    const SCHEMA: Option<&'static str> = Some("planlease.orchestrators.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.orchestrator.v1", &self.orchestrators, &self.unreadable)
    }
}
