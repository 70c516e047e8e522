//! What is counted, and the line of progress.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use planlease::{Error, Outcome, Refused};

use crate::world::{Crew, Phase, World};

/// How often a line of progress is printed.
const EVERY: Duration = Duration::from_secs(10);

/// Counts by kind and outcome.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    counts: Mutex<BTreeMap<&'static str, BTreeMap<String, u64>>>,
    violations: Mutex<Vec<String>>,
}

impl Figures {
    pub(crate) fn count(&self, kind: &'static str, outcome: impl Into<String>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default().entry(outcome.into()).or_default() += 1;
    }

    pub(crate) fn counted(&self) -> BTreeMap<&'static str, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sum(&self, of: impl Fn(&str) -> bool) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().filter(|(kind, _)| of(kind)).flat_map(|(_, outcomes)| outcomes.values()).sum()
    }

    /// Something that must not be, seen while the soak runs.
    pub(crate) fn violation(&self, text: String) {
        eprintln!("VIOLATION: {text}");
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The outcome of an update of a task.
    pub(crate) fn update(&self, kind: &'static str, answer: &Result<Outcome, Error>) {
        self.count(
            kind,
            match answer {
                Ok(Outcome::Committed(_)) => "committed",
                Ok(Outcome::Unknown { .. }) => "unknown",
                Ok(Outcome::Refused(refused)) => match refused {
                    Refused::Conflict(_) => "refused: conflict",
                    Refused::NotAllowed(..) => "refused: not allowed",
                    Refused::AuthorityLost(_) => "refused: authority lost",
                    Refused::Dependency => "refused: dependency",
                    Refused::NoSuchTask => "refused: no such task",
                    _ => "refused",
                },
                Err(error) => return self.count(kind, failure(error)),
            },
        );
    }

    /// The outcome of anything else.
    pub(crate) fn answer<T>(&self, kind: &'static str, answer: &Result<T, Error>) {
        match answer {
            Ok(_) => self.count(kind, "done"),
            Err(error) => self.count(kind, failure(error)),
        }
    }
}

/// The kind of an error, as far as it is worth counting.
fn failure(error: &Error) -> &'static str {
    match error {
        Error::OutcomeUnknown(_) => "unknown",
        Error::Unreachable(_) => "unreachable",
        Error::AuthorityLost(_) => "authority lost",
        Error::PlanNotFound(_) => "no such plan",
        Error::PlanExists(_) => "plan exists",
        Error::ImportUnderWay { .. } => "import under way",
        Error::PlanOwned { .. } => "plan owned",
        Error::NotOwned(_) => "not owned",
        Error::OtherOwner { .. } => "other owner",
        Error::HeldLocally(_) => "held locally",
        Error::HandOver(_) => "no waiter to hand over to",
        Error::TimedOut(_) => "timed out",
        Error::Compacted => "compacted",
        Error::TaskNotFound { .. } => "no such task",
        _ => "other error",
    }
}

pub(crate) fn start(world: &World, crew: &mut Crew) {
    crew.join("the line of progress", report(world.clone()));
}

async fn report(world: World) {
    while world.phase() < Phase::Over {
        let figures = &world.figures;
        eprintln!(
            "{:>5} s  {:?}  revision {}, {} operations, {} faults, {} violations",
            world.now().as_secs(),
            world.phase(),
            world.history.recorded(),
            figures.sum(|kind| !kind.starts_with("fault")),
            figures.sum(|kind| kind.starts_with("fault")),
            figures.violations().len(),
        );
        world.pause(EVERY).await;
    }
}
