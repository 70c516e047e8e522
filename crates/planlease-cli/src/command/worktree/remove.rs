//! `worktree remove` and `worktree quarantine`: one worktree, by its name.

use std::path::Path;

use clap::Args;
use planlease::{
    WorktreeView,
    core::{
        record::WorktreeState,
        worktree::{self, Refusal, Tenure},
    },
};
use planlease_worktree::Repository;

use super::scene::{HostArgs, Scene, lock, site, stage};
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

/// Sets a worktree aside. Nothing in it is touched, it stays at its path and on its branch; nobody is given
/// it any more, and `clean` leaves it alone. `remove` removes it once what it holds is committed and
/// elsewhere.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease worktree quarantine release-2.3 --why 'half of the migration'"
)]
pub(crate) struct QuarantineArgs {
    /// The worktree
    name: String,
    /// Why; kept with it
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl RemoveArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let scene = Scene::open(invocation, &self.host).await?;
        let seen = scene.named(&self.name).await?;
        let locked = lock(&Repository::at(Path::new(&seen.record.repository))?).await?;
        let view = scene.named(&self.name).await?; // As it is under the lock.
        let tenure = scene.tenure(&view.record).await?;
        let own = is_own(invocation, &view)?;
        let state = view.record.state;
        worktree::may_remove(state, tenure, own, false).map_err(|refusal| in_the_way(&view, refusal, &[]))?;
        let work = locked.work(&site(&view.record), stage(state), self.keep_branch).await?;
        worktree::may_remove(state, tenure, own, !work.is_empty())
            .map_err(|refusal| in_the_way(&view, refusal, &work))?;
        if let Some(said) = scene.take_away(&locked, &view, self.keep_branch).await? {
            return Err(Failure::new(
                Exit::HasWork,
                format!("worktree {} was not removed: {said}", view.name),
            )
            .meaning("It is quarantined now; nothing in it was touched."));
        }
        let why = if own { "by its owner" } else { tenure.why() };
        let done = vec![Tidied::remove(&view, why.to_owned())];
        invocation.show(self.output.format, &WorktreesTidied::new(true, done, &[]))?;
        Ok(Exit::Done)
    }
}

impl QuarantineArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let scene = Scene::open(invocation, &self.host).await?;
        let view = scene.named(&self.name).await?;
        let view = scene.enter(&view, WorktreeState::Quarantined, Some(self.why.clone())).await?;
        let done = vec![Tidied::quarantine(&view, self.why)];
        invocation.show(self.output.format, &WorktreesTidied::new(true, done, &[]))?;
        Ok(Exit::Done)
    }
}

/// Whether whoever asks has the right by which the worktree was made.
fn is_own(invocation: &Invocation, view: &WorktreeView) -> Result<bool, Failure> {
    let delegation = delegation(invocation.environment())?;
    Ok(match &view.record.guard {
        Some(guard) => {
            delegation.is_some_and(|right| right.plan == view.record.plan && right.guard == *guard)
        }
        None => true, // A person's, and persons are not told apart.
    })
}

fn in_the_way(view: &WorktreeView, refusal: Refusal, work: &[String]) -> Failure {
    let what = format!("cannot remove worktree {}: {refusal}", view.name);
    match refusal {
        Refusal::InUse => Failure::new(Exit::OwnedByOther, what)
            .meaning(format!("Nothing was changed; {} made it, and {}.", view.record.by, Tenure::Live.why()))
            .remedy("Wait until that ownership is over, or end it: planlease owner release."),
        Refusal::HasWork => Failure::new(Exit::HasWork, what)
            .meaning(format!("Nothing was changed. It holds {}.", work.join(", ")))
            .remedy(
                "Commit and push it, or set it aside: planlease worktree quarantine; --keep-branch keeps commits.",
            ),
        Refusal::WrongState(_) => Failure::new(Exit::Stale, what).meaning("Nothing was changed."),
    }
}
