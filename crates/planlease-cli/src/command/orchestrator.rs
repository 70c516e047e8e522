//! `orchestrator`: who is alive.

use clap::{Args, Subcommand};

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
}

/// `orchestrator list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl OrchestratorCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let Self::List(args) = self;
        let coordinator = invocation.connect().await?;
        let registered = coordinator.orchestrators().await?;
        let plans = coordinator.plans().await?;
        invocation.show(args.output.format, &OrchestratorList::new(registered, &plans))?;
        Ok(Exit::Done)
    }
}
