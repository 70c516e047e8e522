//! What was done to plans as a whole: ownerships, imports, deletions, outputs. Each action is written down
//! before it is done and completed by its answer, and reconciled at the end with the history, as the
//! journal's calls on tasks are.

mod reconcile;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use planlease::{
    Error,
    core::{PlanName, TaskId, TermNumber},
};

pub(crate) use reconcile::{Reconciled, reconcile};

/// The time that all actors share.
type Now = dyn Fn() -> Duration + Send + Sync;

/// The operations that clients call, with their results. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Actions {
    now: Arc<Now>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    actions: Vec<Action>,
    /// When which revision was recorded already, in order.
    known: Vec<(Duration, i64)>,
    /// When an owner last believed in its ownership.
    beliefs: BTreeMap<(PlanName, TermNumber), Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) who: String,
    pub(crate) plan: PlanName,
    pub(crate) what: What,
    pub(crate) began: Duration,
    /// `None` if no client waited for the answer.
    pub(crate) reported: Option<(Duration, Reply)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Answered with the term.
    Acquire,
    Release(TermNumber),
    HandOver(TermNumber),
    /// The reason is unique.
    Force(String),
    /// The title is unique.
    Import(String),
    Delete,
    /// The text is unique.
    Output(TaskId, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done(Option<TermNumber>),
    /// And it never will be.
    Refused(String),
    Unknown(String),
}

impl Reply {
    /// What an answer of the library says.
    pub(crate) fn of<T>(answer: &Result<T, Error>, term: impl FnOnce(&T) -> Option<TermNumber>) -> Self {
        match answer {
            Ok(done) => Self::Done(term(done)),
            // A client that gives up waiting, or loses the session meanwhile, does not learn whether the last
            // request was carried out.
            Err(error @ (Error::OutcomeUnknown(_) | Error::TimedOut(_))) => Self::Unknown(error.to_string()),
            Err(error) if error.is_session_lost() => Self::Unknown(error.to_string()),
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}

/// An action that is under way.
#[must_use = "its answer has to be entered"]
pub(crate) struct Entered {
    actions: Actions,
    index: usize,
}

impl Entered {
    pub(crate) fn reported(self, reported: Reply) {
        let now = (self.actions.now)();
        self.actions.lock().actions[self.index].reported = Some((now, reported));
    }
}

impl Actions {
    pub(crate) fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), inner: Arc::default() }
    }

    pub(crate) fn enter(&self, who: &str, plan: &PlanName, what: What) -> Entered {
        let began = (self.now)();
        let mut inner = self.lock();
        inner.actions.push(Action { who: who.to_owned(), plan: plan.clone(), what, began, reported: None });
        Entered { index: inner.actions.len() - 1, actions: self.clone() }
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

    /// All actions, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().actions.iter().map(|action| format!("{:?} {action:?}", action.began)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
