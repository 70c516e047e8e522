//! Submitting an update: the one place that decides again after a conflict, that follows a change of owners
//! for an operator, and that has unknown outcomes resolved ([`super::resolve`]).
//!
//! All tries of one submission write the same `op_id`. At most one of them can succeed: each compares the
//! revision of the record that it was decided on.

use std::time::Duration;

use planlease_core::{
    PlanName, TaskId,
    reading::Reading,
    record::Role,
    term::Queue,
    transition::Change,
    view::{PlanView, TaskView},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    outcome::{Outcome, Refused},
    request::{OpId, UpdateRequest},
    resolve::RESOLVE_WITHIN,
};
use crate::{
    authority::Authority,
    coordinator::Coordinator,
    error::{AuthorityLoss, Error},
    retry::Backoff,
};

/// How often an update is decided again in all. With the pauses in between it takes 4 s at most.
const MAX_ROUNDS: u32 = 32;

/// The first and the longest pause before an update is decided again. A takeover takes about as long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// What a caller has read before it submits an update: then the first try needs no read. It may be out of
/// date. A refusal that was decided on it is decided again on what is present.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// The plan.
    Plan(&'a PlanView),
    /// The task alone: enough for every change but [`Change::Start`], and for every authority but an
    /// operator's.
    Task(&'a TaskView),
}

impl<'a> From<&'a PlanView> for Seen<'a> {
    fn from(plan: &'a PlanView) -> Self {
        Self::Plan(plan)
    }
}

impl<'a> From<&'a TaskView> for Seen<'a> {
    fn from(task: &'a TaskView) -> Self {
        Self::Task(task)
    }
}

impl Authority {
    /// Updates a task. One read and one transaction if nothing else happens at the same moment.
    ///
    /// - A start reads the task's excerpt first: the dependencies must be done, the plan not halted, and no
    ///   more tasks in progress than may be (`max_in_progress`, for which the plan is read whole).
    /// - If the record changes in between, the change is decided again on the new one, at most 32 times; not
    ///   if the request [expects](UpdateRequest::expecting) a revision.
    /// - An operator's authority follows the plan: each try is guarded by the owner, or lack of one, that the
    ///   plan has then.
    /// - An unknown outcome is looked for in the record and its history for up to two seconds in all. If the
    ///   record is as it was and the authority is lost for good, the update is refused: it can never come. A
    ///   request with an id ([`UpdateRequest::identified`]) can be submitted again after that.
    /// - A result (complete, fail) that is refused because its attempt or the authority is over is kept for
    ///   people to see: [`Coordinator::late_results`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{AcquireOptions, Change, Outcome, Refused, TaskId, UpdateRequest};
    ///
    /// let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    /// let authority = ownership.authority();
    /// let task = TaskId::new("1")?;
    /// let started = authority.submit(&UpdateRequest::new(task.clone(), Change::Start)).await?;
    /// let Outcome::Committed(started) = started else { return Err("not started".into()) };
    ///
    /// let done = Change::Complete(Some("tagged v1.4".to_owned()));
    /// let request = UpdateRequest::new(task, done).of_attempt(started.record.attempt);
    /// match authority.submit(&request).await? {
    ///     Outcome::Committed(task) => println!("committed at revision {}", task.revision),
    ///     Outcome::Refused(Refused::AuthorityLost(why)) => println!("another process owns the plan: {why}"),
    ///     Outcome::Refused(refused) => println!("refused: {refused:?}"),
    ///     Outcome::Unknown { op_id, reason } => println!("look for {op_id} later: {reason}"),
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], [`Error::TaskNotFound`], [`Error::PlanOwned`] if the plan changes its owner
    /// all the time, and what proves that nothing was done: [`Error::Unreachable`],
    /// [`Error::PermissionDenied`], …. A lost answer is not an error but [`Outcome::Unknown`], and a lost
    /// authority is [`Refused::AuthorityLost`].
    ///
    /// # Cancel safety
    /// A dropped future leaves the outcome unknown.
    pub async fn submit(&self, request: &UpdateRequest) -> Result<Outcome, Error> {
        Submission::new(self, request).run(None).await
    }

    /// As [`Authority::submit`], with what the caller has read already: one transaction, and no read, if that
    /// is still present.
    ///
    /// # Errors
    /// As [`Authority::submit`].
    ///
    /// # Cancel safety
    /// As [`Authority::submit`].
    pub async fn submit_on<'a>(
        &self,
        seen: impl Into<Seen<'a>>,
        request: &UpdateRequest,
    ) -> Result<Outcome, Error> {
        Submission::new(self, request).run(Some(seen.into())).await
    }

    /// The record that this very request has written already, if it has an id. Without an expected revision
    /// only the present record is looked at: it is not known how far to look back. One read, and one more for
    /// each record written since.
    ///
    /// # Errors
    /// As [`PlanHistory::find_update`](crate::PlanHistory::find_update).
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn carried_out(&self, request: &UpdateRequest) -> Result<Option<TaskView>, Error> {
        if request.op_id.is_none() {
            return Ok(None);
        }
        match self.coordinator().task(self.plan(), &request.task).await? {
            Some(present) => carried_out(self.coordinator(), self.plan(), request, &present).await,
            None => Ok(None),
        }
    }
}

/// The same, with the present record.
pub(super) async fn carried_out(
    coordinator: &Coordinator,
    plan: &PlanName,
    request: &UpdateRequest,
    present: &TaskView,
) -> Result<Option<TaskView>, Error> {
    let base = match (request.op_id, request.expect) {
        (None, _) => return Ok(None),
        (Some(_), Some(base)) if base >= present.revision => return Ok(None),
        (Some(_), Some(base)) => {
            let op_id = request.op_id_on(plan, base).unwrap_or_default();
            return coordinator.history(plan).find_update(&request.task, base, op_id).await;
        }
        (Some(OpId::Write(_)), None) => Some(present.revision),
        (Some(OpId::Key(_)), None) => match coordinator.history(plan).record_before(present).await {
            Ok(before) => before.map(|before| before.revision),
            Err(Error::Compacted) => None,
            Err(error) => return Err(error),
        },
    };
    let ours = base.is_some_and(|base| request.op_id_on(plan, base) == Some(present.record.op_id));
    Ok(ours.then(|| present.clone()))
}

/// One submission of an update.
struct Submission<'a> {
    authority: &'a Authority,
    request: &'a UpdateRequest,
    /// The id of the write, if the caller has not chosen one.
    own_id: Uuid,
    /// The id of the last try.
    op_id: Uuid,
    rounds: u32,
    pauses: Backoff,
    /// How long unknown outcomes are still looked for.
    patience: Duration,
    /// The plan, if it had to be read whole because its excerpts are missing.
    without_excerpts: Option<PlanView>,
}

/// What a try is decided on.
#[derive(Clone, Copy)]
struct Basis<'s> {
    task: &'s TaskView,
    /// For an operator's: who owns the plan.
    queue: Option<&'s Queue>,
    /// For a start: the plan, or as much of it as concerns the task.
    plan: Option<&'s PlanView>,
}

impl<'s> Basis<'s> {
    fn of_plan(plan: &'s PlanView, task: &'s TaskView) -> Self {
        Self { task, queue: Some(plan.queue()), plan: Some(plan) }
    }

    fn of_task(task: &'s TaskView) -> Self {
        Self { task, queue: None, plan: None }
    }
}

/// What a try came to.
enum Tried {
    Done(Outcome),
    /// It may come out differently on what is present now: on this record, if it is known.
    Again(Outcome, Option<Box<TaskView>>),
}

impl<'a> Submission<'a> {
    fn new(authority: &'a Authority, request: &'a UpdateRequest) -> Self {
        let own_id = authority.coordinator().etcd().random().uuid();
        let pauses = Backoff::new(PAUSES.0, PAUSES.1, None);
        Self {
            authority,
            request,
            own_id,
            op_id: own_id,
            rounds: 0,
            pauses,
            patience: RESOLVE_WITHIN,
            without_excerpts: None,
        }
    }

    async fn run(mut self, seen: Option<Seen<'_>>) -> Result<Outcome, Error> {
        let first = match seen.and_then(|seen| self.basis(seen)) {
            Some(basis) => self.on_seen(basis).await?,
            None => None,
        };
        let mut tried = match first {
            Some(tried) => tried,
            None => self.on_present().await?,
        };
        loop {
            tried = match tried {
                Tried::Done(outcome) => return Ok(self.finish(outcome).await),
                Tried::Again(outcome, _) if !self.may_go_on().await => return Ok(self.finish(outcome).await),
                Tried::Again(_, Some(present)) if self.reading() == Reading::Task => {
                    self.on(Basis::of_task(&present)).await?
                }
                Tried::Again(..) => self.on_present().await?,
            };
        }
    }

    /// The part of what the caller has read that a try can be decided on.
    fn basis<'s>(&self, seen: Seen<'s>) -> Option<Basis<'s>> {
        let basis = match seen {
            Seen::Plan(plan) => Basis::of_plan(plan, plan.tasks().get(&self.request.task)?),
            Seen::Task(task) if task.id == self.request.task && self.reading() == Reading::Task => {
                Basis::of_task(task)
            }
            Seen::Task(_) => return None,
        };
        let expected = self.request.expect.is_none_or(|expected| expected == basis.task.revision);
        expected.then_some(basis)
    }

    /// What a try has to read.
    fn reading(&self) -> Reading {
        Reading::of(&self.request.change, self.authority.writer().role)
    }

    /// Whether there is another round; waits for it.
    async fn may_go_on(&mut self) -> bool {
        self.rounds += 1;
        if self.rounds >= MAX_ROUNDS {
            return false;
        }
        match self.pauses.next(self.authority.coordinator().etcd().random()) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            None => false,
        }
    }

    /// A try on what the caller has read. `None` if it was refused, and what was read may have been out of
    /// date.
    async fn on_seen(&mut self, basis: Basis<'_>) -> Result<Option<Tried>, Error> {
        let tried = match self.on(basis).await {
            Err(Error::PlanOwned { .. }) => return Ok(None),
            tried => tried?,
        };
        Ok(match tried {
            Tried::Done(Outcome::Refused(Refused::Conflict(_) | Refused::AuthorityLost(_))) => Some(tried),
            Tried::Done(Outcome::Refused(_)) => None,
            _ => Some(tried),
        })
    }

    /// A try on what is present. While a candidate takes the plan over, an operator's has to wait.
    async fn on_present(&mut self) -> Result<Tried, Error> {
        loop {
            match self.on_read().await {
                Err(Error::PlanOwned { .. }) if self.may_go_on().await => {}
                tried => return tried,
            }
        }
    }

    async fn on_read(&mut self) -> Result<Tried, Error> {
        let (coordinator, name) = (self.authority.coordinator(), self.authority.plan());
        match self.reading() {
            Reading::Excerpt => {
                let read = coordinator.read_excerpt(name, self.id()).await?;
                self.without_excerpts = read.without;
                let plan = read.excerpt.seen();
                self.on_new(Basis::of_plan(plan, read.excerpt.task())).await
            }
            Reading::Queue => {
                let (task, queue) = coordinator.task_and_queue(name, self.id()).await?;
                self.on_new(Basis { queue: Some(&queue), ..Basis::of_task(&task) }).await
            }
            Reading::Task => {
                let task = match coordinator.task(name, self.id()).await? {
                    Some(task) => task,
                    None => coordinator.task_and_queue(name, self.id()).await?.0, // Says what is missing.
                };
                self.on_new(Basis::of_task(&task)).await
            }
        }
    }

    /// A try on what was read just now.
    async fn on_new(&mut self, basis: Basis<'_>) -> Result<Tried, Error> {
        let (coordinator, name) = (self.authority.coordinator(), self.authority.plan());
        if let Some(done) = carried_out(coordinator, name, self.request, basis.task).await? {
            return Ok(Tried::Done(Outcome::Committed(done)));
        }
        if self.request.expect.is_some_and(|expected| expected != basis.task.revision) {
            return Ok(Tried::Done(Outcome::Refused(Refused::Conflict(Box::new(basis.task.clone())))));
        }
        self.on(basis).await
    }

    fn id(&self) -> &TaskId {
        &self.request.task
    }

    /// One try.
    async fn on(&mut self, Basis { task, queue, plan }: Basis<'_>) -> Result<Tried, Error> {
        let op_id = self.request.op_id_on(self.authority.plan(), task.revision).unwrap_or(self.own_id);
        let is_operator = self.authority.writer().role == Role::Operator;
        let authority = match queue.filter(|_| is_operator) {
            Some(queue) => self.authority.renewed(queue)?,
            None => self.authority.clone(),
        };
        let authority = authority.identified(op_id);
        self.op_id = op_id;
        let UpdateRequest { change, attempt, spent, .. } = self.request;
        let outcome = match (change, plan) {
            (Change::Start, Some(plan)) => authority.start(plan, &task.id).await?,
            (change, _) => authority.update_with(&task.measured(*spent), *attempt, change, &[]).await?,
        };
        let outcome = match outcome {
            Outcome::Unknown { op_id, reason } => {
                let began = Instant::now();
                let outcome = authority.resolve(task, op_id, reason, self.patience).await;
                self.patience = self.patience.saturating_sub(began.elapsed());
                outcome
            }
            outcome => outcome,
        };
        self.judge(plan, task, op_id, outcome).await
    }

    /// Whether the outcome is the answer, or another try can come out differently and means the same.
    async fn judge(
        &self,
        plan: Option<&PlanView>,
        task: &TaskView,
        op_id: Uuid,
        outcome: Outcome,
    ) -> Result<Tried, Error> {
        let present = match outcome {
            Outcome::Refused(Refused::Conflict(present)) => present,
            Outcome::Refused(Refused::AuthorityLost(AuthorityLoss::OwnerChanged(_))) => {
                return Ok(Tried::Again(outcome, None));
            }
            // Not as the plan was seen: it changed at the same moment.
            Outcome::Refused(Refused::Dependency)
                if plan.is_some_and(|plan| plan.blockers(&task.id).next().is_none()) =>
            {
                return Ok(Tried::Again(outcome, None));
            }
            outcome => return Ok(Tried::Done(outcome)),
        };
        // The request may have been submitted before, and what it wrote may have been written over since.
        if self.request.op_id.is_some() {
            let (coordinator, plan) = (self.authority.coordinator(), self.authority.plan());
            if let Some(done) = coordinator.history(plan).find_update(&task.id, task.revision, op_id).await? {
                return Ok(Tried::Done(Outcome::Committed(done)));
            }
        }
        let outcome = Outcome::Refused(Refused::Conflict(present.clone()));
        Ok(match self.request.expect {
            Some(_) => Tried::Done(outcome),
            // A person has decided about what was there before.
            None if self.request.change.is_decision() => Tried::Done(outcome),
            None => Tried::Again(outcome, Some(present)),
        })
    }

    /// Keeps a result that came too late.
    async fn finish(&self, outcome: Outcome) -> Outcome {
        let authority = self.authority.clone().identified(self.op_id);
        authority.keep_if_late(self.id(), self.request.attempt, &self.request.change, &outcome).await;
        if let Some(plan) = &self.without_excerpts {
            authority.coordinator().write_excerpts(plan.name(), plan.spec(), plan.defined()).await;
        }
        outcome
    }
}
