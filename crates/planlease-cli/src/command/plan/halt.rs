//! `plan pause`, `resume`, `cancel` and `archive`.

use clap::Args;
use planlease::{Halted, core::record::Halt};

use crate::{
    confirm::ConfirmArgs,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{HaltView, OutputArgs},
};

/// `plan pause`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan pause release --reason 'the registry is down'\n  planlease plan resume release"
)]
pub(crate) struct PauseArgs {
    /// The plan
    plan: String,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given")]
    reason: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// `plan resume`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan resume release")]
pub(crate) struct ResumeArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Ends the plan's ownership by force, and the plan cannot be owned any more: the commands of its owner are
/// killed as if the ownership were lost. The records stay as they are. A plan whose tasks are all done is not
/// cancelled: of a cancellation and a completion at the same moment one wins.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan cancel release --reason 'superseded by 1.5' --yes")]
pub(crate) struct CancelArgs {
    /// The plan
    plan: String,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given")]
    reason: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `plan archive`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan archive release\n  planlease plan list --all")]
pub(crate) struct ArchiveArgs {
    /// The plan
    plan: String,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given")]
    reason: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl PauseArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let coordinator = invocation.connect().await?;
        let halted = coordinator.pause_plan(&plan, &invocation.operator(), &self.reason).await?;
        invocation.show(self.output.format, &HaltView::new(plan, Halt::Paused, halted))?;
        Ok(Exit::Done)
    }
}

impl ResumeArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let changed = invocation.connect().await?.resume_plan(&plan).await?;
        invocation.show(self.output.format, &HaltView::resumed(plan, changed))?;
        Ok(Exit::Done)
    }
}

impl CancelArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        self.confirm.by_name(plan.as_str(), &format!("This ends what the owner of {plan} does"))?;
        let coordinator = invocation.connect().await?;
        let halted: Halted = coordinator.cancel_plan(&plan, &invocation.operator(), &self.reason).await?;
        invocation.show(self.output.format, &HaltView::new(plan, Halt::Cancelled, halted))?;
        Ok(Exit::Done)
    }
}

impl ArchiveArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let coordinator = invocation.connect().await?;
        let halted = coordinator.archive_plan(&plan, &invocation.operator(), &self.reason).await?;
        invocation.show(self.output.format, &HaltView::new(plan, Halt::Archived, halted))?;
        Ok(Exit::Done)
    }
}
