//! `task cancel`: ends the attempt of a task that is in progress, or decides about one that was not started.

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};
use planlease::core::{cancel::Then, transition::Change};

use super::update::UpdateArgs;
use crate::{exit::Exit, failure::Failure, invocation::Invocation};

/// Cancel the attempt of a task that is in progress
///
/// From then on the attempt cannot be completed: of a cancellation and a completion at the same moment
/// exactly one is carried out. A command that `run` has started receives SIGTERM, and SIGKILL after the
/// grace of `run`; `planlease task show` gives it the reason. A program at a sidecar receives an event,
/// and every other claimant is refused at its next report, with the reason. When the attempt has ended,
/// or its claimant is gone, the task becomes what --then says. Neither a failure nor a lost attempt is
/// counted.
///
/// A task that no process works on is cancelled at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// The reason, which the command and others see
    #[arg(long, value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    /// What becomes of the task: it is skipped, it fails without a retry, or it is pending again
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(Then::ALL.map(Then::as_str)).try_map(then))]
    then: Then,
}

const EXAMPLES: &str = "\
Examples:
  planlease task cancel release 2.3 --reason 'wrong branch' --then retry
  planlease task cancel release 2.3 --reason 'not needed any more' --then skip";

pub(super) fn then(word: String) -> Result<Then, String> {
    Then::ALL.into_iter().find(|then| then.as_str() == word).ok_or(word)
}

impl CancelArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        self.update.run(invocation, Change::Cancel(self.then, self.reason)).await
    }
}
