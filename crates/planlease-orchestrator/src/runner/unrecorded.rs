//! An attempt that has ended, until its end is recorded.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::{Authority, Error, Outcome, TaskView, UpdateRequest, error_chain};
use planlease_core::{
    exits::{CommandEnd, Verdict},
    orphan,
    record::GivenUp,
    spec::{Policies, Policy},
    transition::Change,
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    attempt::{self, End},
    ending::Status,
    report::{Report, Reporter},
};

/// An attempt that has ended, and how far its end is recorded.
pub(super) struct Unrecorded {
    pub(super) result: attempt::Result,
    /// The record of its task, as it was seen last.
    pub(super) seen: TaskView,
    pub(super) output_kept: bool,
    pub(super) recorded: bool,
    /// What came of writing its end, if that is not looked at yet.
    pub(super) sent: Option<Result<Outcome, Error>>,
    /// The id of the write whose outcome is unknown: it is submitted again under the same one.
    pub(super) op_id: Option<Uuid>,
    /// How much of its total time the task has used up, if it is bounded.
    pub(super) spent: Option<Duration>,
}

impl Unrecorded {
    /// `seen`: the record of its task, if it was seen since the start.
    pub(super) fn new(result: attempt::Result, seen: Option<TaskView>, spent: Option<Duration>) -> Self {
        Self {
            seen: seen.unwrap_or_else(|| result.started.clone()),
            spent,
            result,
            output_kept: false,
            recorded: false,
            sent: None,
            op_id: None,
        }
    }

    /// Whether its end is in its record.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded || matches!(self.sent, Some(Ok(Outcome::Committed(_))))
    }

    /// What is to be recorded.
    pub(super) fn end(&self, policies: &Policies) -> Change {
        if let Some(request) = &self.seen.record.cancel {
            return Change::Return(request.reason());
        }
        match &self.result.end {
            End::Completed => Change::Complete(None),
            End::Failed(why) => Change::Fail(why.clone()),
            End::FailedWith(status, why) => failed(policies.of_task(&self.seen.id), status, why),
            End::Stopped => Change::Return("the orchestrator stops".to_owned()),
            End::NotStarted(why) | End::Short(why) => Change::Return(format!("did not start: {why}")),
            End::Lost(why) => orphan::lost(policies.of_task(&self.seen.id), &self.seen.record, why.clone()),
        }
    }

    /// Submits a change of its task, decided on the record that was seen last.
    pub(super) async fn submit(&self, authority: &Authority, change: Change) -> Result<Outcome, Error> {
        let attempt = self.result.started.record.attempt;
        let request =
            UpdateRequest::new(self.seen.id.clone(), change).of_attempt(attempt).measured(self.spent);
        let request = match self.op_id {
            Some(op_id) => request.identified(op_id),
            None => request,
        };
        authority.submit_on(&self.seen, &request).instrument(self.result.span.clone()).await
    }

    /// Writes the output, and then the end, unless that was tried before. The outcome is
    /// processed by `Runner::record`.
    pub(super) async fn send(&mut self, authority: &Authority, policies: &Policies, reporter: &Reporter) {
        let attempt = self.result.started.record.attempt;
        if !std::mem::replace(&mut self.output_kept, true) && !self.result.output.trim().is_empty() {
            let task = &self.result.started.id;
            if let Err(error) = authority.write_output(task, attempt, &self.result.output).await {
                let why = format!("the output of {task} is not kept: {}", error_chain(&error));
                reporter.send(&Report::Trouble(why));
            }
        }
        if !self.recorded && self.sent.is_none() {
            self.sent = Some(self.submit(authority, self.end(policies)).await);
        }
    }
}

/// What becomes of a task whose command failed with this status.
fn failed(policy: &Policy, status: &Status, why: &str) -> Change {
    let end = match status {
        Status::Exited(code) => CommandEnd::Code(*code),
        Status::Signalled(number) => match Signal::try_from(*number) {
            Ok(signal) => CommandEnd::Signal(signal.as_str()),
            Err(_) => return Change::Fail(why.to_owned()),
        },
        Status::NotStarted { .. } | Status::Unknown => return Change::Fail(why.to_owned()),
    };
    match policy.verdict(end) {
        Verdict::Retry => Change::Fail(why.to_owned()),
        Verdict::Fail if policy.fail_on.contains(end) => {
            Change::GiveUp(GivenUp::Failed, format!("{why}; not to be retried (fail_on)"))
        }
        Verdict::Fail => Change::GiveUp(GivenUp::Failed, format!("{why}; not to be retried (retry_on)")),
        Verdict::Ask => Change::GiveUp(GivenUp::Asks, format!("{why}; retry or skip it (ask_on)")),
    }
}
