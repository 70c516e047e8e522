//! Stopping a plan: pause and resume, cancel, archive.
//!
//! A pause is a key, `halt/pause`, that every start compares as absent: nothing more is started, what runs
//! comes to its end, and the owner stays. A close is a key, `halt/close`, that every acquisition compares as
//! well, and that is put by the very transaction that ends the present ownership: from that revision on no
//! owner writes anything. The records stay as they were; reopening the plan is deleting the key, and the next
//! owner recovers what was in progress.

use planlease_core::{
    Extra, PlanName, Revision,
    codec::{self, FormatVersion},
    keys::PlanKey,
    record::{Ending, Halt, HaltRecord},
    term,
    view::{self, PlanView},
};

use crate::{
    admin::{Admin, Reason},
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
};

/// How often closing is tried while the plan changes.
const TRIES: usize = 64;

/// What a command about a plan's halt came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Halted {
    /// It is so now, since this revision.
    Done(Revision),
    /// It was so already; nothing was changed.
    Unchanged(Box<HaltRecord>),
}

impl Admin<'_> {
    /// Pauses a plan: no process starts another task. What is in progress goes on, and the owner stays. One
    /// transaction.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    #[tracing::instrument(name = "pause_plan", level = "debug", skip_all, fields(%plan))]
    pub async fn pause(self, plan: &PlanName, reason: &Reason) -> Result<Halted, Error> {
        let (spec, pause) = (
            self.coordinator.layout().of(plan, &PlanKey::Spec),
            self.coordinator.layout().of(plan, &PlanKey::Pause),
        );
        let record = self.halt_record(Halt::Paused, reason);
        let txn = Transaction::when([Compare::Exists(spec.clone()), Compare::Created(pause.clone(), None)])
            .then([Op::Put(pause.clone(), codec::encode(&record)?)])
            .otherwise([Op::Find(spec), Op::Get(pause)]);
        let mut reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            return Ok(Halted::Done(reply.revision));
        }
        if reply.row().is_none() {
            return Err(Error::PlanNotFound(plan.clone()));
        }
        match reply.row() {
            Some(entry) => {
                let (at, present) = view::halt_of(plan, &PlanKey::Pause, &entry).0;
                Ok(halted(at, present, &record))
            }
            None => Err(Error::outcome_unknown("the plan was resumed at the same time")),
        }
    }

    /// Ends a pause, and reopens a plan that was cancelled or archived. `false` if there was nothing to end.
    /// What halts the plan later is not ended. One read, one transaction; both again if it moved.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::Reason;
    ///
    /// let reason = Reason::by("anna").because("the registry is down");
    /// coordinator.admin().pause(&plan, &reason).await?;
    /// assert!(coordinator.plan(&plan).await?.halt().is_some());
    /// assert!(coordinator.admin().resume(&plan).await?);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    #[tracing::instrument(name = "resume_plan", level = "debug", skip_all, fields(%plan))]
    pub async fn resume(self, plan: &PlanName) -> Result<bool, Error> {
        let layout = self.coordinator.layout();
        let spec = layout.of(plan, &PlanKey::Spec);
        let mut uncertain = false;
        for _ in 0..TRIES {
            let view = self.coordinator.plan(plan).await?;
            if view.halts().paused.is_none() && view.halts().closed.is_none() {
                return Ok(uncertain); // An earlier try without an answer may have ended it.
            }
            if uncertain {
                return Err(Error::outcome_unknown("the plan was halted again at the same time"));
            }
            let as_seen = Compare::NoneWrittenAfter(layout.halts(plan), view.revision());
            let txn = Transaction::when([Compare::Exists(spec.clone()), as_seen])
                .then([Op::DeleteRange(layout.halts(plan))]);
            let reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
            if reply.branch == Branch::Then {
                return Ok(true);
            }
            uncertain = reply.uncertain;
        }
        Err(Error::TimedOut("the plan keeps changing"))
    }

    /// Ends a pause, and leaves a plan as it is that was cancelled or archived. `false` if it was not paused.
    /// One read, one transaction.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`], and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    #[tracing::instrument(name = "end_pause", level = "debug", skip_all, fields(%plan))]
    pub async fn end_pause(self, plan: &PlanName) -> Result<bool, Error> {
        let layout = self.coordinator.layout();
        let [spec, pause, close] =
            [PlanKey::Spec, PlanKey::Pause, PlanKey::Close].map(|key| layout.of(plan, &key));
        let read =
            Transaction::default().then([Op::Find(spec), Op::Get(pause.clone()), Op::Find(close.clone())]);
        let mut reply = self.coordinator.etcd().execute(&read, Admission::TURN).await?;
        if reply.row().is_none() {
            return Err(Error::PlanNotFound(plan.clone()));
        }
        let (Some(paused), None) = (reply.row(), reply.row()) else { return Ok(false) };
        let as_seen = Compare::Modified(pause.clone(), Some(paused.modified));
        let txn = Transaction::when([as_seen, Compare::Created(close, None)]).then([Op::Delete(pause)]);
        let reply = self.coordinator.etcd().execute(&txn, Admission::TURN).await?;
        // Refused: an earlier try without an answer may have ended it; or another operator closed the plan.
        Ok(reply.branch == Branch::Then || reply.uncertain)
    }

    /// Cancels a plan: its present ownership ends by force in the same transaction, and no process can own it
    /// or start a task any more, until it is resumed. Against a completion at the same moment there is one
    /// winner: a plan that is finished is not cancelled, and the transaction compares that no task was
    /// changed since the plan was looked at.
    ///
    /// # Errors
    /// [`Error::PlanFinished`], [`Error::PlanNotFound`], [`Error::TimedOut`] if the plan keeps changing, and
    /// as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    #[tracing::instrument(name = "cancel_plan", level = "debug", skip_all, fields(%plan))]
    pub async fn cancel(self, plan: &PlanName, reason: &Reason) -> Result<Halted, Error> {
        let record = self.halt_record(Halt::Cancelled, reason);
        self.close(plan, &record, |view| {
            if view.summary().is_finished() { Err(Error::PlanFinished(plan.clone())) } else { Ok(()) }
        })
        .await
    }

    /// Puts a plan away: it is not listed any more unless asked for, and cannot be owned until it is resumed.
    ///
    /// # Errors
    /// [`Error::PlanOwned`] if it is owned or waited for, [`Error::PlanNotFound`], and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    #[tracing::instrument(name = "archive_plan", level = "debug", skip_all, fields(%plan))]
    pub async fn archive(self, plan: &PlanName, reason: &Reason) -> Result<Halted, Error> {
        let record = self.halt_record(Halt::Archived, reason);
        self.close(plan, &record, |view| match view.queue().candidates().first() {
            Some(first) => Err(Error::PlanOwned { plan: plan.clone(), by: first.name() }),
            None => Ok(()),
        })
        .await
    }

    fn halt_record(self, how: Halt, reason: &Reason) -> HaltRecord {
        let (by, at) = (reason.by.clone(), self.coordinator.clock().wall());
        let why = codec::shorten(&reason.why, 1_000);
        HaltRecord { v: FormatVersion::default(), how, by, at, why, extra: Extra::default() }
    }

    async fn close(
        self,
        plan: &PlanName,
        record: &HaltRecord,
        may: impl Fn(&PlanView) -> Result<(), Error>,
    ) -> Result<Halted, Error> {
        let layout = self.coordinator.layout();
        let close = layout.of(plan, &PlanKey::Close);
        let value = codec::encode(record)?;
        for _ in 0..TRIES {
            let view = self.coordinator.plan(plan).await?;
            view.require(&PlanKey::Term)?;
            if let Some((at, present)) = &view.halts().closed
                && present.how == record.how
            {
                return Ok(halted(*at, present.clone(), record));
            }
            may(&view)?;
            let mut when = vec![
                Compare::Modified(close.clone(), view.halts().closed.as_ref().map(|(at, _)| *at)),
                Compare::NoneWrittenAfter(layout.tasks(plan), view.revision()),
                Compare::Exists(layout.of(plan, &PlanKey::Spec)),
            ];
            let mut then = vec![Op::Put(close.clone(), value.clone())];
            match view.queue().owner() {
                Some((owner, of)) => {
                    let key = layout.of(plan, &PlanKey::Owner(owner.lease));
                    let ending = Ending::Forced {
                        by: record.by.clone(),
                        reason: format!("cancelled: {}", record.why),
                    };
                    let ended = codec::encode(&term::end(of, ending, self.coordinator.clock().wall()))?;
                    when.push(Compare::Created(key.clone(), Some(owner.joined)));
                    then.extend([
                        Op::Delete(key),
                        Op::Put(layout.of(plan, &PlanKey::Term), ended.clone()),
                        Op::Put(layout.of(plan, &PlanKey::PastTerm(of.number)), ended),
                    ]);
                }
                None => when.push(match &view.queue().term {
                    // No successor has taken over since.
                    Some((at, _)) => Compare::Modified(layout.of(plan, &PlanKey::Term), Some(*at)),
                    None => Compare::Created(layout.of(plan, &PlanKey::Term), None),
                }),
            }
            let reply =
                self.coordinator.etcd().execute(&Transaction::when(when).then(then), Admission::TURN).await?;
            if reply.branch == Branch::Then {
                return Ok(Halted::Done(reply.revision));
            }
            // Something moved; or an earlier try was carried out, which the next look shows.
        }
        Err(Error::TimedOut("the plan keeps changing"))
    }
}

/// The present halt: written by an earlier attempt whose answer was lost, or by an earlier operator.
fn halted(at: Revision, present: HaltRecord, ours: &HaltRecord) -> Halted {
    if present == *ours { Halted::Done(at) } else { Halted::Unchanged(Box::new(present)) }
}
