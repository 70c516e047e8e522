//! Pools: defined by operators, and used by starts. A start takes its permits in the transaction that writes
//! the task's record; what ends a claim releases them in the same way. What a start takes is decided in
//! [`planlease_core::pool`].

use std::time::Duration;

use planlease_core::{
    Extra, LeaseId, PlanName, PoolName, Revision, TaskId,
    codec::{self, FormatVersion},
    keys::Key,
    pool::{
        MAX_DESCRIPTION, MAX_POOL, PermitRecord, PermitView, Permits, PoolRecord, PoolView, Pools, PoolsView,
    },
    record::TaskRecord,
    transition::{Change, TaskStatus},
    view::{PlanView, TaskView},
};

use crate::{
    admin::Admin,
    authority::Authority,
    coordinator::Coordinator,
    error::{AuthorityLoss, Error, error_chain},
    etcd::{Admission, Branch, Compare, MAX_OPS, Op, Transaction},
    retry::Backoff,
    session::Session,
    start_bounds::{StartBounds, Taken},
    update::{Outcome, Refused},
};

/// How often a start is tried while others take the permits that it wanted.
const TRIES: usize = 32;

/// How often a start is tried again that was refused although its pools are as they were read.
const UNEXPLAINED: u32 = 4;

/// The pauses in between, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// How often a definition is tried to be written while others write it.
const SET_TRIES: usize = 8;

impl Coordinator {
    /// Reads all pools with the permits that are taken, and the revision at which it was so. What of them
    /// cannot be read is part of the view. One request.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn pools(&self) -> Result<(PoolsView, Revision), Error> {
        let snapshot = self.raw().snapshot(&self.layout().pools()).await?;
        Ok((PoolsView::of(snapshot.entries), snapshot.revision))
    }

    /// Reads these pools alone. One request.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn pools_of(&self, uses: &Pools) -> Result<PoolsView, Error> {
        let layout = self.layout();
        let reads = uses.iter().flat_map(|(pool, _)| {
            [Op::Get(layout.key(&Key::Pool(pool.clone()))), Op::Range(layout.permits(pool), 0)]
        });
        let mut reply = self.etcd().execute(&Transaction::default().then(reads), Admission::TURN).await?;
        let mut pools = PoolsView::default();
        while let Some(rows) = reply.next_rows() {
            for (key, entry) in rows {
                if let Some(key) = layout.parse(&key) {
                    pools.apply(&key, Some(&entry));
                }
            }
        }
        Ok(pools)
    }
}

impl Admin<'_> {
    /// Defines a pool, or changes its size. Without a description that of before is kept. A smaller size ends
    /// nothing: tasks that have a permit go on, and no other starts until fewer permits than the size are
    /// taken. Returns the definition before, if there was one. One read, one transaction.
    ///
    /// # Errors
    /// [`Error::InvalidPool`] above the largest size, and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn set_pool(
        self,
        name: &PoolName,
        size: u32,
        description: Option<&str>,
        by: &str,
    ) -> Result<Option<PoolRecord>, Error> {
        name.check_new()?;
        if size > MAX_POOL {
            return Err(Error::InvalidPool {
                pool: name.clone(),
                why: format!("has at most {MAX_POOL} permits"),
            });
        }
        let (coordinator, key) = (self.coordinator, self.coordinator.layout().key(&Key::Pool(name.clone())));
        for _ in 0..SET_TRIES {
            let read = Transaction::default().then([Op::Get(key.clone())]);
            let seen = coordinator.etcd().execute(&read, Admission::TURN).await?.row();
            // One that cannot be read is written over.
            let before = seen.as_ref().and_then(|entry| codec::decode::<PoolRecord>(&entry.value).ok());
            let kept = before.clone().unwrap_or_else(|| PoolRecord {
                v: FormatVersion::default(),
                size,
                description: None,
                by: String::new(),
                at: coordinator.clock().wall(),
                extra: Extra::default(),
            });
            let description = description.map(|text| codec::shorten(text, MAX_DESCRIPTION));
            let record = PoolRecord {
                size,
                description: description.or_else(|| kept.description.clone()).filter(|text| !text.is_empty()),
                by: by.to_owned(),
                at: coordinator.clock().wall(),
                ..kept
            };
            let txn = Transaction::when([Compare::Modified(key.clone(), seen.map(|entry| entry.modified))])
                .then([Op::Put(key.clone(), codec::encode(&record)?)])
                .otherwise([Op::Get(key.clone())]);
            let mut reply = coordinator.etcd().execute(&txn, Admission::TURN).await?;
            let present = reply.row().and_then(|entry| codec::decode::<PoolRecord>(&entry.value).ok());
            if reply.branch == Branch::Then || present.is_some_and(|present| present == record) {
                return Ok(before);
            }
        }
        Err(Error::TimedOut("other operators define the pool at the same time"))
    }

    /// Deletes a pool of which no permit is taken. `false` if there is none of this name. Tasks that name it
    /// do not start any more. One read, one transaction.
    ///
    /// # Errors
    /// [`Error::PoolInUse`], [`Error::OutcomeUnknown`] if the pool was defined at the same time, and as for
    /// any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the pool is deleted or not.
    pub async fn delete_pool(self, name: &PoolName) -> Result<bool, Error> {
        let layout = self.coordinator.layout();
        let (key, permits) = (layout.key(&Key::Pool(name.clone())), layout.permits(name));
        let read = Transaction::default().then([Op::Get(key.clone())]);
        let Some(seen) = self.coordinator.etcd().execute(&read, Admission::TURN).await?.row() else {
            return Ok(false);
        };
        // As seen: a late repetition spares the next pool of that name.
        let as_seen = Compare::Modified(key.clone(), Some(seen.modified));
        let txn = Transaction::when([as_seen, Compare::Empty(permits.clone())])
            .then([Op::Delete(key.clone())])
            .otherwise([Op::Get(key), Op::Range(permits, 0)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(true);
        }
        let mut pools = PoolsView::default();
        while let Some(rows) = reply.next_rows() {
            for (key, entry) in rows {
                if let Some(key) = layout.parse(&key) {
                    pools.apply(&key, Some(&entry));
                }
            }
        }
        match pools.0.remove(name) {
            Some(PoolView { definition: Some(_), permits }) if permits.is_empty() => {
                Err(Error::outcome_unknown("the pool was defined at the same time"))
            }
            Some(PoolView { definition: Some(_), permits }) => {
                let users = PoolView { definition: None, permits }.users();
                Err(Error::PoolInUse { pool: name.clone(), users })
            }
            // Refused after a lost answer: the first try has deleted it.
            _ => Ok(reply.uncertain),
        }
    }
}

impl Session {
    /// Releases the permits that tasks of this plan still have under this session. For a process that lost
    /// the ownership while its session lives, after all that it ran for the plan has ended: until then the
    /// permits stay, since the commands may still run. Without it they are released with the session. One
    /// read, and one transaction if there are any.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, each permit is released or not.
    pub async fn release_permits(&self, plan: &PlanName) -> Result<usize, Error> {
        let coordinator = self.coordinator();
        release_of(coordinator, self.lease(), |record| record.plan == *plan).await
    }
}

/// Releases the permits on a lease that these attempts have. One read, and one transaction if there are any.
async fn release_of(
    coordinator: &Coordinator,
    lease: LeaseId,
    is_meant: impl Fn(&PermitRecord) -> bool,
) -> Result<usize, Error> {
    let (pools, _) = coordinator.pools().await?;
    let mut keys = Vec::new();
    for (pool, view) in &pools.0 {
        for (number, permit) in &view.permits {
            if permit.lease == lease && permit.record.as_ref().is_some_and(&is_meant) {
                // The same permit may be another attempt's of this session by the time that it is deleted.
                let key = coordinator.layout().key(&Key::Permit(pool.clone(), *number, lease));
                let when = Transaction::when([Compare::Modified(key.clone(), Some(permit.since))]);
                keys.push(Op::Nested(when.then([Op::Delete(key)])));
            }
        }
    }
    for some in keys.chunks(MAX_OPS / 2) {
        let txn = Transaction::default().then(some.iter().cloned());
        coordinator.etcd().execute(&txn, Admission::TURN).await?;
    }
    Ok(keys.len())
}

impl Authority {
    /// Starts a task with the permits that it needs, if all that is required holds. Where it uses no pool,
    /// one transaction; else one read of its pools besides, and both again while other starts take the same
    /// permits.
    pub(crate) async fn start_in_pools(
        &self,
        plan: &PlanView,
        seen: &TaskView,
        requires: &[Compare],
    ) -> Result<Outcome, Error> {
        let spec = plan.spec();
        let policy = spec.task(&seen.id).map_or_else(|| spec.policy.clone(), |task| spec.policy_of(task));
        let Some(uses) = plan.graph().pools(&seen.id) else {
            let start = StartBounds { policy, permits: None };
            return self.update_starting(seen, None, &Change::Start, requires, Some(&start)).await;
        };
        let coordinator = self.coordinator();
        let mut turns = Vec::new();
        for (pool, _) in uses.iter() {
            // In the order of their names, so that no two starts wait for each other.
            turns.push(coordinator.pool_starts().next(pool).await);
        }
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1, Some(coordinator.config().operation_timeout));
        let (mut pools, mut unexplained) = (coordinator.pools_of(uses).await?, 0);
        for _ in 0..TRIES {
            let is_own = |permit: &PermitView| self.has_left(permit, &seen.id);
            let taken = match pools.take(uses, is_own, |below| coordinator.etcd().random().below(below)) {
                Ok(taken) => taken,
                Err(wait) => return Ok(Outcome::Refused(Refused::Pool(Box::new(wait)))),
            };
            let mut all = requires.to_vec();
            all.extend(self.permits_are_free(&pools, &taken));
            let start = StartBounds { policy: policy.clone(), permits: Some(&taken) };
            let outcome = self.update_starting(seen, None, &Change::Start, &all, Some(&start)).await?;
            if !matches!(outcome, Outcome::Refused(Refused::Dependency)) {
                return Ok(outcome);
            }
            let present = coordinator.pools_of(uses).await?;
            // Something else that it requires is not the case; or a permit was taken and released meanwhile.
            unexplained += u32::from(are_still_free(&pools, &present, &taken));
            if unexplained > UNEXPLAINED {
                return Ok(outcome);
            }
            pools = present;
            let Some(pause) = pauses.next(coordinator.etcd().random()) else { break };
            tokio::time::sleep(pause).await;
        }
        Ok(match pools.wait(uses) {
            Some(wait) => Outcome::Refused(Refused::Pool(Box::new(wait))),
            None => Outcome::Refused(Refused::Dependency),
        })
    }

    /// Whether an earlier attempt of this task under the same lease has left the permit.
    fn has_left(&self, permit: &PermitView, task: &TaskId) -> bool {
        let is_ours = self.limit.is_none() && self.claim_lease().is_ok_and(|lease| lease == permit.lease);
        let of_task = |record: &PermitRecord| record.plan == *self.plan() && record.task == *task;
        is_ours && permit.record.as_ref().is_some_and(of_task)
    }

    /// What a start that takes these permits compares: that each is free, or as an earlier attempt left it,
    /// and the pools are as they were read.
    fn permits_are_free<'a>(
        &'a self,
        pools: &'a PoolsView,
        taken: &'a Taken,
    ) -> impl Iterator<Item = Compare> + 'a {
        let layout = self.coordinator().layout();
        taken.iter().flat_map(move |(pool, numbers)| {
            let view = pools.0.get(pool);
            let definition = view.and_then(|pool| pool.definition.as_ref());
            let defined = Compare::Modified(
                layout.key(&Key::Pool(pool.clone())),
                definition.map(|(revision, _)| *revision),
            );
            let free =
                numbers.iter().map(move |number| match view.and_then(|view| view.permits.get(number)) {
                    None => Compare::Empty(layout.permit(pool, *number)),
                    Some(left) => {
                        let key = Key::Permit(pool.clone(), *number, left.lease);
                        Compare::Modified(layout.key(&key), Some(left.since))
                    }
                });
            [defined].into_iter().chain(free)
        })
    }

    /// Enters the permits into the record of a start, and returns what puts their keys: on the lease of the
    /// claim, with which they go.
    pub(crate) fn put_permits(
        &self,
        task: &TaskView,
        next: &mut TaskRecord,
        taken: &Taken,
    ) -> Result<Vec<Op>, Error> {
        let Some(claim) = &mut next.claim else { return Ok(Vec::new()) };
        let lease = match claim.limit {
            Some(limit) => limit.lease,
            None => self.claim_lease()?,
        };
        if let Some(session) = self.session() {
            session.takes_permits();
        }
        let permits = Permits { lease, taken: taken.clone() };
        let record = PermitRecord {
            v: FormatVersion::default(),
            plan: self.plan().clone(),
            task: task.id.clone(),
            attempt: next.attempt,
            by: claim.by.clone(),
            since: claim.since,
            extra: Extra::default(),
        };
        let value = codec::encode(&record)?;
        let layout = self.coordinator().layout();
        let puts = permits.keys().map(|key| Op::PutLeased(layout.key(&key), value.clone(), lease)).collect();
        claim.permits = Some(Box::new(permits));
        Ok(puts)
    }

    /// Releases the permits of an attempt under this session that another process has ended: its claimant has
    /// just learnt so from a refusal, when what ran for it had ended. If that does not succeed, they go with
    /// the session.
    pub(crate) async fn release_if_over(&self, task: &TaskId, attempt: Option<u32>, outcome: &Outcome) {
        let present = match outcome {
            Outcome::Refused(Refused::NotAllowed(_, present) | Refused::Conflict(present)) => {
                Some(&present.record)
            }
            Outcome::Refused(Refused::AuthorityLost(AuthorityLoss::Ownership(_))) => None,
            _ => return,
        };
        // Only a claimant completes an attempt, and its permits went with that.
        if present
            .is_some_and(|record| record.status == TaskStatus::Completed && attempt == Some(record.attempt))
        {
            return;
        }
        let Ok(lease) = self.claim_lease() else { return };
        if self.session().is_some_and(|session| !session.may_have_permits()) {
            return;
        }
        let goes_on = |record: &PermitRecord| {
            present.is_some_and(|present| {
                let claim = present.claim.as_ref().filter(|claim| claim.permits.is_some());
                let guard = claim.and_then(|claim| claim.guard.as_ref());
                present.attempt == record.attempt && guard == Some(&self.writer().guard)
            })
        };
        let is_over = |record: &PermitRecord| {
            let is_meant = attempt.is_none_or(|attempt| attempt == record.attempt);
            is_meant && record.plan == *self.plan() && record.task == *task && !goes_on(record)
        };
        if let Err(error) = release_of(self.coordinator(), lease, is_over).await {
            tracing::debug!(%task, error = error_chain(&error), "permits stay until the session ends");
        }
    }

    /// Deletes these permits, unless what ran for the claim may still run. Their keys end with the lease of
    /// the claim, so those of another session are never among them.
    pub(crate) fn release(&self, permits: Option<&Permits>) -> impl Iterator<Item = Op> {
        let layout = self.coordinator().layout();
        let permits = permits.filter(|_| !self.leaves_permits);
        permits.into_iter().flat_map(Permits::keys).map(move |key| Op::Delete(layout.key(&key)))
    }
}

/// Whether all that a start with these permits compared of its pools is as it was read.
fn are_still_free(read: &PoolsView, present: &PoolsView, taken: &Taken) -> bool {
    taken.iter().all(|(pool, numbers)| {
        let (read, present) = (read.0.get(pool), present.0.get(pool));
        let defined = |pool: Option<&PoolView>| {
            pool.and_then(|pool| pool.definition.as_ref()).map(|(revision, _)| *revision)
        };
        let permit =
            |pool: Option<&PoolView>, number: &u32| pool.and_then(|pool| pool.permits.get(number).cloned());
        let is_free = |number: &u32| permit(present, number) == permit(read, number);
        defined(read) == defined(present) && numbers.iter().all(is_free)
    })
}
