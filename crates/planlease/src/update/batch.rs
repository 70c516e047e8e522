//! Several updates of one plan at once: each by itself, or all or nothing in one transaction.
//!
//! Here a batch is decided, and decided again when something moved; [`super::together`] carries it out.

use std::time::Duration;

use futures_util::future;
use planlease_core::{
    TaskId,
    record::{Role, TaskRecord},
    transition::{self, Change, Write},
    view::{PlanView, TaskView},
};
use uuid::Uuid;

use super::{
    execute::hindrance,
    outcome::{BatchOutcome, Outcome, Refused},
    request::UpdateRequest,
    submit,
    together::Step,
};
use crate::{
    authority::Authority,
    error::{AuthorityLoss, Error},
    retry::Backoff,
};

/// The most tasks that one all-or-nothing batch changes: with the guard they fit into one transaction of etcd
/// (128 conditions and operations).
pub const MAX_BATCH: usize = 100;

/// How many updates of one call are under way at a time, if each is carried out by itself.
const MAX_AT_ONCE: usize = 256;

/// How often a batch is decided again in all.
const MAX_ROUNDS: u32 = 32;

/// The first and the longest pause before it is decided again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// What a round came to.
enum Round {
    Done(BatchOutcome),
    /// It may come out differently on what is present now.
    Again(BatchOutcome),
}

impl Authority {
    /// Updates several tasks, each by itself: in as few requests as possible, at most 256 under way at a
    /// time. The results are in the order of the requests.
    ///
    /// `plan`: as the caller has read it just now; a task that changed since is read again.
    ///
    /// # Errors
    /// For each request as [`Authority::submit`]; one that fails does not stop the others.
    ///
    /// # Cancel safety
    /// As [`Authority::submit`], for each by itself.
    pub async fn submit_all(
        &self,
        plan: &PlanView,
        requests: &[UpdateRequest],
    ) -> Vec<Result<Outcome, Error>> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for some in requests.chunks(MAX_AT_ONCE) {
            outcomes
                .extend(future::join_all(some.iter().map(|one| self.submit_one_of_many(plan, one))).await);
        }
        outcomes
    }

    async fn submit_one_of_many(&self, plan: &PlanView, request: &UpdateRequest) -> Result<Outcome, Error> {
        match request.op_id {
            Some(_) => self.submit(request).await, // It may have been carried out before: the record is read.
            None => self.submit_on(plan, request).await,
        }
    }

    /// Updates several tasks of the plan, all or nothing: one read and one transaction, if nothing else
    /// happens at the same moment.
    ///
    /// - At most [`MAX_BATCH`] tasks, each once, and at most 1 MiB of records: [`Error::BatchTooLarge`]
    ///   otherwise, before anything is sent.
    /// - A start cannot be part of it: a start compares what it depends on, which the same batch may change.
    ///   [`Authority::claim`] starts several tasks.
    /// - If a record changes in between, the batch is decided again, at most 32 times; not for a request that
    ///   [expects](UpdateRequest::expecting) a revision. An operator's authority follows the plan.
    /// - An unknown outcome is looked for in the records and their history for up to two seconds.
    /// - Requests with ids ([`UpdateRequest::identified`], [`UpdateRequest::idempotent`]) can be submitted
    ///   again, all of them together.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::{BatchOutcome, Change, TaskId, UpdateRequest};
    ///
    /// let authority = coordinator.as_operator(&plan, "anna");
    /// let skip = Change::Skip("not needed".to_owned());
    /// match authority.submit_atomic(&[UpdateRequest::new(TaskId::new("1")?, skip)]).await? {
    ///     BatchOutcome::Committed(tasks) => println!("all of them, at revision {}", tasks[0].revision),
    ///     BatchOutcome::Refused(tasks) => println!("none of them, because of {tasks:?}"),
    ///     BatchOutcome::Unknown { op_id, reason } => println!("look for {op_id} later: {reason}"),
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::BatchTooLarge`], [`Error::BatchNotPossible`], and as [`Authority::submit`].
    ///
    /// # Cancel safety
    /// A dropped future leaves it unknown whether all or nothing was carried out.
    pub async fn submit_atomic(&self, requests: &[UpdateRequest]) -> Result<BatchOutcome, Error> {
        check(requests)?;
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1, None);
        // All rounds write the same ids, so that each finds out whether one before it was carried out.
        let ids: Vec<Uuid> = requests.iter().map(|_| self.coordinator().etcd().random().uuid()).collect();
        let mut rounds = 0;
        loop {
            let round = match self.round(requests, &ids).await {
                // A candidate is about to take the plan over; an operator waits for that.
                Err(Error::PlanOwned { .. }) if rounds + 1 < MAX_ROUNDS => None,
                round => Some(round?),
            };
            rounds += 1;
            match round {
                Some(Round::Done(outcome)) => return Ok(self.finish_batch(requests, outcome).await),
                Some(Round::Again(outcome)) if rounds >= MAX_ROUNDS => {
                    return Ok(self.finish_batch(requests, outcome).await);
                }
                _ => {}
            }
            if let Some(pause) = pauses.next(self.coordinator().etcd().random()) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// What a request would write over the task as the plan was seen, without writing anything: for dry runs.
    /// The guard is not looked at: whether it holds is known only when it is compared.
    ///
    /// # Errors
    /// [`Refused`] as it would be.
    pub fn preview(&self, plan: &PlanView, request: &UpdateRequest) -> Result<TaskRecord, Refused> {
        let seen = plan.tasks().get(&request.task).ok_or(Refused::NoSuchTask)?;
        if request.change == Change::Start
            && let Some(refused) = hindrance(plan, &request.task)
        {
            return Err(refused);
        }
        self.next_record(seen, request, Uuid::nil())
    }

    /// The same of an all-or-nothing batch, in the order of its requests: one that would be refused keeps all
    /// others from being carried out.
    ///
    /// # Errors
    /// What no batch can do, as [`Authority::submit_atomic`].
    pub fn preview_atomic(
        &self,
        plan: &PlanView,
        requests: &[UpdateRequest],
    ) -> Result<Vec<Result<TaskRecord, Refused>>, Error> {
        check(requests)?;
        Ok(requests.iter().map(|request| self.preview(plan, request)).collect())
    }

    fn next_record(
        &self,
        seen: &TaskView,
        request: &UpdateRequest,
        op_id: Uuid,
    ) -> Result<TaskRecord, Refused> {
        if request.expect.is_some_and(|expected| expected != seen.revision) {
            return Err(Refused::Conflict(Box::new(seen.clone())));
        }
        let write = Write {
            writer: self.writer().clone(),
            attempt: request.attempt,
            at: self.coordinator().clock().wall(),
            op_id,
        };
        transition::apply(&seen.measured(request.spent).record, &request.change, &write)
            .map_err(|refusal| Refused::NotAllowed(refusal, Box::new(seen.clone())))
    }

    /// One read, one decision, one transaction.
    async fn round(&self, requests: &[UpdateRequest], ids: &[Uuid]) -> Result<Round, Error> {
        if let Err(Error::AuthorityLost(loss)) = self.ensure_live() {
            return Ok(Round::Done(all_refused(requests, &loss)));
        }
        let plan = self.coordinator().plan(self.plan()).await?;
        if let Some(done) = self.carried_out_before(&plan, requests).await? {
            return Ok(Round::Done(BatchOutcome::Committed(done)));
        }
        let authority = match self.writer().role {
            Role::Operator => self.renewed(plan.queue())?,
            Role::Owner | Role::Worker => self.clone(),
        };
        let (mut steps, mut refused) = (Vec::with_capacity(requests.len()), Vec::new());
        for (request, own) in requests.iter().zip(ids) {
            let seen = plan.task(&request.task)?;
            let op_id = request.op_id_on(self.plan(), seen.revision).unwrap_or(*own);
            match authority.next_record(seen, request, op_id) {
                Ok(next) => steps.push(Step { seen, change: &request.change, next }),
                Err(why) => refused.push((request.task.clone(), why)),
            }
        }
        if !refused.is_empty() {
            return Ok(Round::Done(BatchOutcome::Refused(refused)));
        }
        let expects = requests.iter().any(|request| request.expect.is_some() || request.change.is_decision());
        let outcome = authority.send_batch(&steps).await?;
        Ok(match outcome {
            BatchOutcome::Refused(refused) if may_differ(&refused, expects) => {
                Round::Again(BatchOutcome::Refused(refused))
            }
            outcome => Round::Done(outcome),
        })
    }

    /// Keeps the results that came too late.
    async fn finish_batch(&self, requests: &[UpdateRequest], outcome: BatchOutcome) -> BatchOutcome {
        if let BatchOutcome::Refused(refused) = &outcome {
            let each = refused.iter().filter_map(|(task, why)| {
                let request = requests.iter().find(|request| request.task == *task)?;
                let outcome = Outcome::Refused(why.clone());
                Some(async move {
                    self.keep_if_late(task, request.attempt, &request.change, &outcome).await;
                })
            });
            future::join_all(each).await;
        }
        outcome
    }

    /// What an earlier submission of the same requests wrote, if all of them have ids and were carried out.
    async fn carried_out_before(
        &self,
        plan: &PlanView,
        requests: &[UpdateRequest],
    ) -> Result<Option<Vec<TaskView>>, Error> {
        if requests.iter().any(|request| request.op_id.is_none()) {
            return Ok(None);
        }
        let mut done = Vec::with_capacity(requests.len());
        for request in requests {
            let present = plan.task(&request.task)?;
            match submit::carried_out(self.coordinator(), self.plan(), request, present).await? {
                Some(view) => done.push(view),
                None => return Ok(None),
            }
        }
        Ok(Some(done))
    }
}

/// Refuses what no transaction can do, before anything is read.
fn check(requests: &[UpdateRequest]) -> Result<(), Error> {
    if requests.len() > MAX_BATCH {
        return Err(Error::BatchTooLarge { size: requests.len(), most: MAX_BATCH, unit: "tasks" });
    }
    if requests.is_empty() {
        return Err(Error::BatchNotPossible("it has no task".to_owned()));
    }
    for (at, request) in requests.iter().enumerate() {
        let task = &request.task;
        if requests[..at].iter().any(|before| before.task == *task) {
            return Err(Error::BatchNotPossible(format!("task {task} is in it twice")));
        }
        if request.change == Change::Start {
            return Err(Error::BatchNotPossible(format!(
                "it starts task {task}, and starts cannot be part of it"
            )));
        }
    }
    Ok(())
}

/// Whether a refused batch can come out differently when it is decided again.
fn may_differ(refused: &[(TaskId, Refused)], expects: bool) -> bool {
    refused.iter().all(|(_, why)| match why {
        Refused::Conflict(_) => !expects,
        Refused::AuthorityLost(AuthorityLoss::OwnerChanged(_)) => true,
        _ => false,
    })
}

fn all_refused(requests: &[UpdateRequest], loss: &AuthorityLoss) -> BatchOutcome {
    let each = requests.iter().map(|request| (request.task.clone(), Refused::AuthorityLost(loss.clone())));
    BatchOutcome::Refused(each.collect())
}
