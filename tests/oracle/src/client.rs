//! A client that keeps a journal: the library's calls, each entered before it is made and completed by its
//! answer.

use planlease::{Authority, Coordinator, Error, Outcome, Ownership, PlanView, Refused, TaskView};
use planlease_core::{PlanName, TaskId, transition::Change};

use crate::journal::{Journal, Reply, What};

/// A client that records its calls.
#[derive(Clone, Debug)]
pub struct Client {
    name: String,
    journal: Journal,
}

impl Client {
    /// A client of this name.
    #[must_use]
    pub fn new(name: impl Into<String>, journal: Journal) -> Self {
        Self { name: name.into(), journal }
    }

    /// [`Authority::update`].
    ///
    /// # Errors
    /// The library's.
    pub async fn update(
        &self,
        authority: &Authority,
        seen: &TaskView,
        attempt: Option<u32>,
        change: &Change,
    ) -> Result<Outcome, Error> {
        let entered = self.write(authority, &seen.id, seen);
        let answer = match attempt {
            Some(attempt) => authority.update_attempt(seen, attempt, change).await,
            None => authority.update(seen, change).await,
        };
        entered.reported(reported(&answer));
        answer
    }

    /// [`Authority::start`].
    ///
    /// # Errors
    /// The library's.
    pub async fn start(
        &self,
        authority: &Authority,
        plan: &PlanView,
        task: &TaskId,
    ) -> Result<Outcome, Error> {
        let Some(seen) = plan.tasks().get(task) else { return authority.start(plan, task).await };
        let entered = self.write(authority, task, seen);
        let answer = authority.start(plan, task).await;
        entered.reported(reported(&answer));
        answer
    }

    /// [`Authority::modify`]; a decision to change nothing is a read.
    ///
    /// # Errors
    /// The library's.
    pub async fn modify(
        &self,
        authority: &Authority,
        task: &TaskId,
        mut decide: impl FnMut(&planlease_core::record::TaskRecord) -> Option<Change>,
    ) -> Result<Outcome, Error> {
        let writer = authority.writer().clone();
        let what = What::Write { task: task.clone(), writer, seen: None };
        let entered = self.journal.call(&self.name, authority.plan(), what);
        let mut changed = false;
        let answer = authority
            .modify(task, |record| {
                let change = decide(record);
                changed = change.is_some();
                change
            })
            .await;
        entered.reported(match &answer {
            Ok(Outcome::Committed(view)) if !changed => Reply::Record(Some(view.revision)),
            answer => reported(answer),
        });
        answer
    }

    /// [`Authority::update_all`].
    ///
    /// # Errors
    /// The library's.
    pub async fn update_all(
        &self,
        authority: &Authority,
        updates: &[(TaskView, Change)],
    ) -> Result<Vec<Outcome>, Error> {
        let entered: Vec<_> = updates.iter().map(|(seen, _)| self.write(authority, &seen.id, seen)).collect();
        match authority.update_all(updates).await {
            Ok(outcomes) => {
                for (entered, outcome) in entered.into_iter().zip(&outcomes) {
                    entered.reported(answered(outcome));
                }
                Ok(outcomes)
            }
            // What was done before the error stays done, and is not reported: the calls stay open.
            Err(error) => Err(error),
        }
    }

    /// [`Ownership::recover`].
    ///
    /// # Errors
    /// The library's.
    pub async fn recover(&self, ownership: &Ownership) -> Result<(Vec<TaskView>, PlanView), Error> {
        let what = What::Recover(ownership.authority().writer().clone());
        let entered = self.journal.call(&self.name, ownership.plan(), what);
        let recovered = ownership.recover().await;
        entered.reported(Reply::Done);
        recovered
    }

    /// [`Coordinator::task`].
    ///
    /// # Errors
    /// The library's.
    pub async fn task(
        &self,
        coordinator: &Coordinator,
        plan: &PlanName,
        task: &TaskId,
    ) -> Result<Option<TaskView>, Error> {
        let entered = self.journal.call(&self.name, plan, What::Read(task.clone()));
        let read = coordinator.task(plan, task).await;
        entered.reported(match &read {
            Ok(read) => Reply::Record(read.as_ref().map(|view| view.revision)),
            Err(_) => Reply::Done,
        });
        read
    }

    /// [`Coordinator::plan`].
    ///
    /// # Errors
    /// The library's.
    pub async fn plan(&self, coordinator: &Coordinator, plan: &PlanName) -> Result<PlanView, Error> {
        let entered = self.journal.call(&self.name, plan, What::ReadPlan);
        let view = coordinator.plan(plan).await;
        entered.reported(match &view {
            Ok(view) => {
                let records = view.tasks().iter().map(|(id, task)| (id.clone(), task.revision)).collect();
                Reply::Plan(view.revision(), records)
            }
            Err(_) => Reply::Done,
        });
        view
    }

    fn write(&self, authority: &Authority, task: &TaskId, seen: &TaskView) -> crate::journal::Entered {
        let writer = authority.writer().clone();
        let what = What::Write { task: task.clone(), writer, seen: Some(seen.revision) };
        self.journal.call(&self.name, authority.plan(), what)
    }
}

/// What an update's answer says. An error of the library is a proof that nothing was done.
fn reported(answer: &Result<Outcome, Error>) -> Reply {
    match answer {
        Ok(outcome) => answered(outcome),
        Err(error) => Reply::Refused(error.to_string(), None),
    }
}

fn answered(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Committed(view) => Reply::Committed(view.record.op_id, view.revision),
        Outcome::Unknown { op_id, .. } => Reply::Unknown(*op_id),
        Outcome::Refused(refused) => match refused {
            Refused::Conflict(present) => Reply::Refused("conflict".to_owned(), Some(present.revision)),
            // Decided from the record that the caller saw, before anything was asked.
            other => Reply::Refused(format!("{other:?}"), None),
        },
    }
}
