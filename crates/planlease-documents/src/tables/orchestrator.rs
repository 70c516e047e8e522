//! `orchestrator list`: who is alive.

use std::time::Duration;

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{time::duration, wire::orchestrator::OrchestratorList};

/// How long ago a lease was renewed.
fn renewed(ago_s: Option<f64>) -> String {
    ago_s.map_or_else(|| "gone".to_owned(), |ago| format!("{} ago", duration(Duration::from_secs_f64(ago))))
}

impl Tabular for OrchestratorList {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new([
            "ORCHESTRATOR",
            "STATE",
            "HOST",
            "PID",
            "FOR",
            "RENEWED",
            "VERSION",
            "JOBS",
            "CAN",
            "OWNS",
            "LABELS",
        ]);
        for listed in &self.orchestrators {
            let jobs =
                listed.load.as_ref().map(|load| format!("{}/{}", load.running, load.running + load.free));
            let can = listed.runs.as_ref().map(|runs| runs.can.join(", ")).unwrap_or_default();
            let labels = listed.labels.iter().map(|(name, value)| format!("{name}={value}"));
            table.row([
                Cell::text(&listed.orchestrator),
                listed.state.as_str().into(),
                Cell::text(&listed.host),
                listed.pid.into(),
                listed.since.age(now).into(),
                renewed(listed.renewed_ago_s).into(),
                Cell::text(&listed.version),
                jobs.unwrap_or_else(|| "-".to_owned()).into(),
                Cell::text(can),
                Cell::text(listed.owns.join(", ")),
                Cell::text(labels.collect::<Vec<_>>().join(", ")),
            ]);
        }
        table.render("no orchestrators are registered")
    }
}
