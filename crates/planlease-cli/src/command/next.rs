//! `next`: what may start now, and why the rest may not.

use clap::Args;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{NextTasks, OutputArgs},
};

/// List the tasks that may start now, and what the others wait for
///
/// Ready tasks come in the order in which they are handed out: by priority, by phase, by number; phases that
/// the plan calls parallel take turns.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease next release\n  planlease next release 1 --label gpu\n  planlease next release -o json | jq -r '.ready[0].task'"
)]
pub(crate) struct NextArgs {
    /// The plan
    plan: String,
    /// At most so many [default: all]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Only tasks with this label; with each of them if given more than once
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl NextArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let coordinator = invocation.connect().await?;
        let count = self.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let offers = coordinator.offers().await?;
        let next = NextTasks::read(&coordinator, &plan, (count, &self.labels), &offers).await?;
        invocation.show(self.output.format, &next)?;
        Ok(Exit::Done)
    }
}
