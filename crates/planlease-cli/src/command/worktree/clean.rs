//! `worktree clean`: removes what is abandoned or was interrupted; shows first what it would do.

use clap::Args;

use super::host::{HostArgs, document};
use crate::{
    exit::Exit,
    failure::{Failure, worktree::what},
    invocation::Invocation,
    output::{OutputArgs, Tidied, WorktreesTidied},
};

/// `worktree clean`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease worktree clean\n  planlease worktree clean --execute")]
pub(crate) struct CleanArgs {
    /// Do it
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl CleanArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let host = self.host.open(invocation).await?;
        let cleaned = host.clean(self.execute).await?;
        let worktrees = cleaned.worktrees.into_iter().map(|done| match done {
            Ok(tidied) => document(tidied),
            Err((view, error)) => Tidied::keep(&view, what(&error)),
        });
        let shown = WorktreesTidied::new(self.execute, worktrees.collect(), &cleaned.unreadable);
        invocation.show(self.output.format, &shown)?;
        Ok(Exit::Done)
    }
}
