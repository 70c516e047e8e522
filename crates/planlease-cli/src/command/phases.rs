//! `phases`: how far each phase is.

use clap::Args;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{OutputArgs, PhaseList},
};

/// Show the progress of each phase
///
/// Shows the counts of each phase, what it waits for, and what must hold at its end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease phases release\n  planlease phases release -o json")]
pub(crate) struct PhasesArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl PhasesArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let view = invocation.connect().await?.plan(&plan).await?;
        invocation.show(self.output.format, &PhaseList::new(&view))?;
        Ok(Exit::Done)
    }
}
