//! How an orchestrator came to its end: which plans are finished, and which could not be.

use planlease::Error;
use planlease_core::{PlanName, record::Halt};

use crate::report::Report;

/// How an orchestrator came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The plans in which nothing is left to be done, with whether all of their tasks were completed or
    /// skipped.
    pub finished: Vec<(PlanName, bool)>,
    /// The plans that were not finished, since the orchestrator was stopped.
    pub unfinished: Vec<PlanName>,
    /// The plans that could not be executed to their end, with the reason.
    pub dropped: Vec<(PlanName, Dropped)>,
}

/// Why a plan could not be executed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// It was cancelled or archived.
    Closed {
        /// How.
        how: Halt,
        /// By whom.
        by: String,
        /// Why.
        why: String,
    },
    /// It was deleted.
    Deleted,
    /// Its commands do not start on this host, for this reason.
    CannotStart(String),
    /// A record that is needed to own or execute it cannot be read, or written, for this reason.
    Unreadable(String),
    /// It is paused, or the whole fleet is, and this orchestrator ends when it is idle.
    Paused {
        /// Whether the fleet is paused, and not this plan alone.
        fleet: bool,
        /// By whom.
        by: String,
        /// Why.
        why: String,
    },
}

impl Dropped {
    /// For an error that says that there is nothing to execute any more.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::PlanNotFound(_) => Some(Self::Deleted),
            Error::PlanClosed { how, by, why, .. } => {
                Some(Self::Closed { how: *how, by: by.clone(), why: why.clone() })
            }
            _ => None,
        }
    }

    pub(super) fn report(&self, plan: PlanName) -> Report {
        match self.clone() {
            Self::Closed { how, by, why } => Report::Closed { plan, how, by, why },
            Self::Deleted => Report::Deleted(plan),
            Self::CannotStart(why) => Report::CannotStart { plan, why, again: None },
            Self::Unreadable(why) => Report::Unreadable(format!("{plan} is not executed: {why}")),
            Self::Paused { fleet: false, by, why } => Report::Paused { plan, why: Some((by, why)) },
            Self::Paused { fleet: true, by, why } => Report::FleetPaused(Some((by, why))),
        }
    }
}

impl Summary {
    /// Whether every task of every plan was completed or skipped.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.unfinished.is_empty()
            && self.dropped.is_empty()
            && self.finished.iter().all(|(_, success)| *success)
    }
}
