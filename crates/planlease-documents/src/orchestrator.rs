//! `orchestrator list`: who is alive.

use std::collections::BTreeMap;

use planlease::{Registered, core::WallTime};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Cell, Document, Table, Time, each};

/// See the module.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrchestratorList {
    orchestrators: Vec<Listed>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrchestratorListed")]
struct Listed {
    orchestrator: String,
    host: String,
    pid: u32,
    version: String,
    labels: BTreeMap<String, String>,
    endpoint: Option<String>,
    since: Time,
    lease: String,
    /// The plans that it owns.
    owns: Vec<String>,
}

impl OrchestratorList {
    /// The registered ones; `owned` names the plans of each by its lease.
    #[must_use]
    pub fn new(registered: Vec<Registered>, owned: &BTreeMap<String, Vec<String>>) -> Self {
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
        Self { orchestrators: orchestrators.collect() }
    }
}

impl Document for OrchestratorList {
    const SCHEMA: Option<&'static str> = Some("planlease.orchestrators.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.orchestrator.v1", &self.orchestrators)
    }

    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["ORCHESTRATOR", "HOST", "PID", "FOR", "VERSION", "OWNS", "LABELS"]);
        for listed in &self.orchestrators {
            let labels = listed.labels.iter().map(|(name, value)| format!("{name}={value}"));
            table.row([
                Cell::text(&listed.orchestrator),
                Cell::text(&listed.host),
                listed.pid.into(),
                listed.since.age(now).into(),
                Cell::text(&listed.version),
                Cell::text(listed.owns.join(", ")),
                Cell::text(labels.collect::<Vec<_>>().join(", ")),
            ]);
        }
        table.render("nobody is registered")
    }
}
