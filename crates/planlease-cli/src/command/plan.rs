//! `plan`: making plans of files, looking at them, deleting them.

mod check;
mod delete;
mod edit;
pub(super) mod file;
mod halt;
mod import;
pub(super) mod ticked;

use clap::{Args, Subcommand};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, PlanList, PlanShown},
};

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Make plans of plan files; what is there already from the same file stays as it is
    Import(import::ImportArgs),
    /// Say what a plan file means and what is wrong with it; needs no server
    Check(check::CheckArgs),
    /// List all plans with their counts and owners
    List(ListArgs),
    /// Show what a plan is made of
    Show(ShowArgs),
    /// Say what differs between a plan and its file
    Diff(edit::DiffArgs),
    /// Make a plan as its file says now; what was begun stays
    Update(edit::UpdateArgs),
    /// Start nothing more in a plan; what is in progress goes on
    Pause(halt::PauseArgs),
    /// Go on with a plan that was paused, cancelled or archived
    Resume(halt::ResumeArgs),
    /// End a plan before it is finished: its ownership ends, and it cannot be owned again
    Cancel(halt::CancelArgs),
    /// Put a plan away
    Archive(halt::ArchiveArgs),
    /// Delete a plan without an owner, with everything that belongs to it
    Delete(delete::DeleteArgs),
}

/// `plan list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Also those that are archived
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// `plan show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl PlanCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Import(args) => args.run(invocation).await,
            Self::Check(args) => args.run(invocation),
            Self::List(args) => {
                let plans = invocation.connect().await?.plans().await?;
                invocation.show(
                    args.output.format,
                    &PlanList::new(&plans, args.all).in_store(invocation.store()?),
                )?;
                Ok(Exit::Done)
            }
            Self::Show(args) => {
                let plan = super::plan_name(&args.plan)?;
                let view = invocation.connect().await?.plan(&plan).await?;
                invocation.show(args.output.format, &PlanShown::new(&view))?;
                Ok(Exit::Done)
            }
            Self::Diff(args) => args.run(invocation).await,
            Self::Update(args) => args.run(invocation).await,
            Self::Pause(args) => args.run(invocation).await,
            Self::Resume(args) => args.run(invocation).await,
            Self::Cancel(args) => args.run(invocation).await,
            Self::Archive(args) => args.run(invocation).await,
            Self::Delete(args) => args.run(invocation).await,
        }
    }
}
