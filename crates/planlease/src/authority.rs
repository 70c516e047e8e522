//! The right to write the tasks of one plan, and the writes.
//!
//! Every write names its right (a guard) and the revision that it saw, and etcd compares both in the
//! transaction that writes. There is no way to write a task record without an [`Authority`], and no way to
//! make one without a guard.

use std::{sync::Arc, time::Duration};

use futures_util::future;
use planlease_core::{
    FencingToken, LeaseId, OrchestratorId, PlanName, TaskId, TermNumber,
    change::Entry,
    codec,
    keys::{Key, PlanKey},
    late::Refuser,
    record::{FindingsRecord, Guard, HaltRecord, OutputRecord, Role, TaskRecord, Writer},
    transition::{self, Change, Write},
    view::{PlanView, TaskView},
};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, AuthorityGuard, Branch, Compare, Guarded, Op, Transaction},
    limit::CLAIM_LIMIT,
    session::Session,
    span,
};

/// How often a decision is repeated on a fresh record before it ends as a conflict.
const MAX_CONFLICTS: usize = 32;

/// How many of the updates of one call are under way at a time: enough to fill all requests that may be.
const MAX_AT_ONCE: usize = 512;

/// What became of an update. One of three; "probably" is not among them.
#[derive(Clone, Debug)]
#[must_use = "an update may have been refused"]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub enum Outcome {
    /// It was carried out, exactly once; this is the record now.
    Committed(TaskView),
    /// It was not carried out and never will be.
    Refused(Refused),
    /// etcd did not answer in time: it was carried out, or will be, or never. The record's `op_id` shows it
    /// later.
    Unknown {
        /// Identifies the write in the record and in the history.
        op_id: Uuid,
        /// What happened to the request.
        reason: String,
    },
}

/// Why an update was not carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// The record was changed since it was seen; this is it now.
    Conflict(Box<TaskView>),
    /// The transition table does not allow it; this is the record.
    NotAllowed(transition::Refusal, Box<TaskView>),
    /// The right is gone: the ownership, the registration, or the absence of an owner.
    RightGone,
    /// A task that it depends on was changed since it was seen, or is not done; or the plan was paused
    /// meanwhile.
    Dependency,
    /// The plan is paused, cancelled or archived: nothing is started.
    Halted(Box<HaltRecord>),
    /// As many of the plan's tasks are in progress as may be (`max_in_progress`).
    Full(u32),
    /// The plan has no such task, or is gone.
    NoSuchTask,
}

/// The right to write the tasks of one plan. See [`crate::Ownership::authority`], [`Delegation`],
/// [`Coordinator::worker`] and [`Coordinator::operator`].
#[derive(Clone, Debug)]
pub struct Authority {
    coordinator: Coordinator,
    plan: PlanName,
    writer: Writer,
    /// What stands for the right in etcd.
    right: Arc<AuthorityGuard>,
    /// The session that the right hangs on, if it is one of this process: looked at before anything is sent.
    session: Option<Session>,
    /// How long its claims stand, if no session keeps them.
    limit: Option<Duration>,
    /// The id of the write, if its caller has chosen one.
    op_id: Option<Uuid>,
}

/// An ownership's right as plain data, for another process of the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The plan.
    pub plan: PlanName,
    /// The owner.
    pub owner: OrchestratorId,
    /// The term.
    pub term: TermNumber,
    /// Its token.
    pub token: FencingToken,
    /// What every write under it compares.
    pub guard: Guard,
}

impl Coordinator {
    /// The authority that another process's ownership delegated to this process.
    #[must_use]
    pub fn delegated(&self, delegation: &Delegation) -> Authority {
        let writer = Writer {
            who: delegation.owner.to_string(),
            role: Role::Owner,
            term: Some(delegation.term),
            guard: delegation.guard.clone(),
        };
        Authority::new(self.clone(), delegation.plan.clone(), writer, None)
    }

    /// The authority of a worker: it claims tasks of a plan that another process owns, fenced by its
    /// registration.
    ///
    /// # Errors
    /// [`Error::SessionLost`] if the session is not registered or not alive.
    pub fn worker(&self, session: &Session, plan: &PlanName) -> Result<Authority, Error> {
        session.ensure_live()?;
        let registered = session.registered();
        let revision = registered.ok_or(Error::SessionLost(planlease_core::session::LossReason::Closed))?;
        let guard = Guard::Worker { orchestrator: session.id().clone(), revision };
        let writer = Writer { who: session.id().to_string(), role: Role::Worker, term: None, guard };
        Ok(Authority::new(self.clone(), plan.clone(), writer, Some(session.clone())))
    }

    /// The authority of an operator: it changes tasks that no process works on, while the plan keeps the
    /// owner, or the lack of an owner, that the view shows. Its claims end after [`CLAIM_LIMIT`]: see
    /// [`Authority::claims_for`].
    ///
    /// # Errors
    /// [`Error::PlanOwned`] while a candidate is about to take over: try again.
    pub fn operator(&self, plan: &PlanView, who: &str) -> Result<Authority, Error> {
        let guard = plan.line().guard().ok_or_else(|| Error::PlanOwned {
            plan: plan.name().clone(),
            by: plan
                .line()
                .candidates()
                .first()
                .map_or_else(String::new, planlease_core::term::Candidate::name),
        })?;
        let term = plan.line().owner().map(|(_, term)| term.number);
        let writer = Writer { who: who.to_owned(), role: Role::Operator, term, guard };
        let authority = Authority::new(self.clone(), plan.name().clone(), writer, None);
        Ok(Authority { limit: Some(CLAIM_LIMIT), ..authority })
    }
}

impl Authority {
    pub(crate) fn new(
        coordinator: Coordinator,
        plan: PlanName,
        writer: Writer,
        session: Option<Session>,
    ) -> Self {
        let layout = coordinator.layout();
        let right = match &writer.guard {
            Guard::Owner { lease, revision } => {
                AuthorityGuard::Key(layout.of(&plan, &PlanKey::Owner(*lease)), *revision)
            }
            Guard::Worker { orchestrator, revision } => {
                AuthorityGuard::Key(layout.key(&Key::Orchestrator(orchestrator.clone())), *revision)
            }
            // An import's is not made outside this crate; imports guard themselves.
            Guard::Unowned | Guard::Import => AuthorityGuard::Unowned(layout.queue(&plan)),
        };
        Self { coordinator, plan, writer, right: right.into(), session, limit: None, op_id: None }
    }

    /// The plan that it is good for.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        &self.plan
    }

    /// The store that it writes to.
    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// The writer that its records name.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The same right for *one* update, which carries this id: so that the caller can retry after a lost
    /// answer, and [`Coordinator::find_update`] finds out whether it was carried out. Two updates must not
    /// have the same.
    #[must_use]
    pub fn identified(self, op_id: Uuid) -> Self {
        Self { op_id: Some(op_id), ..self }
    }

    /// The same right with another time limit of its claims, counted from the claim or the last progress
    /// report: after it, each is lost, and the plan's owner or the next claimant takes the task. etcd
    /// measures the time. Within [`CLAIM_LIMITS`]; without effect on claims that a session keeps.
    ///
    /// [`CLAIM_LIMITS`]: crate::CLAIM_LIMITS
    #[must_use]
    pub fn claims_for(self, limit: Duration) -> Self {
        Self { limit: self.limit.map(|_| limit), ..self }
    }

    /// Changes a task if its record is still the one that was seen. One transaction. `attempt`: the attempt
    /// that the change is about; `None` for whichever is present. To start a task, the plan is read first:
    /// what it depends on has to be done. [`Authority::start`] saves that for callers that have the plan.
    ///
    /// A result (complete, fail) that is refused because its attempt or its right is over is kept, for people
    /// to see, if that takes no longer than two seconds: [`Coordinator::late_results`].
    ///
    /// # Errors
    /// [`Error::SessionLost`] if the session under the right is over (the update is not sent then), and what
    /// proves that nothing was done: [`Error::Unreachable`], [`Error::PermissionDenied`], …. A lost answer is
    /// not an error but [`Outcome::Unknown`].
    ///
    /// # Cancel safety
    /// A dropped future leaves the outcome unknown.
    pub async fn update(
        &self,
        seen: &TaskView,
        attempt: Option<u32>,
        change: &Change,
    ) -> Result<Outcome, Error> {
        if *change == Change::Start {
            return self.start_seen(seen).await;
        }
        let outcome = self.update_with(seen, attempt, change, &[]).await;
        let refuser = match &outcome {
            Ok(Outcome::Refused(Refused::RightGone)) | Err(Error::SessionLost(_)) => Refuser::RightGone,
            Ok(Outcome::Refused(Refused::NotAllowed(refusal, present))) => {
                Refuser::Table(refusal, &present.record)
            }
            _ => return outcome,
        };
        self.keep_late(&seen.id, change, &self.write(attempt), refuser).await;
        outcome
    }

    /// Starts a task whose record is still the one that was seen.
    async fn start_seen(&self, seen: &TaskView) -> Result<Outcome, Error> {
        let plan = self.coordinator.plan(&self.plan).await?;
        match plan.tasks().get(&seen.id) {
            Some(present) if present.revision != seen.revision => {
                Ok(Outcome::Refused(Refused::Conflict(Box::new(present.clone()))))
            }
            _ => self.start(&plan, &seen.id).await,
        }
    }

    /// Starts a task: claims it for the writer (also one whose claimant's time limit has passed), if it and
    /// all that it depends on are as the plan was seen, and done, and the plan is not halted, nor defined
    /// differently since. One transaction; in a plan that bounds how many are in progress at once, one read
    /// before it, and both again as long as its tasks change in between.
    ///
    /// # Errors
    /// As [`Authority::update`].
    pub async fn start(&self, plan: &PlanView, task: &TaskId) -> Result<Outcome, Error> {
        let freed = self.end_expired_claims(plan, |other| other == task).await?;
        let plan = freed.as_ref().unwrap_or(plan);
        let Some(seen) = plan.tasks().get(task) else { return Ok(Outcome::Refused(Refused::NoSuchTask)) };
        if let Some(refused) = hindrance(plan, task) {
            return Ok(Outcome::Refused(refused));
        }
        if plan.spec().policy.max_in_progress > 0 {
            return self.start_within_bounds(plan, task).await;
        }
        self.update_with(seen, None, &Change::Start, &self.requirements(plan, task)).await
    }

    /// Starts a task if there is room for one more: no task was changed since they were counted.
    async fn start_within_bounds(&self, plan: &PlanView, task: &TaskId) -> Result<Outcome, Error> {
        let asked = plan.tasks().get(task).map(|task| task.revision);
        let mut outcome = Outcome::Refused(Refused::NoSuchTask);
        for _ in 0..MAX_CONFLICTS {
            let plan = self.coordinator.plan(&self.plan).await?;
            let Some(seen) = plan.tasks().get(task) else { return Ok(outcome) };
            if Some(seen.revision) != asked {
                return Ok(Outcome::Refused(Refused::Conflict(Box::new(seen.clone()))));
            }
            if let Some(refused) = hindrance(&plan, task) {
                return Ok(Outcome::Refused(refused));
            }
            let mut requires = self.requirements(&plan, task);
            let tasks = self.coordinator.layout().tasks(&self.plan);
            requires.push(Compare::NoneWrittenAfter(tasks, plan.revision()));
            outcome = self.update_with(seen, None, &Change::Start, &requires).await?;
            if !matches!(outcome, Outcome::Refused(Refused::Dependency)) {
                break;
            }
        }
        Ok(outcome)
    }

    /// What has to be as it was seen for a task to start.
    fn requirements(&self, plan: &PlanView, task: &TaskId) -> Vec<Compare> {
        let layout = self.coordinator.layout();
        let key = |task| layout.of(&self.plan, &PlanKey::Task(task));
        let dependencies = plan.dependency_revisions(task);
        let dependencies = dependencies.map(|(task, revision)| Compare::Modified(key(task), Some(revision)));
        let definition = Compare::Modified(layout.of(&self.plan, &PlanKey::Spec), Some(plan.defined()));
        dependencies.chain([definition, Compare::Empty(layout.halts(&self.plan))]).collect()
    }

    /// Reads the task, decides, and writes; decides again on the fresh record if another process was faster.
    /// `None` leaves the task as it is, which counts as committed. At most 32 tries.
    ///
    /// # Errors
    /// As [`Authority::update`].
    pub async fn modify(
        &self,
        task: &TaskId,
        mut decide: impl FnMut(&TaskRecord) -> Option<Change>,
    ) -> Result<Outcome, Error> {
        let Some(mut seen) = self.coordinator.task(&self.plan, task).await? else {
            return Ok(Outcome::Refused(Refused::NoSuchTask));
        };
        for _ in 0..MAX_CONFLICTS {
            let Some(change) = decide(&seen.record) else { return Ok(Outcome::Committed(seen)) };
            match self.update(&seen, None, &change).await? {
                Outcome::Refused(Refused::Conflict(present)) => seen = *present,
                outcome => return Ok(outcome),
            }
        }
        Ok(Outcome::Refused(Refused::Conflict(Box::new(seen))))
    }

    /// Many updates of different tasks, as few transactions as possible; each succeeds or fails by itself. If
    /// tasks are to be started, the plan is read first, as in [`Authority::update`].
    ///
    /// # Errors
    /// As [`Authority::update`]; what was done before the error stays done.
    pub async fn update_all(&self, updates: &[(TaskView, Change)]) -> Result<Vec<Outcome>, Error> {
        let starts = updates.iter().any(|(_, change)| *change == Change::Start);
        let plan = if starts { Some(self.coordinator.plan(&self.plan).await?) } else { None };
        self.update_all_of(plan.as_ref(), updates).await
    }

    /// The same, of a plan as it was seen.
    pub(crate) async fn update_all_of(
        &self,
        plan: Option<&PlanView>,
        updates: &[(TaskView, Change)],
    ) -> Result<Vec<Outcome>, Error> {
        let each = Self { op_id: None, ..self.clone() }; // Two writes must not have one id.
        let mut outcomes = Vec::with_capacity(updates.len());
        for some in updates.chunks(MAX_AT_ONCE) {
            let some = some.iter().map(|(seen, change)| each.update_one_of_many(plan, seen, change));
            for outcome in future::join_all(some).await {
                outcomes.push(outcome?);
            }
        }
        Ok(outcomes)
    }

    async fn update_one_of_many(
        &self,
        plan: Option<&PlanView>,
        seen: &TaskView,
        change: &Change,
    ) -> Result<Outcome, Error> {
        let Some(plan) = plan.filter(|_| *change == Change::Start) else {
            return self.update_with(seen, None, change, &[]).await;
        };
        let bound = plan.spec().policy.max_in_progress;
        match hindrance(plan, &seen.id) {
            Some(refused) => Ok(Outcome::Refused(refused)),
            // Each would have to see that the one before it has started.
            None if bound > 0 => Ok(Outcome::Refused(Refused::Full(bound))),
            None => self.update_with(seen, None, change, &self.requirements(plan, &seen.id)).await,
        }
    }

    /// Stores the findings of a task, cut to the size that is kept; its output stays. One read and one
    /// transaction, which compares that nothing else was stored in between: findings that arrive late do not
    /// take the place of newer ones.
    ///
    /// # Errors
    /// [`Error::OwnershipLost`] if the right is gone, [`Error::TaskNotFound`], [`Error::TimedOut`] if others
    /// keep writing, and as for any request.
    pub async fn write_findings(&self, task: &TaskId, attempt: u32, text: &str) -> Result<(), Error> {
        self.store_findings(task, |output| FindingsRecord { output, ..FindingsRecord::new(attempt, text) })
            .await
    }

    /// Stores what the command of an attempt wrote, cut to the size that is kept; the findings of the task
    /// stay. As [`Authority::write_findings`] otherwise.
    ///
    /// # Errors
    /// As [`Authority::write_findings`].
    pub async fn write_output(&self, task: &TaskId, attempt: u32, text: &str) -> Result<(), Error> {
        let output = OutputRecord::new(attempt, text);
        self.store(task, |present| match present {
            Some(findings) => FindingsRecord { output: Some(output.clone()), ..findings },
            None => FindingsRecord::of_output(output.clone()),
        })
        .await
    }

    /// Stores where the findings of a task are kept, with a text about them. As [`Authority::write_findings`]
    /// otherwise.
    ///
    /// # Errors
    /// As [`Authority::write_findings`].
    pub async fn write_reference(
        &self,
        task: &TaskId,
        attempt: u32,
        text: &str,
        reference: &str,
    ) -> Result<(), Error> {
        let reference = Some(reference.to_owned());
        self.store_findings(task, |output| FindingsRecord {
            reference: reference.clone(),
            output,
            ..FindingsRecord::new(attempt, text)
        })
        .await
    }

    async fn store_findings(
        &self,
        task: &TaskId,
        findings: impl Fn(Option<OutputRecord>) -> FindingsRecord,
    ) -> Result<(), Error> {
        self.store(task, |present| findings(present.and_then(|present| present.output))).await
    }

    /// Stores what is made of the present record.
    async fn store(
        &self,
        task: &TaskId,
        next: impl Fn(Option<FindingsRecord>) -> FindingsRecord,
    ) -> Result<(), Error> {
        self.ensure_live()?;
        let layout = self.coordinator.layout();
        let key = layout.of(&self.plan, &PlanKey::Findings(task.clone()));
        let record = layout.of(&self.plan, &PlanKey::Task(task.clone()));
        let mut seen = self.etcd_row(&key).await?;
        for _ in 0..MAX_CONFLICTS {
            let present = seen
                .as_ref()
                .map(|entry| codec::decode_within(&entry.value, codec::MAX_FINDINGS_VALUE))
                .transpose()?;
            let value = codec::encode_within(&next(present), codec::MAX_FINDINGS_VALUE)?;
            let when = [
                Compare::Exists(record.clone()),
                Compare::Modified(key.clone(), seen.as_ref().map(|entry| entry.modified)),
            ];
            let txn = Transaction::when(when)
                .then([Op::Put(key.clone(), value.clone())])
                .otherwise([Op::Find(record.clone()), Op::Get(key.clone())]);
            let write = self.guarded(txn).coalesced(&self.plan);
            let mut reply = self.coordinator.etcd().execute(write, Admission::TURN).await?;
            if reply.branch == Branch::Then {
                return Ok(());
            }
            let (exists, present) = (reply.row().is_some(), reply.row());
            if reply.uncertain && present.as_ref().is_some_and(|entry| entry.value == value) {
                return Ok(()); // By an earlier try whose answer got lost.
            }
            if !exists {
                return Err(Error::TaskNotFound { plan: self.plan.clone(), task: task.clone() });
            }
            if !reply.guard_held {
                return Err(Error::OwnershipLost(self.plan.clone()));
            }
            seen = present;
        }
        Err(Error::TimedOut("others keep writing the output of this task"))
    }

    async fn etcd_row(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let read = Transaction::default().then([Op::Get(key.to_vec())]);
        Ok(self.coordinator.etcd().execute(&read, Admission::TURN).await?.row())
    }

    /// One transaction, which travels together with what else is written at that moment.
    async fn update_with(
        &self,
        seen: &TaskView,
        attempt: Option<u32>,
        change: &Change,
        requires: &[Compare],
    ) -> Result<Outcome, Error> {
        self.ensure_live()?;
        let mut next = match transition::apply(&seen.record, change, &self.write(attempt)) {
            Ok(next) => next,
            Err(refusal) => {
                return Ok(Outcome::Refused(Refused::NotAllowed(refusal, Box::new(seen.clone()))));
            }
        };
        let before = seen.record.claim.as_ref().and_then(|claim| claim.limit);
        if let (None, Some(claim), Some(limit)) = (before, &mut next.claim, self.limit) {
            claim.limit = Some(self.coordinator.grant_limit(limit).await?);
        }
        let after = next.claim.as_ref().and_then(|claim| claim.limit);
        let span = span::update(self.session.as_ref(), &self.plan, &seen.id, &next);
        let outcome = self.send(seen, next, requires).instrument(span.clone()).await;
        if let Ok(Outcome::Committed(written)) = &outcome {
            span::committed(&span, written.revision);
        }
        match (&outcome, before, after) {
            (Ok(Outcome::Committed(_)), Some(limit), None) | (Ok(Outcome::Refused(_)), None, Some(limit)) => {
                self.coordinator.end_limit(&limit).await;
            }
            (Ok(Outcome::Committed(_)), Some(limit), Some(_)) => self.coordinator.renew_limit(&limit).await,
            _ => {}
        }
        outcome
    }

    /// Writes the next record, if the task is as it was seen, and what is required besides.
    async fn send(&self, seen: &TaskView, next: TaskRecord, requires: &[Compare]) -> Result<Outcome, Error> {
        let key = self.coordinator.layout().of(&self.plan, &PlanKey::Task(seen.id.clone()));
        let unchanged = Compare::Modified(key.clone(), Some(seen.revision));
        let txn = Transaction::when([unchanged].into_iter().chain(requires.iter().cloned()))
            .then([Op::Put(key.clone(), codec::encode(&next)?)])
            .otherwise([Op::Get(key)]);
        let write = self.guarded(txn).coalesced(&self.plan);
        let mut reply = match self.coordinator.etcd().execute(write, Admission::TURN).await {
            Ok(reply) => reply,
            Err(fault) if fault.not_executed => return Err(fault.into()),
            Err(fault) => {
                return Ok(Outcome::Unknown { op_id: next.op_id, reason: fault.to_string() });
            }
        };
        if reply.branch == Branch::Then {
            let revision = reply.revision;
            return Ok(Outcome::Committed(TaskView { id: seen.id.clone(), revision, record: next }));
        }
        let entry = reply.row();
        self.judge(seen, &next, entry, reply.guard_held, reply.uncertain).await
    }

    /// Everything about the next write but what it changes.
    fn write(&self, attempt: Option<u32>) -> Write {
        Write {
            writer: self.writer.clone(),
            attempt,
            at: self.coordinator.clock().wall(),
            op_id: self.op_id.unwrap_or_else(|| self.coordinator.etcd().random().uuid()),
        }
    }

    /// What a refusal by etcd means, given the present record.
    async fn judge(
        &self,
        seen: &TaskView,
        next: &TaskRecord,
        entry: Option<Entry>,
        right: bool,
        uncertain: bool,
    ) -> Result<Outcome, Error> {
        let unknown = |reason: &str| Outcome::Unknown { op_id: next.op_id, reason: reason.to_owned() };
        let Some(entry) = entry else {
            // An earlier try may have been carried out before the plan was deleted.
            return Ok(if uncertain {
                unknown("the plan was deleted meanwhile")
            } else {
                Outcome::Refused(Refused::NoSuchTask)
            });
        };
        let present = TaskView::read(&self.plan, seen.id.clone(), &entry)?;
        if present.record.op_id == next.op_id {
            return Ok(Outcome::Committed(present)); // By an earlier try whose answer got lost.
        }
        if uncertain && present.revision != seen.revision {
            match self.coordinator.trace(&self.plan, seen, next.op_id, &entry).await {
                Ok(Some(view)) => return Ok(Outcome::Committed(view)),
                Ok(None) => {}
                Err(error) => return Ok(unknown(&error.to_string())),
            }
        }
        if uncertain && !right && self.writer.guard == Guard::Unowned && present.revision == seen.revision {
            // Any other authority is lost for good. This one comes back when the queue empties, and then an
            // earlier try that is still under way can be carried out after all.
            return Ok(unknown("another process acquired the plan meanwhile"));
        }
        if uncertain
            && right
            && present.revision == seen.revision
            && next.status == transition::TaskStatus::InProgress
        {
            // What a start requires besides may hold again (a pause ends), and then an earlier try that is
            // still under way can be carried out after all.
            return Ok(unknown("what the start requires was not the case, at least for a while"));
        }
        Ok(Outcome::Refused(if !right {
            Refused::RightGone
        } else if present.revision == seen.revision {
            Refused::Dependency
        } else {
            Refused::Conflict(Box::new(present))
        }))
    }

    /// The transaction, if the right is still there.
    pub(crate) fn guarded(&self, txn: Transaction) -> Guarded {
        Guarded { guard: Arc::clone(&self.right), txn }
    }

    pub(crate) fn ensure_live(&self) -> Result<(), Error> {
        self.session.as_ref().map_or(Ok(()), Session::ensure_live)
    }

    /// The lease under the right, if it is an owner's.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseId> {
        match self.writer.guard {
            Guard::Owner { lease, .. } => Some(lease),
            Guard::Worker { .. } | Guard::Unowned | Guard::Import => None,
        }
    }
}

/// What keeps a task from being started, as the plan was seen.
fn hindrance(plan: &PlanView, task: &TaskId) -> Option<Refused> {
    if let Some(halt) = plan.halt() {
        return Some(Refused::Halted(Box::new(halt.clone())));
    }
    if plan.blockers(task).next().is_some() {
        return Some(Refused::Dependency);
    }
    plan.is_full().then_some(Refused::Full(plan.spec().policy.max_in_progress))
}
