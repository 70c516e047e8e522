//! `orchestrator list`: who is alive.

use std::collections::BTreeMap;

use planlease::{List, PlanView, Registered};
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
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) since: Time,
    pub(crate) lease: String,
    /// The plans that it owns.
    pub(crate) owns: Vec<String>,
}

impl OrchestratorList {
    /// The registered ones, with the plans that each owns.
    #[must_use]
    pub fn new(registered: List<Registered>, plans: &List<PlanView>) -> Self {
        let mut owned: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for view in plans.iter() {
            if let Some((owner, _)) = view.line().owner() {
                owned.entry(owner.lease.to_string()).or_default().push(view.name().to_string());
            }
        }
        let unreadable = views(registered.unreadable.iter().chain(&plans.unreadable));
        let orchestrators = registered.into_iter().map(|registered| {
            let lease = registered.lease().to_string();
            Listed {
                orchestrator: registered.id.to_string(),
                host: registered.record.host,
                pid: registered.record.pid,
                version: registered.record.version,
                labels: registered.record.labels,
                endpoint: registered.record.endpoint,
                since: registered.record.started_at.into(),
                owns: owned.get(&lease).cloned().unwrap_or_default(),
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
