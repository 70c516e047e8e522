//! What clients called, which answers they got, and when.
//!
//! An entry is made *before* a request is sent and completed after it was answered. One that is never
//! completed stands for a client that died, or lost interest, while the request was under way: it got
//! no answer.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use planlease_core::{PlanName, Revision, TaskId, record::Writer};
use uuid::Uuid;

/// The time that all clients of one run share, from its beginning.
type Now = dyn Fn() -> Duration + Send + Sync;

/// The calls of all clients, with their answers. Cheap to clone; clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    now: Arc<Now>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who called.
    pub client: String,
    /// The plan that it was about.
    pub plan: PlanName,
    /// What was called.
    pub what: What,
    /// When it was called.
    pub began: Duration,
    /// When it was answered, and what the answer was; `None` if it never was.
    pub reported: Option<(Duration, Reply)>,
}

/// What was called.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A task was read.
    Read(TaskId),
    /// The plan was read, with all of its tasks.
    ReadPlan,
    /// A task was to be changed.
    Write {
        /// Which task.
        task: TaskId,
        /// By whom and under which authority.
        writer: Writer,
        /// The revision of the record that the change builds on, if the caller chose it.
        seen: Option<Revision>,
    },
    /// The owner recovered what its predecessor had left: any number of writes, of tasks that the caller does
    /// not know.
    Recover(Writer),
}

/// The answer to a caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The record, as it was written by this revision; `None` if there was none.
    Record(Option<Revision>),
    /// The plan as of this revision: its tasks, each with the revision that wrote its record.
    Plan(Revision, BTreeMap<TaskId, Revision>),
    /// The change was made, by this write at this revision.
    Committed(Uuid, Revision),
    /// The change was not made and never will be. If the answer brought the record as it was: the revision
    /// that wrote it.
    Refused(String, Option<Revision>),
    /// The outcome is unknown; this write would be it.
    Unknown(Uuid),
    /// The call came to its end; what it did is not part of the answer.
    Done,
}

/// A call that is under way. Dropped, it is one without an answer.
#[derive(Debug)]
#[must_use = "an answer has to be entered"]
pub struct Entered {
    journal: Journal,
    index: usize,
}

impl Journal {
    /// An empty journal, by the given clock, which must be the same for all that use it.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), calls: Arc::default() }
    }

    /// Enters a call that is about to be made.
    pub fn call(&self, client: &str, plan: &PlanName, what: What) -> Entered {
        let began = (self.now)();
        let call = Call { client: client.to_owned(), plan: plan.clone(), what, began, reported: None };
        let mut calls = self.lock();
        calls.push(call);
        Entered { journal: self.clone(), index: calls.len() - 1 }
    }

    /// All calls, in the order in which they were made.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("calls", &self.lock().len()).finish_non_exhaustive()
    }
}

impl Entered {
    /// Enters the answer to the caller.
    pub fn reported(self, reported: Reply) {
        let now = (self.journal.now)();
        self.journal.lock()[self.index].reported = Some((now, reported));
    }
}
