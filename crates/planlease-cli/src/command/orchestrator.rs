//! `orchestrator`: who is alive.

use std::collections::BTreeMap;

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
        let mut owned: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for plan in coordinator.plans().await? {
            if let Some((owner, _)) = plan.line.owner() {
                owned.entry(owner.lease.to_string()).or_default().push(plan.name.to_string());
            }
        }
        invocation.show(args.output.format, &OrchestratorList::new(registered, &owned))?;
        Ok(Exit::Done)
    }
}
