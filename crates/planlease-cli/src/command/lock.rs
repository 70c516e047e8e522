//! `lock` and `locks`: a named lock of a plan, or of the namespace, held while a program of the caller's
//! runs.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use planlease::{
    Coordinator, Holder, Lock, LockOptions, Loss, MAX_LOCK_PERMITS,
    core::{LockName, PlanName, term::Candidate},
};
use planlease_orchestrator::{
    CommandSpec,
    hold::{Inherited, Lost, NamedLock, Notice, Patience, Work, of_lock},
};

use super::holding::{self, Subject, Typed, describe_fate};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{LockList, OutputArgs, plain},
    signals::Signals,
};

/// Run a command while this process holds a named lock of a plan, or of the namespace
///
/// Waits in the lock's queue first, in the order of arrival. The lock belongs to the plan, but needs no
/// ownership of it: it is for work that the processes of a plan must not do at the same time, such as
/// commits to one repository. With --global it belongs to the namespace and needs no plan: for jobs of cron
/// on several hosts.
///
/// With --permits N as many processes have it at a time. All of them have to say the same number; another one
/// than that of the processes ahead is refused.
///
/// If the lock is lost, the command and everything that it started are killed before another process can have
/// it, even if this process is paused or killed. A crash releases it. If it is lost before the command was
/// started, this process joins the queue again.
///
/// The command has `PLANLEASE_LOCK` and `PLANLEASE_LOCK_TOKEN` in its environment. The token grows from
/// holder to holder, for `planlease fence`; with several permits several tokens are valid at a time.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LockArgs {
    /// The plan
    #[arg(required_unless_present = "global", requires = "name")]
    plan: Option<String>,
    /// The lock's name; a lock needs no set-up
    name: Option<String>,
    /// A lock of the namespace with this name, in place of a plan and a name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["plan", "name"])]
    global: Option<String>,
    /// How many processes can have it at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LOCK_PERMITS)))]
    permits: u32,
    /// Do not wait if another process has it: name the holder, and exit with status 100
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// How long to wait in the queue; then status 118 [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    wait: Option<Duration>,
    /// How long the command has between SIGTERM and SIGKILL
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = crate::duration::parse)]
    grace: Duration,
    /// The command and its arguments; no shell is involved
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  planlease lock release git -- git commit -m 'one at a time'
  planlease lock release deploy --no-wait -- ./deploy.sh || echo 'another process has the lock'
  planlease lock --global nightly-backup --no-wait -- backup.sh
  planlease lock --global downloads --permits 3 -- ./download.sh
  planlease lock release git --wait 5m -- ./push.sh

A holder that was suspended for too long has lost the lock, and does not know. What must not happen then
checks the token first, as push.sh does:

  planlease fence check repo --state ~/fence --token \"$PLANLEASE_LOCK_TOKEN\" && git push";

/// Shows who has which lock of a plan, or of the namespace, and who waits.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease locks release\n  planlease locks release -o jsonl\n  planlease locks --global"
)]
pub(crate) struct LocksArgs {
    /// The plan
    #[arg(required_unless_present = "global")]
    plan: Option<String>,
    /// The locks of the namespace
    #[arg(long, conflicts_with = "plan")]
    global: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl LocksArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = self.plan.as_deref().map(plan_name).transpose()?;
        let coordinator = invocation.connect().await?;
        let list = match &plan {
            Some(plan) => LockList::new(plan, &coordinator.locks(plan).await?),
            None => LockList::global(&coordinator.global_locks().await?),
        };
        invocation.show(self.output.format, &list)?;
        Ok(Exit::Done)
    }
}

impl LockArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = self.plan.as_deref().map(plan_name).transpose()?;
        let name = self.global.as_deref().or(self.name.as_deref()).unwrap_or_default(); // One is required.
        let lock = LockName::new(name).map_err(Failure::from)?;
        let inherited = holding::inherited(invocation.environment())?;
        let variables = invocation.settings()?.for_commands(invocation.environment());
        let mut signals = Signals::take()?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect_to_hold() => connected?,
            signal = signals.which() => return Ok(Exit::Child(signal.status())),
        };
        let patience = Patience::new(!self.no_wait, self.wait);
        let options = LockOptions::default().permits(self.permits);
        let options = match &plan {
            Some(plan) => options.of_plan(plan.clone()),
            None => options,
        };
        let wanted = NamedLock::new(lock.clone(), options);
        let typed = Typed { command: self.command, variables, grace: self.grace };
        let work = LockedCommand { plan, lock, typed, inherited: inherited.clone() };
        holding::run(&coordinator, inherited, patience, &wanted, &work, &mut signals).await
    }
}

/// How many holders of a lock are named.
const NAMED: usize = 5;

/// The command that runs under a lock.
struct LockedCommand {
    plan: Option<PlanName>,
    lock: LockName,
    typed: Typed,
    inherited: Inherited,
}

impl Work<Lock> for LockedCommand {
    fn spec(&self, lock: &Lock) -> Result<CommandSpec, serde_json::Error> {
        let inherited = self.inherited.and(self.plan.as_ref(), lock.session().lease(), lock.revision());
        Ok(self.typed.spec(of_lock(lock), inherited.variable()?))
    }

    fn notice(&self, notice: Notice<'_>) {
        holding::show(self, &notice);
    }
}

impl Subject for LockedCommand {
    fn name(&self) -> String {
        match &self.plan {
            Some(plan) => format!("lock {} of {plan}", self.lock),
            None => format!("lock {}", self.lock),
        }
    }

    fn describe(&self, holder: &Holder) -> String {
        let holders = [&holder.candidate].into_iter().chain(&holder.others);
        format!("held by {}; {}", named(holders.map(with_process)), holding::waiting(holder))
    }

    fn shown_by(&self) -> String {
        match &self.plan {
            Some(plan) => format!("planlease locks {plan}"),
            None => "planlease locks --global".to_owned(),
        }
    }

    fn lost(&self, lost: &Lost) -> Failure {
        let why = match &lost.loss {
            Loss::Session(reason) => reason.to_string(),
            _ => "its key was deleted".to_owned(),
        };
        Failure::new(Exit::AuthorityLost, format!("{} is lost: {why}", self.name()))
            .meaning(describe_fate(&lost.command))
            .remedy(self.shows_holder())
    }

    fn lost_at_the_end(&self) -> Failure {
        Failure::new(Exit::AuthorityLost, format!("{} was lost when the command ended", self.name()))
            .meaning("The command may have gone on for a moment while another process had the lock.")
            .remedy(self.shows_holder())
    }

    async fn still_held(&self, coordinator: &Coordinator) -> String {
        let locks = match &self.plan {
            Some(plan) => coordinator.locks(plan).await,
            None => coordinator.global_locks().await,
        };
        let locks = locks.unwrap_or_default();
        let holders = locks.iter().find(|view| view.lock == self.lock);
        let holders = holders.map(|view| view.queue.holders_and_waiters().0).unwrap_or_default();
        match holders {
            [] => "is still held".to_owned(),
            holders => {
                format!("is still held by {}", named(holders.iter().map(|holder| plain(&holder.name()))))
            }
        }
    }
}

/// The first of the holders of a lock, and how many more there are.
fn named(holders: impl Iterator<Item = String>) -> String {
    let holders: Vec<String> = holders.collect();
    let first = holders.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match holders.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A holder, and the process that it is.
fn with_process(holder: &Candidate) -> String {
    let name = plain(&holder.name());
    match &holder.record {
        Some(record) => format!("{name} on {} (process {})", plain(&record.host), record.pid),
        None => name,
    }
}

impl LockedCommand {
    fn shows_holder(&self) -> String {
        format!("`{}` shows who has it now.", self.shown_by())
    }
}
