//! `plan pause`, `resume`, `cancel`, `archive`; and how a halt is shown elsewhere.

use planlease::{
    Halted,
    core::{
        PlanName,
        record::{Halt, HaltRecord},
    },
};
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use crate::time::Time;

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
}

/// A pause, cancellation or archiving of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HaltView {
    pub(crate) plan: PlanName,
    /// `paused`, `cancelled`, `archived` or `resumed`.
    pub(crate) now: &'static str,
    /// Whether this command did it.
    pub(crate) changed: bool,
    /// Who did it before, if it did not.
    pub(crate) before: Option<HaltedBy>,
}

impl HaltView {
    /// What became of a pause, a cancellation or an archiving.
    #[must_use]
    pub fn new(plan: PlanName, how: Halt, halted: Halted) -> Self {
        let now = word(how);
        match halted {
            Halted::Done(_) => Self { plan, now, changed: true, before: None },
            Halted::Unchanged(record) => {
                Self { plan, now, changed: false, before: Some(HaltedBy::of(&record)) }
            }
        }
    }

    /// A halt, or with `None` a resumption, that is planned or could not be made.
    #[must_use]
    pub fn of(plan: PlanName, how: Option<Halt>, changed: bool) -> Self {
        Self { plan, now: how.map_or("resumed", word), changed, before: None }
    }

    /// What became of a resumption.
    #[must_use]
    pub fn resumed(plan: PlanName, changed: bool) -> Self {
        Self { plan, now: "resumed", changed, before: None }
    }
}

/// The word for it.
fn word(how: Halt) -> &'static str {
    match how {
        Halt::Paused => "paused",
        Halt::Cancelled => "cancelled",
        Halt::Archived => "archived",
    }
}

impl Document for HaltView {
    const SCHEMA: Option<&'static str> = Some("planlease.halt.v1");
}
