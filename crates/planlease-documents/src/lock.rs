//! `locks`: who has which lock of a plan, and who waits.

use planlease::{
    List, LockView,
    core::{PlanName, Revision, WallTime, term::Candidate},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, Table, Time,
    unreadable::{UnreadableView, views},
};

/// The locks of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LockList {
    plan: PlanName,
    locks: Vec<LockShown>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LockShown {
    lock: String,
    holder: InLine,
    waiting: Vec<InLine>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct InLine {
    /// The orchestrator, or the lease of an unmanaged candidate.
    who: String,
    host: Option<String>,
    pid: Option<u32>,
    since: Option<Time>,
    /// When it came, and the number of the holder's token.
    joined: Revision,
}

impl InLine {
    fn of(candidate: &Candidate) -> Self {
        let record = candidate.record.as_ref();
        Self {
            who: candidate.name(),
            host: record.map(|record| record.host.clone()),
            pid: record.map(|record| record.pid),
            since: record.map(|record| record.since.into()),
            joined: candidate.joined,
        }
    }
}

impl LockList {
    /// Of a plan.
    #[must_use]
    pub fn new(plan: &PlanName, listed: &List<LockView>) -> Self {
        let locks = listed.iter().filter_map(|view| {
            let (holder, waiting) = view.line.candidates().split_first()?;
            Some(LockShown {
                lock: view.lock.to_string(),
                holder: InLine::of(holder),
                waiting: waiting.iter().map(InLine::of).collect(),
            })
        });
        let unreadable = views(&listed.unreadable);
        Self { plan: plan.clone(), locks: locks.collect(), unreadable }
    }
}

impl Document for LockList {
    const SCHEMA: Option<&'static str> = Some("planlease.locks.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        super::each_readable("planlease.lock.v1", &self.locks, &self.unreadable)
    }

    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["LOCK", "HELD BY", "ON", "SINCE", "WAITING"]);
        for one in &self.locks {
            let holder = &one.holder;
            let on = holder.host.as_ref().map_or_else(|| "-".to_owned(), Clone::clone);
            table.row([
                Cell::text(&one.lock),
                Cell::text(&holder.who),
                Cell::text(on),
                Cell::text(holder.since.as_ref().map_or_else(|| "-".to_owned(), |since| since.age(now))),
                Cell::text(one.waiting.len().to_string()),
            ]);
        }
        table.render("no locks in the plan")
    }
}
