//! An attempt that has ended, until its end is recorded.

use std::time::Duration;

use planlease::{Authority, Error, Outcome, TaskView};
use planlease_core::{orphan, spec::Policies, transition::Change};
use uuid::Uuid;

use crate::{
    attempt::{self, End, chain},
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
    /// The write whose answer got lost: it may be in the record.
    pub(super) unsure: Option<Uuid>,
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
            unsure: None,
        }
    }

    /// Whether its end is in its record.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded || matches!(self.sent, Some(Ok(Outcome::Committed(_))))
    }

    /// What is to be recorded.
    pub(super) fn end(&self, policies: &Policies) -> Change {
        match &self.result.end {
            End::Completed => Change::Complete(None),
            End::Failed(why) => Change::Fail(why.clone()),
            End::Stopped => Change::Return("the orchestrator stops".to_owned()),
            End::NotStarted(why) | End::Short(why) => Change::Return(format!("did not start: {why}")),
            End::Lost(why) => orphan::lost(policies.of_task(&self.seen.id), &self.seen.record, why.clone()),
        }
    }

    /// Writes the output, and then the end, unless that was tried before. The outcome is
    /// processed by `Runner::record`.
    pub(super) async fn send(&mut self, authority: &Authority, policies: &Policies, reporter: &Reporter) {
        let attempt = self.result.started.record.attempt;
        if !std::mem::replace(&mut self.output_kept, true) && !self.result.output.trim().is_empty() {
            let task = &self.result.started.id;
            if let Err(error) = authority.write_output(task, attempt, &self.result.output).await {
                let why = format!("the output of {task} is not kept: {}", chain(&error));
                reporter.send(&Report::Trouble(why));
            }
        }
        if !self.recorded && self.sent.is_none() && self.unsure.is_none() {
            self.sent = Some(
                authority.update(&self.seen.measured(self.spent), Some(attempt), &self.end(policies)).await,
            );
        }
    }
}
