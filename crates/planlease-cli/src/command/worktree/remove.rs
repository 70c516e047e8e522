//! `worktree remove` and `worktree quarantine`: one worktree, by its name.

use clap::Args;
use planlease::core::WorktreeName;
use planlease_worktrees::Removed;

use super::host::{HostArgs, document};
use crate::{
    command::task::right::delegation,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, Tidied, WorktreesTidied},
};

/// `worktree remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease worktree remove release-2.3\n  planlease worktree remove release-2.3 --keep-branch"
)]
pub(crate) struct RemoveArgs {
    /// The worktree
    name: String,
    /// Leave its branch where it is, with all commits on it
    #[arg(long)]
    keep_branch: bool,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Sets a worktree aside. Nothing in it is touched, it stays at its path and on its branch; no process is
/// given it any more, and `clean` leaves it alone. `remove` removes it once what it holds is committed and
/// elsewhere.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease worktree quarantine release-2.3 --reason 'half of the migration'"
)]
pub(crate) struct QuarantineArgs {
    /// The worktree
    name: String,
    /// Why; kept with it
    #[arg(long, alias = "why", value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl RemoveArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let name = WorktreeName::new(&*self.name)?;
        let host = self.host.open(invocation).await?;
        let delegation = delegation(invocation.environment())?;
        let Removed { view, tenure, own } = host.remove(&name, self.keep_branch, delegation.as_ref()).await?;
        let why = if own { "by its owner" } else { tenure.why() };
        let done = vec![Tidied::remove(&view, why.to_owned())];
        invocation.show(self.output.format, &WorktreesTidied::new(true, done, &[]))?;
        Ok(Exit::Done)
    }
}

impl QuarantineArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let name = WorktreeName::new(&*self.name)?;
        let tidied = self.host.open(invocation).await?.quarantine(&name, self.reason).await?;
        let done = vec![document(tidied)];
        invocation.show(self.output.format, &WorktreesTidied::new(true, done, &[]))?;
        Ok(Exit::Done)
    }
}
