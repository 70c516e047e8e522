//! One update in one transaction: decided on a record that was seen, and carried out if that is still present
//! and the authority's guard holds.

use futures_util::future;
use planlease_core::{
    TaskId,
    change::Entry,
    codec::{self, CodecError, MAX_VALUE},
    keys::PlanKey,
    late::Refuser,
    reading,
    record::{Guard, TaskRecord},
    release,
    transition::{self, Change, TaskStatus, Write},
    view::{PlanView, TaskView},
};
use tracing::Instrument as _;

use super::outcome::{Outcome, Refused};
use crate::{
    authority::Authority,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    session::Session,
    span,
    start_bounds::StartBounds,
};

/// How often a decision is repeated on a fresh record before it ends as a conflict.
const MAX_CONFLICTS: usize = 32;

/// How many of the updates of one call are under way at a time: enough to fill all requests that may be.
const MAX_AT_ONCE: usize = 512;

/// What a claimant's texts leave of a record to others, in bytes: a request to cancel the attempt, a person's
/// decision and the loss of the claim have to find room, or nothing could end it.
const ROOM_FOR_OTHERS: usize = 8 * 1024;

/// The record as it is stored after a change.
pub(super) fn stored(before: &TaskRecord, change: &Change, next: &TaskRecord) -> Result<Vec<u8>, Error> {
    let max = if change.is_claimants_text() { MAX_VALUE - ROOM_FOR_OTHERS } else { MAX_VALUE };
    match codec::encode_within(next, max) {
        // It was no smaller before, and has to be ended all the same.
        Err(CodecError::TooLarge { bytes, .. }) if codec::encode(before)?.len() >= bytes => {
            Ok(codec::encode(next)?)
        }
        stored => Ok(stored?),
    }
}

impl Authority {
    /// Changes a task if its record is still the one that was seen. One transaction, tried once: what
    /// [`Authority::submit`] is made of. To start a task, its excerpt is read first: what it depends on has
    /// to be done. [`Authority::start`] saves that for callers that have the plan.
    ///
    /// A result (complete, fail) that is refused because its attempt or its right is over is kept, for people
    /// to see, if that takes no longer than two seconds: [`crate::Coordinator::late_results`].
    ///
    /// # Errors
    /// What proves that nothing was done: [`Error::Unreachable`], [`Error::PermissionDenied`], …. A lost
    /// answer is not an error but [`Outcome::Unknown`], and a lost authority is [`Refused::AuthorityLost`].
    ///
    /// # Cancel safety
    /// A dropped future leaves the outcome unknown.
    pub async fn update(&self, seen: &TaskView, change: &Change) -> Result<Outcome, Error> {
        self.update_of(seen, None, change).await
    }

    /// As [`Authority::update`], if the change is about this attempt: a result of an earlier one is refused.
    ///
    /// # Errors
    /// As [`Authority::update`].
    ///
    /// # Cancel safety
    /// A dropped future leaves the outcome unknown.
    pub async fn update_attempt(
        &self,
        seen: &TaskView,
        attempt: u32,
        change: &Change,
    ) -> Result<Outcome, Error> {
        self.update_of(seen, Some(attempt), change).await
    }

    /// `attempt`: the one that the change is about; `None` for whichever is present.
    async fn update_of(
        &self,
        seen: &TaskView,
        attempt: Option<u32>,
        change: &Change,
    ) -> Result<Outcome, Error> {
        if *change == Change::Start {
            return self.start_seen(seen).await;
        }
        let outcome = self.update_with(seen, attempt, change, &[]).await?;
        self.keep_if_late(&seen.id, attempt, change, &outcome).await;
        Ok(outcome)
    }

    /// Keeps what a refused change said, if it is a result that came too late.
    pub(crate) async fn keep_if_late(
        &self,
        task: &TaskId,
        attempt: Option<u32>,
        change: &Change,
        outcome: &Outcome,
    ) {
        if change.ends_attempt() {
            self.release_if_over(task, attempt, outcome).await;
        }
        let refuser = match outcome {
            Outcome::Refused(Refused::AuthorityLost(_)) => Refuser::AuthorityLost,
            Outcome::Refused(Refused::NotAllowed(refusal, present)) => {
                Refuser::Table(refusal, &present.record)
            }
            _ => return,
        };
        self.keep_late(task, change, &self.write(attempt), refuser).await;
    }

    /// Starts a task whose record is still the one that was seen.
    async fn start_seen(&self, seen: &TaskView) -> Result<Outcome, Error> {
        let excerpt = match self.coordinator().excerpt(self.plan(), &seen.id).await {
            Err(Error::TaskNotFound { .. }) => return Ok(Outcome::Refused(Refused::NoSuchTask)),
            excerpt => excerpt?,
        };
        if excerpt.task().revision != seen.revision {
            return Ok(Outcome::Refused(Refused::Conflict(Box::new(excerpt.task().clone()))));
        }
        self.start(excerpt.seen(), &seen.id).await
    }

    /// Starts a task: claims it for the writer (also one whose claimant's time limit has passed), if it and
    /// all that it depends on are as the plan was seen, and done, and the plan is not halted, nor defined
    /// differently since. One transaction; in a plan that bounds how many are in progress at once, one read
    /// before it, and both again as long as its tasks change in between. For a task that uses pools, one read
    /// of them besides: it takes its permits in the same transaction.
    ///
    /// # Errors
    /// As [`Authority::update`].
    ///
    /// # Cancel safety
    /// As [`Authority::update`].
    pub async fn start(&self, plan: &PlanView, task: &TaskId) -> Result<Outcome, Error> {
        let freed = self.end_expired_claims(plan, |other| other == task).await?;
        let plan = freed.as_ref().unwrap_or(plan);
        let Some(seen) = plan.tasks().get(task) else { return Ok(Outcome::Refused(Refused::NoSuchTask)) };
        if let Some(refused) = hindrance(plan, task) {
            return Ok(Outcome::Refused(refused));
        }
        let outcome = if reading::start_counts(&plan.spec().policy) {
            self.start_within_bounds(plan, task).await?
        } else {
            self.start_in_pools(plan, seen, &self.requirements(plan, task, true)).await?
        };
        self.coordinator().explained(outcome, self.writer()).await
    }

    /// Starts a task if there is room for one more: no task was changed since they were counted.
    async fn start_within_bounds(&self, plan: &PlanView, task: &TaskId) -> Result<Outcome, Error> {
        let asked = plan.tasks().get(task).map(|task| task.revision);
        let mut outcome = Outcome::Refused(Refused::NoSuchTask);
        let _turn = self.coordinator().starts().next(self.plan()).await;
        for _ in 0..MAX_CONFLICTS {
            let plan = self.coordinator().plan(self.plan()).await?;
            let Some(seen) = plan.tasks().get(task) else { return Ok(outcome) };
            if Some(seen.revision) != asked {
                return Ok(Outcome::Refused(Refused::Conflict(Box::new(seen.clone()))));
            }
            if let Some(refused) = hindrance(&plan, task) {
                return Ok(Outcome::Refused(refused));
            }
            let mut requires = self.requirements(&plan, task, true);
            let tasks = self.coordinator().layout().tasks(self.plan());
            requires.push(Compare::NoneWrittenAfter(tasks, plan.revision()));
            outcome = self.start_in_pools(&plan, seen, &requires).await?;
            if !matches!(outcome, Outcome::Refused(Refused::Dependency)) {
                break;
            }
        }
        Ok(outcome)
    }

    /// What has to be as it was seen for a task to start, or to be given up; of a start, also that the plan
    /// is not halted.
    fn requirements(&self, plan: &PlanView, task: &TaskId, starts: bool) -> Vec<Compare> {
        let layout = self.coordinator().layout();
        let key = |task| layout.of(self.plan(), &PlanKey::Task(task));
        let dependencies = plan.dependency_revisions(task);
        let dependencies = dependencies.map(|(task, revision)| Compare::Modified(key(task), Some(revision)));
        let definition = Compare::Modified(layout.of(self.plan(), &PlanKey::Spec), Some(plan.defined()));
        let halts = starts.then(|| Compare::Empty(layout.halts(self.plan())));
        let fleet = starts.then(|| self.coordinator().may_begin(self.writer()));
        dependencies.chain([definition]).chain(halts).chain(fleet.into_iter().flatten()).collect()
    }

    /// Reads the task, decides, and writes; decides again on the fresh record if another process was faster.
    /// `None` leaves the task as it is, which counts as committed. At most 32 tries.
    ///
    /// # Errors
    /// As [`Authority::update`].
    ///
    /// # Cancel safety
    /// As [`Authority::update`].
    pub async fn modify(
        &self,
        task: &TaskId,
        mut decide: impl FnMut(&TaskRecord) -> Option<Change>,
    ) -> Result<Outcome, Error> {
        let Some(mut seen) = self.coordinator().task(self.plan(), task).await? else {
            return Ok(Outcome::Refused(Refused::NoSuchTask));
        };
        for _ in 0..MAX_CONFLICTS {
            let Some(change) = decide(&seen.record) else { return Ok(Outcome::Committed(seen)) };
            match self.update(&seen, &change).await? {
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
    ///
    /// # Cancel safety
    /// As [`Authority::update`], each by itself.
    pub async fn update_all(&self, updates: &[(TaskView, Change)]) -> Result<Vec<Outcome>, Error> {
        let starts = updates.iter().any(|(_, change)| *change == Change::Start);
        let plan = if starts { Some(self.coordinator().plan(self.plan()).await?) } else { None };
        self.update_all_of(plan.as_ref(), updates).await
    }

    /// The same, of a plan as it was seen.
    pub(crate) async fn update_all_of(
        &self,
        plan: Option<&PlanView>,
        updates: &[(TaskView, Change)],
    ) -> Result<Vec<Outcome>, Error> {
        let each = self.unidentified(); // Two writes must not have one id.
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
        if let (Some(plan), Change::GiveUp(..), TaskStatus::Pending) = (plan, change, seen.record.status) {
            // What it waits for is as it was seen: a failure that a person has just put right has no
            // consequences.
            return self.update_with(seen, None, change, &self.requirements(plan, &seen.id, false)).await;
        }
        let Some(plan) = plan.filter(|_| *change == Change::Start) else {
            return self.update_with(seen, None, change, &[]).await;
        };
        let bound = plan.spec().policy.max_in_progress;
        match hindrance(plan, &seen.id) {
            Some(refused) => Ok(Outcome::Refused(refused)),
            // Each would have to see that the one before it has started.
            None if bound > 0 => Ok(Outcome::Refused(Refused::Full(bound))),
            None => {
                let outcome =
                    self.start_in_pools(plan, seen, &self.requirements(plan, &seen.id, true)).await?;
                self.coordinator().explained(outcome, self.writer()).await
            }
        }
    }

    /// One transaction, which travels together with what else is written at that moment.
    pub(crate) async fn update_with(
        &self,
        seen: &TaskView,
        attempt: Option<u32>,
        change: &Change,
        requires: &[Compare],
    ) -> Result<Outcome, Error> {
        self.update_starting(seen, attempt, change, requires, None).await
    }

    /// As [`Authority::update_with`]. A start is bounded as said, and takes its permits in the same
    /// transaction; the end of a claim releases those that it has.
    pub(crate) async fn update_starting(
        &self,
        seen: &TaskView,
        attempt: Option<u32>,
        change: &Change,
        requires: &[Compare],
        start: Option<&StartBounds<'_>>,
    ) -> Result<Outcome, Error> {
        if let Err(Error::AuthorityLost(loss)) = self.ensure_live() {
            return Ok(Outcome::Refused(Refused::AuthorityLost(loss)));
        }
        let mut next = match transition::apply(&seen.record, change, &self.write(attempt)) {
            Ok(next) => next,
            Err(refusal) => {
                return Ok(Outcome::Refused(Refused::NotAllowed(refusal, Box::new(seen.clone()))));
            }
        };
        if let Some(start) = start {
            next.set_bounds(&start.policy);
        }
        let before = seen.record.claim.as_ref().and_then(|claim| claim.limit);
        // A request to cancel leaves the claim as it is: it is another process's.
        if let (None, Some(claim), Some(limit), None) = (before, &mut next.claim, self.limit, &next.cancel)
            && next.approval.as_ref().is_none_or(|approval| approval.result.is_none())
        {
            claim.limit = Some(self.coordinator().grant_limit(limit).await?);
        }
        let after = next.claim.as_ref().and_then(|claim| claim.limit);
        let mut writes: Vec<Op> = self.release(release::released(&seen.record, &next)).collect();
        let permits = start.and_then(|start| start.permits);
        if let Some(taken) = permits {
            writes.extend(self.put_permits(seen, &mut next, taken)?);
        }
        let writer = (self.session().map(Session::lease), self.plan(), self.trace());
        let span = span::update(writer, seen, &next);
        if let (Change::Start, Some(claim)) = (change, &mut next.claim) {
            claim.trace = span::of_claim(&span);
        }
        let value = stored(&seen.record, change, &next)?;
        let outcome = self.send(seen, (next, value), requires, writes).instrument(span.clone()).await;
        if let Ok(outcome) = &outcome {
            self.coordinator().etcd().counts().outcome(outcome.fate());
        }
        if let Ok(Outcome::Committed(written)) = &outcome {
            span::committed(&span, written.revision);
        }
        match (&outcome, before, after) {
            (Ok(Outcome::Committed(_)), Some(limit), None) | (Ok(Outcome::Refused(_)), None, Some(limit)) => {
                self.coordinator().end_limit(&limit).await;
            }
            (Ok(Outcome::Committed(_)), Some(limit), Some(_)) => self.coordinator().renew_limit(&limit).await,
            _ => {}
        }
        outcome
    }

    /// Writes the next record, and what belongs to it, if the task is as it was seen, and what is required
    /// besides.
    async fn send(
        &self,
        seen: &TaskView,
        (next, value): (TaskRecord, Vec<u8>),
        requires: &[Compare],
        writes: Vec<Op>,
    ) -> Result<Outcome, Error> {
        let key = self.coordinator().layout().of(self.plan(), &PlanKey::Task(seen.id.clone()));
        let unchanged = Compare::Modified(key.clone(), Some(seen.revision));
        let txn = Transaction::when([unchanged].into_iter().chain(requires.iter().cloned()))
            .then([Op::Put(key.clone(), value)])
            .then(writes)
            .otherwise([Op::Get(key)]);
        let write = self.guarded(txn).coalesced(self.plan());
        let mut reply = match self.coordinator().etcd().execute(write, Admission::TURN).await {
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
            writer: self.writer().clone(),
            attempt,
            at: self.coordinator().clock().wall(),
            op_id: self.op_id.unwrap_or_else(|| self.coordinator().etcd().random().uuid()),
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
        let present = TaskView::read(self.plan(), seen.id.clone(), &entry)?;
        if present.record.op_id == next.op_id {
            return Ok(Outcome::Committed(present)); // By an earlier try whose answer got lost.
        }
        if uncertain && present.revision != seen.revision {
            match self.coordinator().history(self.plan()).trace(seen, next.op_id, &entry).await {
                Ok(Some(view)) => return Ok(Outcome::Committed(view)),
                Ok(None) => {}
                Err(error) => return Ok(unknown(&error.to_string())),
            }
        }
        if uncertain && !right && self.writer().guard == Guard::Unowned && present.revision == seen.revision {
            // Any other authority is lost for good. This one comes back when the queue empties, and then an
            // earlier try that is still under way can be carried out after all.
            return Ok(unknown("another process acquired the plan meanwhile"));
        }
        if uncertain && right && present.revision == seen.revision && next.status == TaskStatus::InProgress {
            // What a start requires besides may hold again (a pause ends), and then an earlier try that is
            // still under way can be carried out after all.
            return Ok(unknown("what the start requires was not the case, at least for a while"));
        }
        Ok(Outcome::Refused(if !right {
            Refused::AuthorityLost(self.loss())
        } else if present.revision == seen.revision {
            Refused::Dependency
        } else {
            Refused::Conflict(Box::new(present))
        }))
    }
}

/// What keeps a task from being started, as the plan was seen.
pub(super) fn hindrance(plan: &PlanView, task: &TaskId) -> Option<Refused> {
    if let Some(halt) = plan.halt() {
        return Some(Refused::Halted(Box::new(halt.clone())));
    }
    if plan.blockers(task).next().is_some() {
        return Some(Refused::Dependency);
    }
    plan.is_full().then_some(Refused::Full(plan.spec().policy.max_in_progress))
}

#[cfg(test)]
mod tests {
    use planlease_core::record::{Role, Writer};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_claimants_text_leaves_room_for_the_end_of_its_claim() {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        let empty = TaskRecord::new(writer, Uuid::nil());
        let with = |length: usize| TaskRecord { progress: Some("p".repeat(length)), ..empty.clone() };
        let progress = Change::Progress(String::new());
        let most = MAX_VALUE - ROOM_FOR_OTHERS - codec::encode(&with(1)).unwrap().len() + 1;
        assert!(stored(&empty, &progress, &with(most)).is_ok());
        assert!(stored(&empty, &progress, &with(most + 1)).is_err());
        let park = Change::Park("what others write has the room".into());
        assert!(stored(&empty, &park, &with(most + ROOM_FOR_OTHERS)).is_ok());
        assert!(stored(&empty, &park, &with(most + ROOM_FOR_OTHERS + 1)).is_err());
        // A record of an older version may be larger: its claimant can end it.
        let done = Change::Complete(None);
        assert!(stored(&with(most + 10), &done, &with(most + 5)).is_ok());
    }
}
