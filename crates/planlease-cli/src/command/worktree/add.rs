//! `worktree add`: the record first, then git, then the record again; so that what was begun can be told from
//! what is.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use planlease::{
    Authority, Delegation, WorktreeView, WorktreeWrite,
    core::{
        PlanName, TaskId, WorktreeName,
        record::{Guard, WorktreeRecord, WorktreeState},
        worktree::{self, Limits, Tenure},
    },
};
use planlease_worktree::{Fence, Holder, Locked, Repository, free_bytes, settled};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    bytes,
    scene::{HostArgs, Scene, lock, site},
};
use crate::{
    command::task::right::delegation,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, WorktreeShown},
};

/// The pause between two looks whether there is room.
const PAUSE: Duration = Duration::from_millis(500);

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

/// What is to be made, understood.
struct Order<'a> {
    scene: &'a Scene<'a>,
    name: WorktreeName,
    path: PathBuf,
    branch: String,
    base: &'a str,
    plan: PlanName,
    task: Option<TaskId>,
    right: Option<Delegation>,
    limits: Limits,
    min_free: u64,
}

/// What came of trying to have a record.
enum Reserved {
    Yes(Box<WorktreeView>),
    NoRoom(String),
}

impl AddArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let path = settled(&self.path)?;
        let repository = Repository::find(&self.repository).await?;
        let scene = &Scene::open(invocation, &self.host).await?;
        let order = self.order(scene, path)?;
        let authority = order.authority().await?;
        let started = Instant::now();
        let (locked, reserved) = loop {
            let locked = lock(&repository).await?;
            scene.recover(&locked).await?;
            match order.reserve(&locked, &authority).await? {
                Reserved::Yes(view) => break (locked, *view),
                // The lock is given back meanwhile: whoever makes room needs it.
                Reserved::NoRoom(_) if self.wait.is_some_and(|wait| started.elapsed() < wait) => drop(locked),
                Reserved::NoRoom(why) => return Err(no_room(why, self.wait)),
            }
            tokio::time::sleep(PAUSE).await;
        };
        let view = order.make(&locked, &authority, &reserved).await?;
        invocation.show(self.output.format, &WorktreeShown::new(&view, Tenure::Live))?;
        Ok(Exit::Done)
    }

    fn order<'a>(&'a self, scene: &'a Scene<'a>, path: PathBuf) -> Result<Order<'a>, Failure> {
        let environment = scene.invocation.environment();
        let right = delegation(environment)?;
        let plan = match (&self.plan, &right) {
            (Some(plan), _) => crate::command::plan_name(plan)?,
            (None, Some(right)) => right.plan.clone(),
            (None, None) => {
                return Err(Failure::usage("no plan is given")
                    .meaning("Outside of `run` and `hold` a worktree belongs to the plan that is named.")
                    .remedy("Say --plan."));
            }
        };
        let right = right.filter(|right| right.plan == plan);
        let task =
            self.task.clone().or_else(|| environment.text("PLANLEASE_TASK").filter(|_| right.is_some()));
        let task = task.as_deref().map(crate::command::task_id).transpose()?;
        let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = WorktreeName::new(self.name.clone().unwrap_or(last))?;
        name.check_new()?;
        Ok(Order {
            scene,
            branch: self.branch.clone().unwrap_or_else(|| name.to_string()),
            name,
            path,
            base: &self.base,
            plan,
            task,
            right,
            limits: Limits { host: self.max_host, repository: self.max_repository },
            min_free: self.min_free,
        })
    }
}

impl Order<'_> {
    /// The right by which it is made.
    async fn authority(&self) -> Result<Authority, Failure> {
        let coordinator = &self.scene.coordinator;
        let view = coordinator.plan(&self.plan).await?;
        if let Some(task) = &self.task {
            view.task(task)?;
        }
        match &self.right {
            Some(right) => Ok(coordinator.delegated(right)),
            None => Ok(coordinator.operator(&view, &self.scene.invocation.operator())?),
        }
    }

    /// Checks everything that can be told beforehand, and writes the record: nothing but that has been made
    /// after it.
    async fn reserve(&self, locked: &Locked, authority: &Authority) -> Result<Reserved, Failure> {
        let coordinator = &self.scene.coordinator;
        if let Some(present) = coordinator.worktree(&self.scene.host, &self.name).await? {
            return Err(name_taken(&present));
        }
        let free = free_bytes(&self.path)?;
        if free < self.min_free {
            let (free, needed) = (bytes::shown(free), bytes::shown(self.min_free));
            return Ok(Reserved::NoRoom(format!("the disk has {free} free, and {needed} are asked for")));
        }
        let repository = locked.repository().common().to_string_lossy().into_owned();
        if let Some(why) = self.exceeded(&repository, None).await? {
            return Ok(Reserved::NoRoom(why));
        }
        let base = locked.commit(self.base).await?;
        locked.check_branch(&self.branch).await?;
        if let Some(holder) = Fence::of(&self.path).holder()? {
            return Err(
                planlease_worktree::Error::Fenced { path: self.path.clone(), holder: holder.into() }.into()
            );
        }
        if self.path.symlink_metadata().is_ok() {
            return Err(planlease_worktree::Error::InTheWay(self.path.clone()).into());
        }
        let record = self.record(repository, base);
        let view = match authority.add_worktree(&self.scene.host, &self.name, &record).await? {
            WorktreeWrite::Written(view) => view,
            WorktreeWrite::Conflict(Some(present)) => return Err(name_taken(&present)),
            WorktreeWrite::Conflict(None) => return Err(super::scene::changed(&self.name)),
            WorktreeWrite::RightGone => return Err(self.right_gone()),
        };
        // Others have their locks, in other repositories: who came first has the room.
        if let Some(why) = self.exceeded(&view.record.repository, Some(&view)).await? {
            coordinator.forget_worktree(&view).await?;
            return Ok(Reserved::NoRoom(why));
        }
        Ok(Reserved::Yes(Box::new(view)))
    }

    /// Which limit is reached by the worktrees of this host that were there before this one.
    async fn exceeded(
        &self,
        repository: &str,
        own: Option<&WorktreeView>,
    ) -> Result<Option<String>, Failure> {
        let all = self.scene.coordinator.worktrees().await?;
        let others = all
            .iter()
            .filter(|view| view.host == self.scene.host && own.is_none_or(|own| view.created < own.created));
        Ok(worktree::exceeded(self.limits, repository, others.map(|view| view.record.repository.as_str())))
    }

    fn record(&self, repository: String, base: String) -> WorktreeRecord {
        let (token, guard, by) = match &self.right {
            Some(right) => (Some(right.token), Some(right.guard.clone()), right.owner.to_string()),
            None => (None, None::<Guard>, self.scene.invocation.operator()),
        };
        WorktreeRecord {
            v: Default::default(),
            id: Uuid::new_v4(),
            state: WorktreeState::Adding,
            path: self.path.to_string_lossy().into_owned(),
            repository,
            branch: self.branch.clone(),
            base,
            plan: self.plan.clone(),
            task: self.task.clone(),
            token,
            guard,
            by,
            since: self.scene.invocation.now(),
            why: None,
            op_id: Uuid::new_v4(),
            extra: serde_json::Map::new(),
        }
    }

    /// Makes what the record says, and says that it is ready. If that cannot be done, all of it is taken
    /// back.
    async fn make(
        &self,
        locked: &Locked,
        authority: &Authority,
        view: &WorktreeView,
    ) -> Result<WorktreeView, Failure> {
        let holder = Holder {
            id: view.record.id,
            store: self.scene.coordinator.store_name(),
            host: self.scene.host.to_string(),
            name: self.name.to_string(),
        };
        let failure = match locked.make(&site(&view.record), &holder).await {
            Ok(()) => match self.ready(authority, view).await? {
                WorktreeWrite::Written(ready) => return Ok(ready),
                WorktreeWrite::RightGone => self.right_gone(),
                WorktreeWrite::Conflict(_) => return Err(super::scene::changed(&self.name)),
            },
            Err(error) => error.into(),
        };
        match self.scene.tidy(locked, &self.name, true).await {
            Ok(_) => Err(failure),
            Err(also) => Err(failure.remedy(format!(
                "What was made of it could not be taken back ({}): planlease worktree clean.",
                also.what()
            ))),
        }
    }

    async fn ready(&self, authority: &Authority, view: &WorktreeView) -> Result<WorktreeWrite, Failure> {
        let now = self.scene.invocation.now();
        let next = worktree::enter(&view.record, WorktreeState::Ready, None, now, Uuid::new_v4())
            .map_err(|refusal| Failure::new(Exit::Unexpected, refusal.to_string()))?;
        Ok(authority.update_worktree(view, &next).await?)
    }

    fn right_gone(&self) -> Failure {
        let whose = if self.right.is_some() {
            "the ownership by which it would be made is over"
        } else {
            "the plan's ownership changed at this moment"
        };
        Failure::new(Exit::RightGone, format!("cannot make worktree {}: {whose}", self.name))
            .meaning("Nothing of it is left.")
            .remedy(format!("`planlease owner show {}` tells who owns the plan now.", self.plan))
    }
}

fn name_taken(present: &WorktreeView) -> Failure {
    let WorktreeView { host, name, record, .. } = present;
    Failure::new(Exit::WorktreeTaken, format!("host {host} has a worktree {name} already"))
        .meaning(format!("It is {}, at {}; nothing was changed.", record.state, record.path))
        .remedy("Choose another --name, or remove that one: planlease worktree remove.")
}

fn no_room(why: String, waited: Option<Duration>) -> Failure {
    let failure = Failure::new(Exit::NoRoom, why).meaning("Nothing was made.");
    match waited {
        None => failure.remedy("Clear away what nobody needs (`planlease worktree clean`), or wait: --wait."),
        Some(_) => failure.remedy("Clear away what nobody needs: planlease worktree clean."),
    }
}
