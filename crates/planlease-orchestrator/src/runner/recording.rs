//! Recording what came of the attempts that have ended, over lost answers and other people's writes.

use futures_util::future;
use planlease::{Error, Outcome, Refused, TaskView, error_chain, trace::TraceContext};
use planlease_core::{
    TaskId,
    standing::{may_be_retried, retry_reason},
    transition::{Change, Refusal},
};

use super::{execution::Runner, loss::explain, unrecorded::Unrecorded};
use crate::{attempt::End, report::Report};

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
    /// The attempt was cancelled before its end was written: it is to be given up instead.
    Cancelled,
    /// etcd is in trouble, for this reason.
    Later(String),
}

impl Runner {
    /// Records what came of the attempts that have ended, until etcd gets into trouble. What is to be written
    /// about them travels together; what came of that is looked at one by one. `Err` if the ownership is
    /// lost.
    pub(super) async fn record_ended(&mut self) -> Result<(), String> {
        let (authority, policies, reporter) =
            (&self.authority, self.timers.policies(), &self.shared.reporter);
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
            let end = ended.end(self.timers.policies());
            let mut written = self.write(ended, end).await?;
            if matches!(written, Written::Cancelled) {
                let end = ended.end(self.timers.policies());
                written = self.write(ended, end).await?;
            }
            match written {
                Written::Done => ended.recorded = true,
                Written::Cancelled => return Ok(Recorded::Later("the task keeps changing".to_owned())),
                Written::Refused(why) => {
                    ended.result.span.record("result", "not_recorded");
                    self.not_recorded(&task, why);
                    return Ok(Recorded::Done);
                }
                Written::Later(why) => return Ok(Recorded::Later(why)),
            }
        }
        if let Some(retry) = self.retry(&ended.seen)
            && let Written::Later(why) = self.write(ended, retry).await?
        {
            return Ok(Recorded::Later(why));
        }
        ended.result.span.record("result", ended.result.end.word());
        let plan = self.ownership.plan().clone();
        let (status, took) = (ended.seen.record.status, ended.result.took);
        let error = match &ended.result.end {
            End::NotStarted(why) | End::Short(why) => {
                let why = why.clone();
                self.shared.reporter.send(&Report::NotStarted { plan, task, attempt, why });
                return Ok(Recorded::Done);
            }
            End::Failed(why) | End::FailedWith(_, why) | End::Lost(why) => Some(why.clone()),
            End::Completed | End::Stopped => None,
        };
        let trace = planlease::trace::context(&ended.result.span).filter(TraceContext::is_sampled);
        self.shared.reporter.send(&Report::Ended { plan, task, attempt, status, took, error, trace });
        Ok(Recorded::Done)
    }

    /// Puts a failed task back, if its policy allows another attempt at once; after a pause it is
    /// [`Overdue`]'s.
    fn retry(&self, seen: &TaskView) -> Option<Change> {
        let policy = self.timers.policy(&seen.id);
        (policy.retry_delay_s == 0 && may_be_retried(&seen.record, policy))
            .then(|| Change::Retry(retry_reason(&seen.record, policy)))
    }

    /// Writes a change of a task of ours, on whatever its record is now. `Err` if the ownership is lost.
    async fn write(&mut self, ended: &mut Unrecorded, change: Change) -> Result<Written, String> {
        let outcome = match ended.sent.take() {
            Some(outcome) => outcome,
            None => ended.submit(&self.authority, change).await,
        };
        match outcome {
            Ok(Outcome::Committed(task)) => {
                self.view.apply_task(task.clone());
                ended.seen = task;
                ended.op_id = None;
                Ok(Written::Done)
            }
            Ok(Outcome::Refused(Refused::AuthorityLost(loss))) => {
                let why = explain(&self.ownership, &loss).await;
                self.not_recorded(&ended.seen.id, format!("refused: {why}"));
                Err(why)
            }
            Ok(Outcome::Refused(Refused::NotAllowed(Refusal::Cancelled { .. }, present))) => {
                self.view.apply_task((*present).clone());
                ended.seen = *present;
                ended.op_id = None;
                Ok(Written::Cancelled)
            }
            Ok(Outcome::Refused(Refused::NotAllowed(refusal, _))) => {
                Ok(Written::Refused(refusal.to_string()))
            }
            Ok(Outcome::Refused(Refused::Conflict(present))) => {
                self.view.apply_task(*present);
                Ok(Written::Later("the task keeps changing".to_owned()))
            }
            Ok(Outcome::Refused(_)) | Err(Error::PlanNotFound(_) | Error::TaskNotFound { .. }) => {
                Ok(Written::Refused("the task is gone".to_owned()))
            }
            Ok(Outcome::Unknown { op_id, reason }) => {
                ended.op_id = Some(op_id);
                Ok(Written::Later(reason))
            }
            Err(error @ (Error::Codec(_) | Error::Unreadable(_))) => {
                Ok(Written::Refused(error_chain(&error)))
            }
            Err(error) => Ok(Written::Later(error_chain(&error))),
        }
    }

    pub(super) fn not_recorded(&self, task: &TaskId, why: String) {
        let (plan, task) = (self.ownership.plan().clone(), task.clone());
        self.shared.reporter.send(&Report::NotRecorded { plan, task, why });
    }
}
