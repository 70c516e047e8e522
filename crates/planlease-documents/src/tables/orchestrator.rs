//! `orchestrator list`: who is alive.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::wire::orchestrator::OrchestratorList;

impl Tabular for OrchestratorList {
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
        table.render("no orchestrators are registered")
    }
}
