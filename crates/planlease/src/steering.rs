//! Steering a fleet: pausing it, cordoning and draining orchestrators, moving plans.
//!
//! Each is a key that the transactions compare which it is to stop: a start compares that the fleet is
//! not paused, an acquisition that its orchestrator is not cordoned. So what was sent before, and what
//! does not know of it, is refused as well. What an orchestrator does about its own plans (drain, move)
//! it does when it sees the key.

mod decision;
mod follow;

use std::time::Duration;

use planlease_core::{
    Extra, OrchestratorId, PlanName, Revision,
    codec::{self, FormatVersion},
    keys::{Key, PlanKey, SteeringKey},
    record::Guard,
    record::{ClaimLimit, Halt, HaltRecord, Role, Writer},
    steering::{self, CordonRecord, Eligibility, MoveRecord, Steering},
};

use crate::{
    admin::{Admin, Reason},
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    plan::Halted,
    update::{Outcome, Refused},
};

pub use follow::SteeringFollower;

use decision::TRIES;

/// How long a request to move a plan outlives its deadline: the candidate joins the queue before it, and
/// commands are ended after it.
pub const MOVE_SLACK: Duration = Duration::from_secs(60);

/// The longest deadline of a drain or a move.
pub const MAX_DEADLINE: Duration = Duration::from_hours(24 * 7);

/// How much is kept of a reason, in bytes.
const MAX_WHY: usize = 1_000;

impl Coordinator {
    /// Reads what is asked of the fleet, with the revision at which it was so. One request.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn steering(&self) -> Result<(Steering, Revision), Error> {
        let snapshot = self.raw().snapshot(&self.layout().steering()).await?;
        Ok((Steering::of(snapshot.entries), snapshot.revision))
    }

    /// Who paused the fleet, if it is paused. One request.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn fleet_pause(&self) -> Result<Option<HaltRecord>, Error> {
        Ok(self.steering().await?.0.pause)
    }

    fn steering_key(&self, key: SteeringKey) -> Vec<u8> {
        self.layout().key(&Key::Steering(key))
    }

    /// The revision of a request to move the plan that asks for nothing any more, since this owner is not the
    /// one that was to give it away. One read.
    async fn spent_move(&self, plan: &PlanName, owner: &OrchestratorId) -> Result<Option<Revision>, Error> {
        let snapshot = self.raw().snapshot(&self.layout().steering()).await?;
        let key = Key::Steering(SteeringKey::Move(plan.clone()));
        let found = snapshot.entries.into_iter().find(|(found, _)| *found == key);
        Ok(found.and_then(|(_, entry)| {
            let request: MoveRecord = codec::decode(&entry.value).ok()?;
            request.is_spent(owner).then_some(entry.modified)
        }))
    }

    /// What a start by this writer compares besides: that the fleet is not paused, and that a worker is
    /// not cordoned. An owner goes on in what it has.
    pub(crate) fn may_begin(&self, writer: &Writer) -> impl Iterator<Item = Compare> + use<> {
        let worker = match &writer.guard {
            Guard::Worker { orchestrator, .. } => Some(SteeringKey::Cordon(orchestrator.clone())),
            _ => None,
        };
        let keys = [Some(SteeringKey::Pause), worker].map(|key| key.map(|key| self.steering_key(key)));
        keys.into_iter().flatten().map(|key| Compare::Created(key, None))
    }

    /// What an acquisition by this orchestrator compares, and what it reads if it is refused.
    pub(crate) fn may_acquire(&self, id: &OrchestratorId) -> (Compare, Op) {
        let key = self.steering_key(SteeringKey::Cordon(id.clone()));
        (Compare::Created(key.clone(), None), Op::Get(key))
    }

    /// The refusal of a start whose reason does not show in its plan, with the reason if it is the
    /// fleet's. One read.
    pub(crate) async fn explained(&self, outcome: Outcome, writer: &Writer) -> Result<Outcome, Error> {
        if !matches!(outcome, Outcome::Refused(Refused::Dependency)) {
            return Ok(outcome);
        }
        let (steering, _) = self.steering().await?;
        if let Some(pause) = steering.pause {
            return Ok(Outcome::Refused(Refused::FleetPaused(Box::new(pause))));
        }
        let cordon = match (&writer.guard, writer.role) {
            (Guard::Worker { orchestrator, .. }, Role::Worker) => steering.cordons.get(orchestrator),
            _ => None,
        };
        Ok(match cordon {
            Some(cordon) => Outcome::Refused(Refused::Cordoned(Box::new(cordon.clone()))),
            None => outcome,
        })
    }
}

/// The error for an orchestrator that is cordoned.
pub(crate) fn cordoned(id: &OrchestratorId, value: &[u8]) -> Error {
    let CordonRecord { state, by, why, .. } = steering::cordon(value);
    Error::Cordoned { id: id.clone(), state, by, why }
}

impl Admin<'_> {
    /// Pauses the fleet: no process starts another task in this namespace. What is in progress goes on,
    /// and owners stay. One read, and the writes of a first decision: two, with a lease for the time between.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the fleet was resumed at the same time, and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the fleet is paused or not; it may also be paused for a minute, or for four
    /// times the operation timeout.
    pub async fn pause_fleet(self, reason: &Reason) -> Result<Halted, Error> {
        let key = self.coordinator.steering_key(SteeringKey::Pause);
        let (by, at) = (reason.by.clone(), self.coordinator.clock().wall());
        let why = codec::shorten(&reason.why, MAX_WHY);
        let v = FormatVersion::default();
        let record = HaltRecord { v, how: Halt::Paused, by, at, why, extra: Extra::default() };
        let value = codec::encode(&record)?;
        for _ in 0..TRIES {
            let seen = match self.coordinator.decision(&key).await? {
                Some(present) if present.lease.is_none() => {
                    return Ok(Halted::Unchanged(Box::new(steering::pause(&present.value))));
                }
                // Of an operator who may be gone: it would end by itself.
                unfinished => unfinished.map(|present| present.modified),
            };
            if let Some(since) = self.coordinator.decide(&key, seen, &value).await? {
                return Ok(Halted::Done(since));
            }
        }
        Err(Error::TimedOut("other operators keep pausing and resuming the fleet"))
    }

    /// Ends the pause of the fleet. `false` if there was none. One read, one transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn resume_fleet(self) -> Result<bool, Error> {
        self.coordinator.end_decision(&self.coordinator.steering_key(SteeringKey::Pause)).await
    }

    /// Cordons an orchestrator: it takes no new plan and claims no new task. It keeps the plans that it
    /// owns, and goes on in them. A process that starts under the same name stays cordoned. The
    /// last word counts. Requests as for [`Admin::pause_fleet`].
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if another operator decided otherwise at the same time, and as for any
    /// request.
    ///
    /// # Cancel safety
    /// As for [`Admin::pause_fleet`].
    pub async fn cordon(self, id: &OrchestratorId, reason: &Reason) -> Result<(), Error> {
        self.put_cordon(id, Eligibility::Cordoned, None, reason).await
    }

    /// Drains an orchestrator: as [`Admin::cordon`]; besides, it lets running tasks go on until the
    /// deadline, ends what remains then, and gives its plans to the next in their queues. The deadline
    /// counts from when the orchestrator sees the request, by its own clock; it is at most a week. Only
    /// orchestrators of `planlease run` do that; what another process owns, it keeps. Requests as for
    /// [`Admin::pause_fleet`].
    ///
    /// # Errors
    /// As for [`Admin::cordon`].
    ///
    /// # Cancel safety
    /// As for [`Admin::pause_fleet`].
    pub async fn drain(self, id: &OrchestratorId, deadline: Duration, reason: &Reason) -> Result<(), Error> {
        let deadline = deadline.min(MAX_DEADLINE).as_secs();
        self.put_cordon(id, Eligibility::Draining, Some(deadline), reason).await
    }

    /// Ends the cordon or drain of an orchestrator. `false` if there was none. One read, one transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn uncordon(self, id: &OrchestratorId) -> Result<bool, Error> {
        let key = self.coordinator.steering_key(SteeringKey::Cordon(id.clone()));
        self.coordinator.end_decision(&key).await
    }

    /// Asks the owner of a plan to give it to a named orchestrator, which is registered and not cordoned.
    /// The owner lets running tasks go on until the deadline once that orchestrator waits in the queue,
    /// and ends what remains. The request ends by itself a minute after its deadline, which is at most a
    /// week. What comes of it shows in the plan's terms. An earlier request counts no more once
    /// the plan has another owner. Three reads, one transaction.
    ///
    /// `expected` protects against moving the plan away from another owner than the one that the caller saw.
    ///
    /// # Errors
    /// [`Error::NotOwned`], [`Error::OtherOwner`], [`Error::PlanClosed`], [`Error::CannotMove`],
    /// [`Error::PlanNotFound`], and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all; a lease may be left that
    /// expires.
    pub async fn request_move(
        self,
        plan: &PlanName,
        expected: Option<&OrchestratorId>,
        to: &OrchestratorId,
        deadline: Duration,
        reason: &Reason,
    ) -> Result<MoveRecord, Error> {
        let (coordinator, layout) = (self.coordinator, self.coordinator.layout());
        let view = coordinator.plan(plan).await?;
        if let Some((_, HaltRecord { how, by, why, .. })) = view.halts().closed.clone() {
            return Err(Error::PlanClosed { plan: plan.clone(), how, by, why });
        }
        let cannot = |why: String| Error::CannotMove { plan: plan.clone(), to: to.clone(), why };
        let (owner, term) = view.queue().owner().ok_or_else(|| Error::NotOwned(plan.clone()))?;
        if let Some(expected) = expected.filter(|expected| **expected != term.owner.orchestrator) {
            let (plan, by, expected) = (plan.clone(), owner.name(), expected.clone());
            return Err(Error::OtherOwner { plan, by, expected });
        }
        if term.owner.orchestrator == *to {
            return Err(cannot("it owns the plan already".to_owned()));
        }
        let (registered, cordon) = (
            layout.key(&Key::Orchestrator(to.clone())),
            coordinator.steering_key(SteeringKey::Cordon(to.clone())),
        );
        let key = coordinator.steering_key(SteeringKey::Move(plan.clone()));
        let spent = coordinator.spent_move(plan, &term.owner.orchestrator).await?;
        let deadline = deadline.min(MAX_DEADLINE);
        let record = MoveRecord {
            v: FormatVersion::default(),
            from: term.owner.orchestrator.clone(),
            to: to.clone(),
            deadline_s: deadline.as_secs(),
            by: reason.by.clone(),
            at: coordinator.clock().wall(),
            why: codec::shorten(&reason.why, MAX_WHY),
            extra: Extra::default(),
        };
        let limit = coordinator.grant_limit(deadline + MOVE_SLACK).await?;
        let txn = Transaction::when([
            Compare::Created(layout.of(plan, &PlanKey::Owner(owner.lease)), Some(owner.joined)),
            Compare::Exists(registered.clone()),
            Compare::Created(cordon.clone(), None),
            Compare::Modified(key.clone(), spent),
        ])
        .then([Op::PutLeased(key.clone(), codec::encode(&record)?, limit.lease)])
        .otherwise([Op::Find(registered), Op::Get(cordon), Op::Get(key)]);
        let mut reply = coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(record);
        }
        let (registered, cordon, present) = (reply.row(), reply.row(), reply.row());
        if present.as_ref().is_some_and(|entry| entry.lease == Some(limit.lease)) {
            return Ok(record); // By an earlier try whose answer got lost.
        }
        coordinator.end_limit(&limit).await;
        Err(match (registered, cordon, present) {
            (None, _, _) => cannot("no live process has that name".to_owned()),
            (_, Some(entry), _) => cordoned(to, &entry.value),
            (_, _, Some(_)) => cannot("another move of the plan is under way".to_owned()),
            _ => cannot("its owner changed at the same moment".to_owned()),
        })
    }

    /// Takes back a request to move a plan: this one, or without one whatever is asked at that moment.
    /// `false` if that is not asked any more. One read, one transaction, and the end of its lease.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn withdraw_move(self, plan: &PlanName, request: Option<&MoveRecord>) -> Result<bool, Error> {
        let coordinator = self.coordinator;
        let key = coordinator.steering_key(SteeringKey::Move(plan.clone()));
        let Some(seen) = coordinator.decision(&key).await? else { return Ok(false) };
        let present: Option<MoveRecord> = codec::decode(&seen.value).ok();
        if request.is_some_and(|request| present.as_ref() != Some(request)) {
            return Ok(false);
        }
        let txn =
            Transaction::when([Compare::Modified(key.clone(), Some(seen.modified))]).then([Op::Delete(key)]);
        let reply = coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if let Some(lease) = seen.lease {
            // So that the request is not made again by a try of it that arrives late.
            coordinator.end_limit(&ClaimLimit { lease, seconds: 0 }).await;
        }
        // Refused: an earlier try has done it, or a newer request has taken its place.
        Ok(reply.branch == Branch::Then || reply.uncertain)
    }

    async fn put_cordon(
        self,
        id: &OrchestratorId,
        state: Eligibility,
        deadline_s: Option<u64>,
        reason: &Reason,
    ) -> Result<(), Error> {
        let (by, at) = (reason.by.clone(), self.coordinator.clock().wall());
        let why = codec::shorten(&reason.why, MAX_WHY);
        let v = FormatVersion::default();
        let record = CordonRecord { v, state, deadline_s, by, at, why, extra: Extra::default() };
        let key = self.coordinator.steering_key(SteeringKey::Cordon(id.clone()));
        let value = codec::encode(&record)?;
        for _ in 0..TRIES {
            let seen = self.coordinator.decision(&key).await?.map(|present| present.modified);
            if self.coordinator.decide(&key, seen, &value).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::TimedOut("other operators keep cordoning and uncordoning the orchestrator"))
    }
}
