//! `plan`: making plans of files, looking at them, deleting them.

mod check;
mod delete;
mod edit;
pub(super) mod file;
mod halt;
mod halts;
mod import;
pub(super) mod ticked;

use clap::{Args, Subcommand};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{DefinitionView, ListOutputArgs, OutputArgs, PlanList},
};

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Import plans from plan files
    ///
    /// All files are read first, so that a bad one changes nothing; each plan then appears whole or not at
    /// all. A plan that exists already from the same file stays as it is; one from another file is refused.
    Import(import::ImportArgs),
    /// Check a plan file and show what it means; needs no server
    Check(check::CheckArgs),
    /// List all plans with their counts and owners
    List(ListArgs),
    /// Show the definition of a plan
    Show(ShowArgs),
    /// Show the differences between a plan and its file; changes nothing
    Diff(edit::DiffArgs),
    /// Make a plan as its file says now; what was begun stays
    Update(edit::UpdateArgs),
    /// Pause plans: no task is started
    ///
    /// Tasks in progress continue to their end, and the owner stays.
    Pause(halt::PauseArgs),
    /// Resume plans that were paused, cancelled or archived
    ///
    /// The next owner continues where the last one stopped. With `--all` and `--select` only pauses are
    /// ended: plans that were cancelled or archived stay so.
    Resume(halt::ResumeArgs),
    /// End a plan early: its ownership ends, and it cannot be owned until it is resumed
    Cancel(halt::CancelArgs),
    /// Archive a plan without an owner
    ///
    /// It is listed with `--all` only, and cannot be owned until it is resumed.
    Archive(halt::ArchiveArgs),
    /// Delete a plan without an owner, with everything that belongs to it
    ///
    /// Deletes its tasks, findings and history of owners. Refused while it is owned or waited for. A later
    /// plan of the same name continues with the number of its last term, so that its fencing tokens are
    /// greater.
    Delete(delete::DeleteArgs),
}

/// `plan list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Also those that are archived
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    output: ListOutputArgs,
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
                let coordinator = invocation.connect().await?;
                let plans = PlanList::new(&coordinator.plans().await?, args.all);
                let plans = plans.in_fleet(coordinator.fleet_pause().await?.as_ref());
                invocation.show(args.output.format, &plans.in_store(invocation.store()?))?;
                Ok(Exit::Done)
            }
            Self::Show(args) => {
                let plan = plan_name(&args.plan)?;
                let view = invocation.connect().await?.plan(&plan).await?;
                invocation.show(args.output.format, &DefinitionView::new(&view))?;
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
