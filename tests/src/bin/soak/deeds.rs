//! What was done to plans as a whole: ownerships, imports, deletions, outputs. Each deed is written down
//! before it is done and completed by its answer, and settled at the end against the history, as the
//! journal's calls on tasks are.

mod settle;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use planlease::{
    Error,
    core::{PlanName, TaskId, TermNumber},
};

pub(crate) use settle::{Settled, settle};

/// The time that everybody shares.
type Now = dyn Fn() -> Duration + Send + Sync;

/// The operations that clients call, with their results. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Deeds {
    now: Arc<Now>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    deeds: Vec<Deed>,
    /// When which revision was recorded already, in order.
    known: Vec<(Duration, i64)>,
    /// When an owner last believed in its ownership.
    beliefs: BTreeMap<(PlanName, TermNumber), Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) who: String,
    pub(crate) plan: PlanName,
    pub(crate) what: What,
    pub(crate) began: Duration,
    /// `None` if nobody waited for the answer.
    pub(crate) told: Option<(Duration, Told)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Answered with the term.
    Acquire,
    Release(TermNumber),
    HandOver(TermNumber),
    /// The reason tells it from others.
    Force(String),
    /// The title tells it from others.
    Import(String),
    Delete,
    /// The text tells it from others.
    Output(TaskId, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done(Option<TermNumber>),
    /// And it never will be.
    Refused(String),
    Unknown(String),
}

impl Told {
    /// What an answer of the library says.
    pub(crate) fn of<T>(answer: &Result<T, Error>, term: impl FnOnce(&T) -> Option<TermNumber>) -> Self {
        match answer {
            Ok(done) => Self::Done(term(done)),
            // Who gives up waiting, or loses the session meanwhile, is not told whether the last request was
            // carried out.
            Err(error @ (Error::OutcomeUnknown(_) | Error::TimedOut(_) | Error::SessionLost(_))) => {
                Self::Unknown(error.to_string())
            }
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}

/// A deed that is under way.
#[must_use = "its answer has to be entered"]
pub(crate) struct Entered {
    deeds: Deeds,
    index: usize,
}

impl Entered {
    pub(crate) fn told(self, told: Told) {
        let now = (self.deeds.now)();
        self.deeds.lock().deeds[self.index].told = Some((now, told));
    }
}

impl Deeds {
    pub(crate) fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), inner: Arc::default() }
    }

    pub(crate) fn enter(&self, who: &str, plan: &PlanName, what: What) -> Entered {
        let began = (self.now)();
        let mut inner = self.lock();
        inner.deeds.push(Deed { who: who.to_owned(), plan: plan.clone(), what, began, told: None });
        Entered { index: inner.deeds.len() - 1, deeds: self.clone() }
    }

    /// The history is known up to this revision by now.
    pub(crate) fn known(&self, revision: i64) {
        let now = (self.now)();
        self.lock().known.push((now, revision));
    }

    /// An owner believed in its ownership at this time, or later.
    pub(crate) fn believed(&self, plan: &PlanName, term: TermNumber, at: Duration) {
        self.lock().beliefs.insert((plan.clone(), term), at);
    }

    /// All deeds, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().deeds.iter().map(|deed| format!("{:?} {deed:?}", deed.began)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
