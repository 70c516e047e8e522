//! `pool`: defines, lists and deletes pools, which bound tasks across plans.

use clap::{Args, Subcommand};
use planlease::core::{PoolName, pool::MAX_POOL};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{OutputArgs, PoolChanged, PoolDetail, PoolList},
};

/// What to do with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    Set(SetArgs),
    List(ListArgs),
    Show(ShowArgs),
    Delete(DeleteArgs),
}

/// Define a pool, or change its size
///
/// As many tasks that use the pool are in progress at once as it has permits, over all plans, claimants and
/// hosts of the namespace. A task uses a pool if its plan file says so: `pools = ["gpu"]`. A start takes its
/// permits in the transaction that starts the task; the end of the attempt, or of the claimant's lease,
/// releases them.
///
/// A smaller size ends nothing: nothing that uses the pool starts until fewer permits are in use. Size 0 lets
/// nothing start.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease pool set gpu 2\n  planlease pool set gpu 4 --description 'cards of the render hosts'\n  planlease pool set gpu 0 --dry-run"
)]
pub(crate) struct SetArgs {
    /// The pool's name
    name: String,
    /// How many permits it has
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_POOL)))]
    size: u32,
    /// What it is for [default: as before]
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// List the pools with their sizes, and how many permits are in use
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease pool list\n  planlease pool list -o json | jq '.pools[] | select(.free == 0)'"
)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// Show which tasks have the permits of a pool
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease pool show gpu\n  planlease pool show gpu -o json")]
pub(crate) struct ShowArgs {
    /// The pool's name
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Delete a pool that is not in use
///
/// A pool of which permits are in use is refused: set its size to 0 first, and wait until they are released.
/// Tasks that name a pool which does not exist do not start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease pool delete gpu\n  planlease pool delete gpu --dry-run")]
pub(crate) struct DeleteArgs {
    /// The pool's name
    name: String,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl PoolCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Set(args) => args.run(invocation).await,
            Self::List(args) => args.run(invocation).await,
            Self::Show(args) => args.run(invocation).await,
            Self::Delete(args) => args.run(invocation).await,
        }
    }
}

impl SetArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let name = PoolName::new(&*self.name)?;
        let coordinator = invocation.connect().await?;
        let (pools, _) = coordinator.pools().await?;
        let view = pools.0.get(&name);
        let used = view.map_or(0, planlease::core::pool::PoolView::used);
        let before = if self.dry_run {
            view.and_then(|view| view.definition.clone()).and_then(|(_, record)| record.ok())
        } else {
            let description = self.description.as_deref();
            coordinator.admin().set_pool(&name, self.size, description, &invocation.operator()).await?
        };
        let changed = PoolChanged::set(&name, before.as_ref(), self.size, used, self.dry_run);
        invocation.show(self.output.format, &changed)?;
        Ok(Exit::Done)
    }
}

impl ListArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (pools, _) = invocation.connect().await?.pools().await?;
        invocation.show(self.output.format, &PoolList::new(&pools))?;
        Ok(Exit::Done)
    }
}

impl ShowArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let name = PoolName::new(&*self.name)?;
        let (pools, _) = invocation.connect().await?.pools().await?;
        let view = pools.0.get(&name).ok_or_else(|| no_such_pool(&name))?;
        invocation.show(self.output.format, &PoolDetail::new(&name, view))?;
        Ok(Exit::Done)
    }
}

impl DeleteArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let name = PoolName::new(&*self.name)?;
        let coordinator = invocation.connect().await?;
        let (pools, _) = coordinator.pools().await?;
        let view = pools.0.get(&name).ok_or_else(|| no_such_pool(&name))?;
        if self.dry_run {
            if view.used() > 0 {
                return Err(planlease::Error::PoolInUse { pool: name, users: view.users() }.into());
            }
        } else if !coordinator.admin().delete_pool(&name).await? {
            return Err(no_such_pool(&name));
        }
        let before = view.definition.as_ref().map(|_| view.size());
        invocation.show(self.output.format, &PoolChanged::deleted(&name, before, self.dry_run))?;
        Ok(Exit::Done)
    }
}

fn no_such_pool(name: &PoolName) -> Failure {
    Failure::new(Exit::NothingStored, format!("there is no pool {name}"))
        .meaning("Nothing was changed.")
        .remedy("`planlease pool list` shows the pools.")
}
