//! Several updates in one transaction, all or nothing, and what became of it.
//!
//! It compares the guard and the record of every task, and writes all of them at one revision. So each of its
//! records proves the outcome of all: one `op_id` of it in etcd shows that it was carried out, one record
//! that changed without it shows that it never will be.

use planlease_core::{
    TaskId,
    keys::PlanKey,
    record::{Guard, TaskRecord},
    release,
    transition::Change,
    view::TaskView,
};
use uuid::Uuid;

use super::{
    execute::stored,
    outcome::{BatchOutcome, Refused},
    resolve::{LOOK_AGAIN, Present, RESOLVE_WITHIN},
};
use crate::{
    authority::Authority,
    error::Error,
    etcd::{Admission, Branch, Compare, MAX_BYTES, MAX_OPS, Op, Reply, Transaction},
    retry::Backoff,
};

/// One update of a batch as it is sent.
pub(super) struct Step<'a> {
    pub(super) seen: &'a TaskView,
    pub(super) change: &'a Change,
    pub(super) next: TaskRecord,
}

/// What is known of a batch that may have been carried out.
enum Proof {
    /// It was; the present records.
    Done(Vec<TaskView>),
    /// It was not, and never will be: a record that it compares has changed for good.
    Never,
    /// Neither: nothing has changed.
    None,
}

impl Authority {
    /// Carries out a batch.
    pub(super) async fn send_batch(&self, steps: &[Step<'_>]) -> Result<BatchOutcome, Error> {
        let layout = self.coordinator().layout();
        let key = |step: &Step<'_>| layout.of(self.plan(), &PlanKey::Task(step.seen.id.clone()));
        let mut puts = Vec::with_capacity(steps.len());
        for step in steps {
            puts.push(Op::Put(key(step), stored(&step.seen.record, step.change, &step.next)?));
        }
        for step in steps {
            puts.extend(self.release(release::released(&step.seen.record, &step.next)));
        }
        if puts.len() >= MAX_OPS {
            let unit = "records and permits that it releases";
            return Err(Error::BatchTooLarge { size: puts.len(), most: MAX_OPS - 1, unit });
        }
        let txn = Transaction::when(
            steps.iter().map(|step| Compare::Modified(key(step), Some(step.seen.revision))),
        )
        .then(puts)
        .otherwise(steps.iter().map(|step| Op::Get(key(step))));
        let most = MAX_BYTES;
        if txn.bytes() > most {
            return Err(Error::BatchTooLarge { size: txn.bytes(), most, unit: "bytes of records" });
        }
        let guarded = self.guarded(txn);
        let outcome = match self.coordinator().etcd().execute(&guarded, Admission::TURN).await {
            Ok(reply) if reply.branch == Branch::Then => {
                let views = steps.iter().map(|step| TaskView {
                    id: step.seen.id.clone(),
                    revision: reply.revision,
                    record: step.next.clone(),
                });
                BatchOutcome::Committed(views.collect())
            }
            Ok(reply) => self.judge_batch(steps, reply).await?,
            Err(fault) if fault.not_executed => return Err(fault.into()),
            Err(fault) => self.resolve_batch(steps, fault.to_string()).await,
        };
        if let BatchOutcome::Committed(_) = outcome {
            for step in steps {
                self.maintain_limit(step).await;
            }
        }
        Ok(outcome)
    }

    /// Ends the time limit of a claim that was ended, and extends that of one that reports progress.
    async fn maintain_limit(&self, step: &Step<'_>) {
        let limit = |record: &TaskRecord| record.claim.as_ref().and_then(|claim| claim.limit);
        match (limit(&step.seen.record), limit(&step.next)) {
            (Some(limit), None) => self.coordinator().end_limit(&limit).await,
            (Some(limit), Some(_)) => self.coordinator().renew_limit(&limit).await,
            (None, _) => {}
        }
    }

    /// What a refusal by etcd means, given the present records.
    async fn judge_batch(&self, steps: &[Step<'_>], reply: Reply) -> Result<BatchOutcome, Error> {
        let mut reply = reply;
        let (uncertain, right) = (reply.uncertain, reply.guard_held);
        let mut present = Vec::with_capacity(steps.len());
        for step in steps {
            let entry = reply.row();
            let view = entry.as_ref().map(|entry| TaskView::read(self.plan(), step.seen.id.clone(), entry));
            present.push(view.transpose()?);
        }
        if uncertain {
            match self.proof(steps, &present).await {
                Ok(Proof::Done(views)) => return Ok(BatchOutcome::Committed(views)),
                Ok(Proof::Never) => {}
                Ok(Proof::None) if right || self.writer().guard != Guard::Unowned => {}
                Ok(Proof::None) => {
                    // That the plan has no owner may hold again, and then an earlier try that is still under
                    // way can be carried out after all.
                    return Ok(unknown(steps, "another process acquired the plan meanwhile".to_owned()));
                }
                Err(error) => return Ok(unknown(steps, error.to_string())),
            }
        }
        let refused = steps.iter().zip(present).filter_map(|(step, present)| match present {
            _ if !right => Some((step.seen.id.clone(), Refused::AuthorityLost(self.loss()))),
            None => Some((step.seen.id.clone(), Refused::NoSuchTask)),
            Some(present) if present.revision != step.seen.revision => {
                Some((step.seen.id.clone(), Refused::Conflict(Box::new(present))))
            }
            Some(_) => None,
        });
        Ok(BatchOutcome::Refused(refused.collect()))
    }

    /// What the present records prove about a batch that may have been carried out.
    async fn proof(&self, steps: &[Step<'_>], present: &[Option<TaskView>]) -> Result<Proof, Error> {
        let (coordinator, plan) = (self.coordinator(), self.plan());
        let ours = |(step, view): (&Step<'_>, &Option<TaskView>)| {
            view.as_ref().is_some_and(|view| view.record.op_id == step.next.op_id)
        };
        if steps.iter().zip(present).any(ours) {
            let views = steps.iter().zip(present).filter_map(|(_, view)| view.clone());
            return Ok(Proof::Done(views.collect()));
        }
        if present.iter().any(Option::is_none) {
            return Err(Error::outcome_unknown("the plan was deleted or edited meanwhile"));
        }
        let changed = steps
            .iter()
            .zip(present)
            .find(|(step, view)| view.as_ref().is_some_and(|view| view.revision != step.seen.revision));
        let Some((step, _)) = changed else { return Ok(Proof::None) };
        // One task answers for all: they were written together.
        let found = coordinator.history(plan).find_update(&step.seen.id, step.seen.revision, step.next.op_id);
        Ok(match found.await? {
            Some(_) => Proof::Done(present.iter().flatten().cloned().collect()),
            None => Proof::Never,
        })
    }

    /// Looks what became of a batch that was not answered.
    async fn resolve_batch(&self, steps: &[Step<'_>], reason: String) -> BatchOutcome {
        let looked = tokio::time::timeout(RESOLVE_WITHIN, self.look_for_batch(steps)).await;
        looked.ok().flatten().unwrap_or_else(|| unknown(steps, reason))
    }

    /// `None` if it cannot be found out.
    async fn look_for_batch(&self, steps: &[Step<'_>]) -> Option<BatchOutcome> {
        let mut pauses = Backoff::new(LOOK_AGAIN.0, LOOK_AGAIN.1, None);
        let tasks: Vec<&TaskId> = steps.iter().map(|step| &step.seen.id).collect();
        loop {
            match self.present(&tasks).await {
                Ok(Present { tasks: present, guard_is_gone }) => match self.proof(steps, &present).await {
                    Ok(Proof::Done(views)) => return Some(BatchOutcome::Committed(views)),
                    Ok(Proof::Never) => {
                        let changed = steps.iter().zip(present).filter_map(|(step, view)| {
                            let view = view.filter(|view| view.revision != step.seen.revision)?;
                            Some((step.seen.id.clone(), Refused::Conflict(Box::new(view))))
                        });
                        return Some(BatchOutcome::Refused(changed.collect()));
                    }
                    Ok(Proof::None) if guard_is_gone => {
                        let lost =
                            |task: &&TaskId| ((*task).clone(), Refused::AuthorityLost(self.loss_of_guard()));
                        return Some(BatchOutcome::Refused(tasks.iter().map(lost).collect()));
                    }
                    Ok(Proof::None) => {} // The write may still come.
                    Err(error) if error.is_transient() => {}
                    Err(_) => return None,
                },
                Err(error) if error.is_transient() => {}
                Err(_) => return None,
            }
            tokio::time::sleep(pauses.next(self.coordinator().etcd().random())?).await;
        }
    }
}

fn unknown(steps: &[Step<'_>], reason: String) -> BatchOutcome {
    let op_id = steps.first().map_or_else(Uuid::nil, |step| step.next.op_id);
    BatchOutcome::Unknown { op_id, reason }
}
