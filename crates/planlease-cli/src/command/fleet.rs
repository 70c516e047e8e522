//! `fleet`: what is asked of all orchestrators and claimants of a namespace.

use clap::{Args, Subcommand};
use planlease::Reason;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{FleetView, OutputArgs},
};

/// What to ask of the fleet.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Status(StatusArgs),
}

/// Start nothing new in the namespace, until it is resumed
///
/// Every start of a task in every plan is refused, by whomever. What is in progress goes on, and owners
/// stay. The pause is one key that each start compares, so it also holds for requests that are under way.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease fleet pause --reason 'the registry is down'\n  planlease fleet resume"
)]
pub(crate) struct PauseArgs {
    /// The reason, which others see
    #[arg(long, value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// End the pause of the namespace
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease fleet resume")]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// Show what is asked of the fleet: a pause, cordoned orchestrators, plans that are to move
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease fleet status -o json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl FleetCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        match self {
            Self::Pause(args) => {
                let reason = Reason::by(invocation.operator()).because(&args.reason);
                let halted = coordinator.admin().pause_fleet(&reason).await?;
                invocation.show(args.output.format, &FleetView::paused(halted))?;
            }
            Self::Resume(args) => {
                let changed = coordinator.admin().resume_fleet().await?;
                invocation.show(args.output.format, &FleetView::resumed(changed))?;
            }
            Self::Status(args) => {
                let (steering, _) = coordinator.steering().await?;
                let plans = coordinator.plans().await?;
                invocation.show(args.output.format, &FleetView::of(&steering).with_owners(&plans))?;
            }
        }
        Ok(Exit::Done)
    }
}
