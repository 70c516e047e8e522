//! `worktree`: worktrees of git repositories that belong to plans. What is done is in `planlease-worktrees`.

mod add;
mod bytes;
mod clean;
mod host;
mod remove;

use clap::{Args, Subcommand};
use planlease::core::WorktreeName;

use self::{
    add::AddArgs,
    clean::CleanArgs,
    host::HostArgs,
    remove::{QuarantineArgs, RemoveArgs},
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{OutputArgs, WorktreeList, WorktreeStatusView},
};

/// What to do with worktrees.
#[derive(Debug, Subcommand)]
pub(crate) enum WorktreeCommand {
    /// Make a worktree with its own branch
    ///
    /// Makes a worktree of a git repository, with a new branch that follows no other. It belongs to a plan,
    /// and to the ownership under which it was made: inside a command that `run` or `hold` started, that of
    /// the plan's owner; otherwise --plan is needed, and the worktree is yours to remove.
    ///
    /// Paths are absolute; nothing depends on the working directory. Commands on one repository take turns,
    /// also on several hosts that share its file system. Leftovers of an interrupted command are removed
    /// first.
    Add(AddArgs),
    /// List the worktrees of all hosts
    #[command(
        after_help = "Examples:\n  planlease worktree list\n  planlease worktree list --plan release -o jsonl"
    )]
    List(ListArgs),
    /// Show what is recorded about a worktree
    Show(ShowArgs),
    /// List the worktrees that no live owner has: what `clean` would look at
    #[command(
        after_help = "Examples:\n  planlease worktree abandoned\n  planlease worktree abandoned --plan release -o jsonl"
    )]
    Abandoned(ListArgs),
    /// Set a worktree aside: it stays where it is until a person has looked
    Quarantine(QuarantineArgs),
    /// Remove abandoned worktrees; those that hold work are quarantined instead
    ///
    /// Examines the worktrees of this host that have no live owner, and the leftovers of interrupted
    /// commands. It removes those without work, with their branches. Those that hold work that is nowhere
    /// else (changes, files that git does not know, commits that no other branch or tag has) stay as they are
    /// and are listed until an operator has looked.
    ///
    /// Without --execute it only shows what it would do.
    Clean(CleanArgs),
    /// Remove a worktree that holds no work
    ///
    /// Removes the worktree and its branch. Refused while the owner of its plan works in it, unless by that
    /// owner; and refused as long as it holds work that is nowhere else: no flag destroys work.
    Remove(RemoveArgs),
}

/// `worktree list` and `worktree abandoned`.
#[derive(Debug, Args)]
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
        let plan = self.plan.as_deref().map(plan_name).transpose()?;
        let host = HostArgs::default().open(invocation).await?;
        let mut shown = Vec::new();
        let found = host.coordinator().worktrees().list().await?;
        for view in found.iter() {
            if plan.as_ref().is_some_and(|plan| *plan != view.record.plan) {
                continue;
            }
            let tenure = host.tenure(&view.record).await?;
            if !abandoned || tenure.is_over() {
                shown.push(WorktreeStatusView::new(view, tenure));
            }
        }
        invocation.show(self.output.format, &WorktreeList::new(shown, &found.unreadable))?;
        Ok(Exit::Done)
    }
}

impl ShowArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let name = WorktreeName::new(&*self.name)?;
        let host = self.host.open(invocation).await?;
        let view = host.named(&name).await?;
        let tenure = host.tenure(&view.record).await?;
        invocation.show(self.output.format, &WorktreeStatusView::new(&view, tenure))?;
        Ok(Exit::Done)
    }
}
