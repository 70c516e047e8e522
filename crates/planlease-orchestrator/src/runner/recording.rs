//! Recording what came of the attempts that have ended, over lost answers and other people's writes.

use futures_util::future;
use planlease::{Error, Outcome, Refused, TaskView};
use planlease_core::{
    standing::{may_be_retried, retry_reason},
    transition::Change,
};

use super::{
    execution::{Runner, explain},
    unrecorded::Unrecorded,
};
use crate::{
    attempt::{End, chain},
    report::Report,
};

/// How often a write is tried on a fresh record at once before the others get their turn.
const MAX_CONFLICTS: usize = 16;

/// What recording came to.
enum Recorded {
    Done,
    /// etcd is in trouble, for this reason.
    Later(String),
}

/// What one write came to.
enum Written {
    Done,
    Refused(String),
    /// etcd is in trouble, for this reason.
    Later(String),
}

impl Runner {
    /// Records what came of the attempts that have ended, until etcd gets into trouble. What is to be written
    /// about them travels together; what came of that is looked at one by one. `Err` if the ownership is
    /// lost.
    pub(super) async fn record_ended(&mut self) -> Result<(), String> {
        let (authority, policies, reporter) = (&self.authority, &self.policies, &self.shared.reporter);
        future::join_all(self.ended.iter_mut().map(|ended| ended.send(authority, policies, reporter))).await;
        // If the authority was lost in between, what was recorded before is reported first.
        self.ended.make_contiguous().sort_by_key(|ended| !ended.is_recorded());
        while let Some(mut ended) = self.ended.pop_front() {
            match self.record(&mut ended).await? {
                Recorded::Done => self.trouble.clear(),
                Recorded::Later(why) => {
                    self.ended.push_front(ended);
                    self.wait_for_better(why);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Records one; goes on where it left off when it is called again.
    async fn record(&mut self, ended: &mut Unrecorded) -> Result<Recorded, String> {
        let attempt = ended.result.started.record.attempt;
        let task = ended.result.started.id.clone();
        if !ended.recorded {
            let end = ended.end(&self.policies);
            match self.write(ended, attempt, &end).await? {
                Written::Done => ended.recorded = true,
                Written::Refused(why) => {
                    self.not_recorded(&task, why);
                    return Ok(Recorded::Done);
                }
                Written::Later(why) => return Ok(Recorded::Later(why)),
            }
        }
        if let Some(retry) = self.retry(&ended.seen)
            && let Written::Later(why) = self.write(ended, attempt, &retry).await?
        {
            return Ok(Recorded::Later(why));
        }
        let plan = self.ownership.plan().clone();
        let (status, took) = (ended.seen.record.status, ended.result.took);
        let error = match &ended.result.end {
            End::NotStarted(why) | End::Short(why) => {
                let why = why.clone();
                self.shared.reporter.send(&Report::NotStarted { plan, task, attempt, why });
                return Ok(Recorded::Done);
            }
            End::Failed(why) | End::Lost(why) => Some(why.clone()),
            End::Completed | End::Stopped => None,
        };
        self.shared.reporter.send(&Report::Ended { plan, task, attempt, status, took, error });
        Ok(Recorded::Done)
    }

    /// Puts a failed task back, if its policy allows another attempt at once; after a pause it is
    /// [`Overdue`]'s.
    fn retry(&self, seen: &TaskView) -> Option<Change> {
        let policy = self.policies.of_task(&seen.id);
        (policy.retry_delay_s == 0 && may_be_retried(&seen.record, policy))
            .then(|| Change::Retry(retry_reason(&seen.record, policy)))
    }

    /// Writes a change of a task of ours, on whatever its record is now. `Err` if the ownership is lost.
    async fn write(
        &mut self,
        ended: &mut Unrecorded,
        attempt: u32,
        change: &Change,
    ) -> Result<Written, String> {
        if let Some(op_id) = ended.unsure {
            let coordinator = self.ownership.session().coordinator().clone();
            match coordinator.task(self.ownership.plan(), &ended.seen.id).await {
                Ok(Some(present)) => ended.seen = present,
                Ok(None) => return Ok(Written::Refused("the task is gone".to_owned())),
                Err(error) => return Ok(Written::Later(chain(&error))),
            }
            ended.unsure = None;
            self.view.apply_task(ended.seen.clone());
            if ended.seen.record.op_id == op_id {
                return Ok(Written::Done); // The answer got lost, the write did not.
            }
        }
        for _ in 0..MAX_CONFLICTS {
            let outcome = match ended.sent.take() {
                Some(outcome) => outcome,
                None => self.authority.update(&ended.seen.measured(ended.spent), Some(attempt), change).await,
            };
            match outcome {
                Ok(Outcome::Committed(task)) => {
                    self.view.apply_task(task.clone());
                    ended.seen = task;
                    return Ok(Written::Done);
                }
                Ok(Outcome::Refused(Refused::Conflict(present))) => {
                    self.view.apply_task((*present).clone());
                    ended.seen = *present; // A note by the task itself, say: the same attempt still counts.
                }
                Ok(Outcome::Refused(Refused::RightGone)) | Err(Error::SessionLost(_)) => {
                    let why = explain(&self.ownership).await;
                    self.not_recorded(&ended.seen.id, format!("refused: {why}"));
                    return Err(why);
                }
                Ok(Outcome::Refused(Refused::NotAllowed(refusal, _))) => {
                    return Ok(Written::Refused(refusal.to_string()));
                }
                Ok(Outcome::Refused(_)) => return Ok(Written::Refused("the task is gone".to_owned())),
                Ok(Outcome::Unknown { op_id, reason }) => {
                    ended.unsure = Some(op_id);
                    return Ok(Written::Later(reason));
                }
                Err(error @ (Error::Codec(_) | Error::Unreadable(_))) => {
                    return Ok(Written::Refused(chain(&error)));
                }
                Err(error) => return Ok(Written::Later(chain(&error))),
            }
        }
        Ok(Written::Later("the task keeps changing".to_owned()))
    }
}
