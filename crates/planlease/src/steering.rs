//! Steering a fleet: pausing it, cordoning and draining orchestrators, moving plans.
//!
//! Each is a key that the transactions compare which it is to stop: a start compares that the fleet is
//! not paused, an acquisition that its orchestrator is not cordoned. So what was sent before, and what
//! does not know of it, is refused as well. What an orchestrator does about its own plans (drain, move)
//! it does when it sees the key.

mod follow;

use std::time::Duration;

use planlease_core::{
    OrchestratorId, PlanName, Revision,
    codec::{self, FormatVersion},
    keys::{Key, PlanKey, SteeringKey},
    record::Guard,
    record::{Halt, HaltRecord, Role, Writer},
    steering::{self, CordonRecord, Eligibility, MoveRecord, Steering},
};
use serde_json::Map;

use crate::{
    admin::{Admin, Reason},
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    plan::Halted,
    update::{Outcome, Refused},
};

pub use follow::SteeringFollower;

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
            (request.from != *owner).then_some(entry.modified)
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
    /// and owners stay. One transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn pause_fleet(self, reason: &Reason) -> Result<Halted, Error> {
        let key = self.coordinator.steering_key(SteeringKey::Pause);
        let (by, at) = (reason.by.clone(), self.coordinator.clock().wall());
        let why = codec::shorten(&reason.why, MAX_WHY);
        let v = FormatVersion::default();
        let record = HaltRecord { v, how: Halt::Paused, by, at, why, extra: Map::new() };
        let txn = Transaction::when([Compare::Created(key.clone(), None)])
            .then([Op::Put(key.clone(), codec::encode(&record)?)])
            .otherwise([Op::Get(key)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(Halted::Done(reply.revision));
        }
        match reply.row() {
            Some(entry) => {
                let present = steering::pause(&entry.value);
                Ok(if present == record {
                    Halted::Done(entry.modified) // By an earlier try whose answer got lost.
                } else {
                    Halted::Unchanged(Box::new(present))
                })
            }
            None => Err(Error::outcome_unknown("the fleet was resumed at the same time")),
        }
    }

    /// Ends the pause of the fleet. `false` if there was none. One transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn resume_fleet(self) -> Result<bool, Error> {
        self.end_steering(SteeringKey::Pause).await
    }

    /// Cordons an orchestrator: it takes no new plan and claims no new task. It keeps the plans that it
    /// owns, and goes on in them. A process that starts under the same name stays cordoned. One
    /// transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn cordon(self, id: &OrchestratorId, reason: &Reason) -> Result<(), Error> {
        self.put_cordon(id, Eligibility::Cordoned, None, reason).await
    }

    /// Drains an orchestrator: as [`Admin::cordon`]; besides, it lets running tasks go on until the
    /// deadline, ends what remains then, and gives its plans to the next in their queues. The deadline
    /// counts from when the orchestrator sees the request, by its own clock; it is at most a week. Only
    /// orchestrators of `planlease run` do that; what another process owns, it keeps. One transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn drain(self, id: &OrchestratorId, deadline: Duration, reason: &Reason) -> Result<(), Error> {
        let deadline = deadline.min(MAX_DEADLINE).as_secs();
        self.put_cordon(id, Eligibility::Draining, Some(deadline), reason).await
    }

    /// Ends the cordon or drain of an orchestrator. `false` if there was none. One transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn uncordon(self, id: &OrchestratorId) -> Result<bool, Error> {
        self.end_steering(SteeringKey::Cordon(id.clone())).await
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
            extra: Map::new(),
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

    /// Takes back a request to move a plan. `false` if there is none any more. One transaction.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn withdraw_move(self, plan: &PlanName) -> Result<bool, Error> {
        self.end_steering(SteeringKey::Move(plan.clone())).await
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
        let record = CordonRecord { v, state, deadline_s, by, at, why, extra: Map::new() };
        let key = self.coordinator.steering_key(SteeringKey::Cordon(id.clone()));
        // The last word counts: sent again after a lost answer, it says the same.
        let txn = Transaction::when([]).then([Op::Put(key, codec::encode(&record)?)]);
        self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        Ok(())
    }

    /// Deletes a key. Whether it was there.
    async fn end_steering(self, key: SteeringKey) -> Result<bool, Error> {
        let key = self.coordinator.steering_key(key);
        let txn = Transaction::when([Compare::Exists(key.clone())]).then([Op::Delete(key)]);
        let reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        Ok(reply.branch == Branch::Then || reply.uncertain)
    }
}
