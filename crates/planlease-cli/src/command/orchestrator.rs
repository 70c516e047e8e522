//! `orchestrator`: which are alive, and whether they take work.

mod cordon;

use clap::{Args, Subcommand};
use planlease::Registered;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OrchestratorList, OutputArgs},
};

/// What to do with orchestrators.
#[derive(Debug, Subcommand)]
pub(crate) enum OrchestratorCommand {
    /// List the orchestrators whose sessions are alive, and what they own
    List(ListArgs),
    Cordon(cordon::CordonArgs),
    Uncordon(cordon::UncordonArgs),
    Drain(cordon::DrainArgs),
}

/// `orchestrator list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl OrchestratorCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let args = match self {
            Self::List(args) => args,
            Self::Cordon(args) => return args.run(invocation).await,
            Self::Uncordon(args) => return args.run(invocation).await,
            Self::Drain(args) => return args.run(invocation).await,
        };
        let coordinator = invocation.connect().await?;
        let registered = coordinator.orchestrators().await?;
        let plans = coordinator.plans().await?;
        let (steering, _) = coordinator.steering().await?;
        let leases = coordinator.lease_times(registered.iter().map(Registered::lease)).await?;
        invocation
            .show(args.output.format, &OrchestratorList::new(registered, &plans, &leases, &steering))?;
        Ok(Exit::Done)
    }
}
