//! `approve` and `reject`: a person decides about tasks whose plan asks for an approval.

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};
use planlease::core::{cancel::Then, transition::Change};

use super::{cancel::then, targets::SelectedArgs};
use crate::{exit::Exit, failure::Failure, invocation::Invocation};

/// Approve tasks that wait for a person
///
/// A task with `approval = "before"` may start then, once: each attempt needs an approval of its own. The
/// result of a task with `approval = "after"` counts then: the task is completed. The approval is recorded
/// with its author and reason (`planlease why`, `planlease task show`).
///
/// Only an operator can approve: a command that `run` or `hold` has started cannot.
#[derive(Debug, Args)]
#[command(after_help = APPROVE_EXAMPLES)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    tasks: SelectedArgs,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    /// Only if it is this attempt that waits
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
}

const APPROVE_EXAMPLES: &str = "\
Without tasks, a selection by status, label or phase means those that wait for approval.

Examples:
  planlease approve release 3.1 --reason 'the changelog is right'
  planlease approve release 3.1 --attempt 2 --reason 'looked at the second try'
  planlease approve release --phase 3 --reason 'reviewed together' --dry-run";

/// Reject tasks that wait for a person's approval
///
/// Without --then, a rejected result is worked on again, and the next attempt is given the reason; a task
/// that was not started waits for a decision: retry or skip it. Neither counts as a failure.
#[derive(Debug, Args)]
#[command(after_help = REJECT_EXAMPLES)]
pub(crate) struct RejectArgs {
    #[command(flatten)]
    tasks: SelectedArgs,
    /// Why; the next attempt is given it
    #[arg(long, value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    /// What becomes of the tasks: they are skipped, fail without a retry, or are pending again [default:
    /// retry for a result, fail for a task that was not started]
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(Then::ALL.map(Then::as_str)).try_map(then))]
    then: Option<Then>,
    /// Only if it is this attempt that waits
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
}

const REJECT_EXAMPLES: &str = "\
Without tasks, a selection by status, label or phase means those that wait for approval.

Examples:
  planlease reject release 3.1 --reason 'the date in the changelog is wrong'
  planlease reject release 3.1 --reason 'not in this release' --then skip";

impl ApproveArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        self.tasks.of_attempt(self.attempt).run(invocation, Change::Approve(self.reason)).await
    }
}

impl RejectArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        self.tasks.of_attempt(self.attempt).run(invocation, Change::Reject(self.then, self.reason)).await
    }
}
