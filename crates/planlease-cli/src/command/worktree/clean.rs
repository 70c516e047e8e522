//! `worktree clean`: clears away what is abandoned or was interrupted; shows first what it would do.

use std::{collections::BTreeMap, path::Path};

use clap::Args;
use planlease_worktree::{Locked, Repository};

use super::scene::{HostArgs, Scene, lock};
use crate::{
    exit::Exit,
    failure::Failure,
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
        let scene = Scene::open(invocation, &self.host).await?;
        let mut repositories = BTreeMap::<_, Vec<_>>::new();
        let found = scene.coordinator.worktrees().await?;
        for view in found.items {
            if view.host == scene.host {
                repositories.entry(view.record.repository.clone()).or_default().push(view);
            }
        }
        let mut tidied = Vec::new();
        for (repository, views) in repositories {
            let locked = match locked(&repository).await {
                Ok(locked) => locked,
                Err(failure) => {
                    tidied.extend(views.iter().map(|view| Tidied::keep(view, failure.what().to_owned())));
                    continue;
                }
            };
            for view in views {
                match scene.tidy(&locked, &view.name, self.execute).await {
                    Ok(done) => tidied.extend(done),
                    // One that cannot be looked at is kept, and does not keep the others from being tidied.
                    Err(failure) => tidied.push(Tidied::keep(&view, failure.what().to_owned())),
                }
            }
        }
        invocation
            .show(self.output.format, &WorktreesTidied::new(self.execute, tidied, &found.unreadable))?;
        Ok(Exit::Done)
    }
}

async fn locked(repository: &str) -> Result<Locked, Failure> {
    lock(&Repository::at(Path::new(repository))?).await
}
