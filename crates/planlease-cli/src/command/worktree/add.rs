//! `worktree add`: a worktree with its own branch.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use planlease::core::{
    WorktreeName,
    worktree::{Limits, Tenure},
};
use planlease_worktree::{Repository, settled};
use planlease_worktrees::{Error, Request};

use super::{
    bytes,
    host::{HostArgs, report, variables},
};
use crate::{
    command::task::right::delegation,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{OutputArgs, WorktreeStatusView},
};

/// `worktree add`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AddArgs {
    /// Where: an absolute path with nothing at it
    path: PathBuf,
    /// The repository: an absolute path to it, or to a folder in it
    #[arg(long, short = 'r', value_name = "PATH")]
    repository: PathBuf,
    /// What it is called on this host [default: the last part of the path]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The branch to make [default: the name]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Where the branch begins
    #[arg(long, default_value = "HEAD", value_name = "COMMIT")]
    base: String,
    /// The plan that it serves [default: the one that is owned]
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// The task that it serves [default: the one that is being worked on]
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// The most worktrees that this host may have, quarantined ones among them
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_host: usize,
    /// The most that this repository may have on this host
    #[arg(long, default_value_t = 32, value_name = "N")]
    max_repository: usize,
    /// How much must be free on the disk
    #[arg(long, default_value = "1G", value_name = "BYTES", value_parser = bytes::parse)]
    min_free: u64,
    /// How long to wait for room [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    wait: Option<Duration>,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  planlease worktree add /srv/trees/release-2.3 -r /srv/repo --plan release --task 2.3
  planlease hold release -- sh -c 'planlease worktree add /srv/trees/one -r /srv/repo && make -C /srv/trees/one'
  planlease worktree add /srv/trees/two -r /srv/repo --plan release --max-repository 8 --wait 10m";

impl AddArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let path = settled(&self.path)?;
        let repository = Repository::find(&self.repository).await?.with_variables(variables(invocation)?);
        let host = self.host.open(invocation).await?;
        let request = self.request(invocation, path)?;
        let view = host.add(&repository, &request, report).await.map_err(|error| match error {
            Error::NoRoom(why) => no_room(why, self.wait),
            error => error.into(),
        })?;
        invocation.show(self.output.format, &WorktreeStatusView::new(&view, Tenure::Live))?;
        Ok(Exit::Done)
    }

    fn request(&self, invocation: &Invocation, path: PathBuf) -> Result<Request, Failure> {
        let environment = invocation.environment();
        let delegation = delegation(environment)?;
        let plan = match (&self.plan, &delegation) {
            (Some(plan), _) => plan_name(plan)?,
            (None, Some(delegation)) => delegation.plan.clone(),
            (None, None) => {
                return Err(Failure::usage("no plan is given")
                    .meaning("Outside of `run` and `hold` a worktree belongs to the plan that is named.")
                    .remedy("Say --plan."));
            }
        };
        let delegation = delegation.filter(|delegation| delegation.plan == plan);
        let task = self.task.clone();
        let task = task.or_else(|| environment.text("PLANLEASE_TASK").filter(|_| delegation.is_some()));
        let task = task.as_deref().map(task_id).transpose()?;
        let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = WorktreeName::new(self.name.clone().unwrap_or(last))?;
        Ok(Request {
            branch: self.branch.clone().unwrap_or_else(|| name.to_string()),
            name,
            path,
            base: self.base.clone(),
            plan,
            task,
            delegation,
            operator: invocation.operator(),
            limits: Limits { host: self.max_host, repository: self.max_repository },
            min_free: self.min_free,
            wait: self.wait,
        })
    }
}

fn no_room(why: String, waited: Option<Duration>) -> Failure {
    let failure = Failure::new(Exit::NoRoom, why).meaning("Nothing was made.");
    match waited {
        None => failure.remedy("Remove what is not needed (`planlease worktree clean`), or wait: --wait."),
        Some(_) => failure.remedy("Remove what is not needed: planlease worktree clean."),
    }
}
