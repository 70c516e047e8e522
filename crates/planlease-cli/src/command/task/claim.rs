//! `task claim`: claims ready tasks for a worker.

use clap::Args;
use planlease::Refused;

use super::{limit::LimitArgs, right::Right};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{ClaimView, OutputArgs, plain},
};

/// `task claim`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease task claim release\n  planlease task claim release --for 1h\n  planlease task claim release --count 4 --label gpu -o jsonl\n  planlease hold release -- sh -c 'planlease task claim release -o json | jq -r .tasks[0].task'"
)]
pub(crate) struct ClaimArgs {
    /// The plan
    plan: String,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Only tasks with this label; with each of them if given more than once
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl ClaimArgs {
    pub(super) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let right = Right::of_plan(invocation, &plan)?;
        self.limit.check(&right)?;
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let authority = self.limit.apply(right.authority(&coordinator, &view)?);
        let claimed = authority.claim(count, &self.labels).await?;
        invocation.show(self.output.format, &ClaimView::new(&view, &claimed))?;
        if let Some((task, op_id)) = claimed.unknown.first() {
            return Err(Failure::new(
                Exit::OutcomeUnknown,
                format!("it is not known whether task {task} is claimed"),
            )
            .meaning("No answer came.")
            .remedy(format!("Look at `planlease task show {plan} {task}`: it is if op_id is {op_id}.")));
        }
        match &claimed.refused {
            _ if !claimed.tasks.is_empty() => Ok(Exit::Done),
            None => Ok(Exit::NothingReady),
            Some(Refused::Halted(halt)) => Err(Failure::new(
                Exit::Halted,
                format!("{plan} was {} by {}: {}", halt.how, plain(&halt.by), plain(&halt.why)),
            )
            .remedy(format!("`planlease plan resume {plan}` lets it go on."))),
            Some(Refused::Full(most)) => Err(Failure::new(
                Exit::Blocked,
                format!("no more tasks of {plan} may be in progress at once (max_in_progress = {most})"),
            )
            .remedy("Wait until one ends, or raise max_in_progress in the plan's policy.")),
            Some(_) => {
                Err(Failure::new(Exit::RightGone, format!("the right to claim tasks of {plan} is over"))
                    .remedy("`planlease owner show` shows who owns the plan now."))
            }
        }
    }
}
