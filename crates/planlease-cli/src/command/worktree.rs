//! `worktree`: worktrees of git repositories that belong to plans, and what becomes of those whose owner is
//! gone.

mod add;
mod bytes;
mod clean;
mod remove;
mod scene;

use clap::{Args, Subcommand};

use self::{
    add::AddArgs,
    clean::CleanArgs,
    remove::{QuarantineArgs, RemoveArgs},
    scene::{HostArgs, Scene},
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, WorktreeList, WorktreeShown},
};

/// What to do with worktrees.
#[derive(Debug, Subcommand)]
pub(crate) enum WorktreeCommand {
    /// Make a worktree with a branch of its own
    Add(AddArgs),
    /// List the worktrees of all hosts
    List(ListArgs),
    /// Show what is recorded about a worktree
    Show(ShowArgs),
    /// List the worktrees that no live owner has: what `clean` would look at
    Abandoned(ListArgs),
    /// Set a worktree aside: it stays where it is until a person has looked
    Quarantine(QuarantineArgs),
    /// Clear away what is abandoned; what holds work is quarantined instead
    Clean(CleanArgs),
    /// Remove a worktree that holds no work
    Remove(RemoveArgs),
}

/// `worktree list` and `worktree abandoned`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease worktree list\n  planlease worktree list --plan release -o jsonl"
)]
pub(crate) struct ListArgs {
    /// Only those of this plan
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// `worktree show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The worktree
    name: String,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl WorktreeCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Add(args) => args.run(invocation).await,
            Self::List(args) => args.run(invocation, false).await,
            Self::Show(args) => args.run(invocation).await,
            Self::Abandoned(args) => args.run(invocation, true).await,
            Self::Quarantine(args) => args.run(invocation).await,
            Self::Clean(args) => args.run(invocation).await,
            Self::Remove(args) => args.run(invocation).await,
        }
    }
}

impl ListArgs {
    async fn run(self, invocation: &Invocation, abandoned: bool) -> Result<Exit, Failure> {
        let plan = self.plan.as_deref().map(super::plan_name).transpose()?;
        let scene = Scene::open(invocation, &HostArgs::default()).await?;
        let mut shown = Vec::new();
        let found = scene.coordinator.worktrees().await?;
        for view in found.iter() {
            if plan.as_ref().is_some_and(|plan| *plan != view.record.plan) {
                continue;
            }
            let tenure = scene.tenure(&view.record).await?;
            if !abandoned || tenure.is_over() {
                shown.push(WorktreeShown::new(view, tenure));
            }
        }
        invocation.show(self.output.format, &WorktreeList::new(shown, &found.unreadable))?;
        Ok(Exit::Done)
    }
}

impl ShowArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let scene = Scene::open(invocation, &self.host).await?;
        let view = scene.named(&self.name).await?;
        let tenure = scene.tenure(&view.record).await?;
        invocation.show(self.output.format, &WorktreeShown::new(&view, tenure))?;
        Ok(Exit::Done)
    }
}
