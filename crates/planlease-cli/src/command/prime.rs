//! `prime`: what an agent has to know before it works on a plan.

use clap::Args;
use planlease_documents::{Manner, Prime};

use super::task::right::delegation;
use crate::{exit::Exit, failure::Failure, invocation::Invocation, names::plan_name, output};

/// Print what an agent must know about a plan, in less than 1,500 tokens
///
/// The state of the plan, what this user or this process has claimed, what is ready, what is in progress
/// elsewhere, what failed, and the six commands to work with. Made to be run by an agent's hook at the start
/// of a session. Never longer than 6,000 bytes, however large the plan is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease prime release\n  planlease prime release --tools   for an agent that has the tools of `planlease mcp`"
)]
pub(crate) struct PrimeArgs {
    /// The plan
    plan: String,
    /// Explain the tools of `planlease mcp` instead of the commands
    #[arg(long)]
    tools: bool,
}

impl PrimeArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let owner = delegation(invocation.environment())?.map(|delegation| delegation.owner.to_string());
        let reader: Vec<String> = [invocation.operator()].into_iter().chain(owner).collect();
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let alive = coordinator.alive(&view).await?;
        let manner = if self.tools { Manner::Tools } else { Manner::Commands };
        let pause = coordinator.fleet_pause().await?;
        let pools = if view.graph().uses_pools() { Some(coordinator.pools().await?.0) } else { None };
        let prime = Prime::new(&view, &alive, &reader).in_fleet(pause.as_ref()).with_pools(pools.as_ref());
        output::print(&prime.text(manner))?;
        Ok(Exit::Done)
    }
}
