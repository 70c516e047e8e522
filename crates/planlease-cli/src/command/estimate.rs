//! `estimate`: how long a plan may still take.

use std::time::Duration;

use clap::Args;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{EstimateView, OutputArgs},
};

/// Estimate how long a plan may still take
///
/// Shows the critical path of the remaining tasks, how many can run side by side, and how long they take: by
/// the time that completed tasks of the plan took, or by a guess if there are none.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease estimate release\n  planlease estimate release --jobs 4 --guess 20m\n  planlease estimate release -o json | jq .remaining_s"
)]
pub(crate) struct EstimateArgs {
    /// The plan
    plan: String,
    /// How many tasks run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// How long a task takes as long as none is done
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = crate::duration::parse)]
    guess: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

impl EstimateArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let view = invocation.connect().await?.plan(&plan).await?;
        let shown = EstimateView::new(&view, self.jobs, self.guess, invocation.now());
        invocation.show(self.output.format, &shown)?;
        Ok(Exit::Done)
    }
}
