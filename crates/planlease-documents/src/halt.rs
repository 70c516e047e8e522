//! `plan pause`, `resume`, `cancel`, `archive`; and how a halt is shown elsewhere.

use planlease::{
    Halted,
    core::{
        PlanName, WallTime,
        record::{Halt, HaltRecord},
    },
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Document, Time, plain};

/// What keeps a plan from going on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HaltedBy {
    /// `paused`, `cancelled` or `archived`.
    pub how: Halt,
    pub by: String,
    pub at: Time,
    pub why: String,
}

impl HaltedBy {
    pub(crate) fn of(record: &HaltRecord) -> Self {
        let HaltRecord { how, by, at, why, .. } = record;
        Self { how: *how, by: by.clone(), at: (*at).into(), why: why.clone() }
    }

    /// `paused by me@host 3m ago: why`
    pub(crate) fn sentence(&self, now: WallTime) -> String {
        format!("{} by {} {} ago: {}", self.how, plain(&self.by), self.at.age(now), plain(&self.why))
    }
}

/// A pause, cancellation or archiving of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HaltShown {
    plan: PlanName,
    /// `paused`, `cancelled`, `archived` or `resumed`.
    now: &'static str,
    /// Whether this command did it.
    changed: bool,
    /// Who did it before, if it did not.
    before: Option<HaltedBy>,
}

impl HaltShown {
    /// What became of a pause, a cancellation or an archiving.
    #[must_use]
    pub fn new(plan: PlanName, how: Halt, halted: Halted) -> Self {
        let now = match how {
            Halt::Paused => "paused",
            Halt::Cancelled => "cancelled",
            Halt::Archived => "archived",
        };
        match halted {
            Halted::Done(_) => Self { plan, now, changed: true, before: None },
            Halted::Unchanged(record) => {
                Self { plan, now, changed: false, before: Some(HaltedBy::of(&record)) }
            }
        }
    }

    /// What became of a resumption.
    #[must_use]
    pub fn resumed(plan: PlanName, changed: bool) -> Self {
        Self { plan, now: "resumed", changed, before: None }
    }
}

impl Document for HaltShown {
    const SCHEMA: Option<&'static str> = Some("planlease.halt.v1");

    fn table(&self, now: WallTime) -> String {
        let Self { plan, now: state, .. } = self;
        match (self.changed, &self.before) {
            (true, _) => format!("{plan} is {state}"),
            (false, Some(before)) => format!("{plan} was {} already", before.sentence(now)),
            (false, None) => format!("{plan} was not halted; nothing was changed"),
        }
    }
}
