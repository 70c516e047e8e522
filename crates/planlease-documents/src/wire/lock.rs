//! `locks`: who has which lock of a plan, or of the namespace, and who waits.

use planlease::{
    List, LockView,
    core::{PlanName, Revision, term::Candidate},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// The locks of a plan, or of the namespace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LockList {
    /// The plan; absent for the locks of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<PlanName>,
    pub(crate) locks: Vec<LockQueueView>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LockQueueView {
    pub(crate) lock: String,
    /// How many can have it at a time. Absent if one can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permits: Option<u32>,
    pub(crate) holder: InLine,
    /// Those that have it besides, in the order in which they came. Absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) more_holders: Vec<InLine>,
    pub(crate) waiting: Vec<InLine>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InLine {
    /// The orchestrator, or the lease of an unmanaged candidate.
    pub(crate) who: String,
    pub(crate) host: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) since: Option<Time>,
    /// When it came, and the number of the holder's token.
    pub(crate) joined: Revision,
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
        Self { plan: Some(plan.clone()), ..Self::global(listed) }
    }

    /// Of the namespace.
    #[must_use]
    pub fn global(listed: &List<LockView>) -> Self {
        let locks = listed.iter().filter_map(|view| {
            let (holders, waiting) = view.queue.holders_and_waiters();
            let (holder, more) = holders.split_first()?;
            let permits = holder.record.as_ref().and_then(|record| record.permits);
            Some(LockQueueView {
                lock: view.lock.to_string(),
                permits,
                holder: InLine::of(holder),
                more_holders: more.iter().map(InLine::of).collect(),
                waiting: waiting.iter().map(InLine::of).collect(),
            })
        });
        Self { plan: None, locks: locks.collect(), unreadable: views(&listed.unreadable) }
    }
}

impl Document for LockList {
    const SCHEMA: Option<&'static str> = Some("planlease.locks.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.lock.v1", &self.locks, &self.unreadable)
    }
}
