//! `lock` and `locks`: a named lock of a plan, held while a program of the caller's runs.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use planlease::{
    Coordinator, Error, Holder, Lock, Loss, Session, TryLock,
    core::{LockName, PlanName},
};
use planlease_orchestrator::env;

use super::held::Held;
use super::hold::{
    child::{self, End, Ended},
    close,
    line::{self, Busy, Patience, Turn, Wanted},
};
use crate::{
    exit::Exit,
    failure::{Failure, with_cause},
    invocation::Invocation,
    output::{self, LockList, OutputArgs, plain},
    signals::Signals,
};

/// Run a command while this process holds a named lock of a plan
///
/// Waits in the lock's queue first, in the order of arrival. The lock belongs to the plan, but needs no
/// ownership of it: it is for work that the processes of a plan must not do at the same time, such as commits
/// to one repository.
///
/// If the lock is lost, the command and everything that it started are killed before another process can have
/// it, even if this process is paused or killed. A crash releases it. If it is lost before the command was
/// started, this process joins the queue again.
///
/// The command has `PLANLEASE_LOCK` and `PLANLEASE_LOCK_TOKEN` in its environment. The token grows from
/// holder to holder, for `planlease fence`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LockArgs {
    /// The plan
    plan: String,
    /// The lock's name; a lock needs no set-up
    name: String,
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
  planlease lock release git --wait 5m -- sh -c 'planlease fence check repo --token $PLANLEASE_LOCK_TOKEN && git push'";

/// Shows who has which lock of a plan, and who waits.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease locks release\n  planlease locks release -o jsonl")]
pub(crate) struct LocksArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl LocksArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = super::plan_name(&self.plan)?;
        let locks = invocation.connect().await?.locks(&plan).await?;
        invocation.show(self.output.format, &LockList::new(&plan, &locks))?;
        Ok(Exit::Done)
    }
}

impl LockArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = super::plan_name(&self.plan)?;
        let name = LockName::new(&*self.name).map_err(Failure::from)?;
        let held = Held::of(invocation.environment())?;
        let variables = invocation.settings()?.for_commands(invocation.environment());
        let mut signals = Signals::take()?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect() => connected?,
            asked = signals.which() => return Ok(Exit::Child(asked.status())),
        };
        let mut patience = Patience::new(self.no_wait, self.wait);
        let wanted = ForLock { plan: &plan, lock: &name };
        loop {
            let lock = match line::acquire(&coordinator, &wanted, &held, &mut patience, &mut signals).await? {
                Turn::Ours(lock) => *lock,
                Turn::Asked(asked) => return Ok(Exit::Child(asked.status())),
            };
            let own =
                [(env::LOCK, Some(name.to_string())), (env::LOCK_TOKEN, Some(lock.token().to_string()))];
            let mut variables = variables.clone();
            variables.push(held.and(&plan, lock.session().lease(), lock.revision()).variable()?);
            let spec = child::spec(&self.command, &variables, own, self.grace)?;
            let ended = child::run(&spec, &lock, &mut signals).await;
            let again = ended.as_ref().is_ok_and(Ended::is_before_the_start) && patience.lasts();
            match conclude(lock, ended, &mut signals).await {
                Err(lost) if again => output::tell(&format!("{}; waiting in the queue again", lost.what())),
                concluded => return concluded,
            }
        }
    }
}

/// Gives up the lock, and says how it went.
async fn conclude(lock: Lock, ended: Result<Ended, Failure>, signals: &mut Signals) -> Result<Exit, Failure> {
    let session = lock.session().clone();
    let what = format!("lock {} of {}", lock.name(), lock.plan());
    let shows = format!("`planlease locks {}` shows who has it now.", lock.plan());
    let result = match ended {
        Ok(Ended { end: End::Lost(loss), command, .. }) => {
            match loss {
                Loss::Session(_) => drop(lock), // There is nothing to release: it is gone with the session.
                _ => drop(lock.release().await), // Refused, as is to be expected.
            }
            let why = match loss {
                Loss::Session(reason) => reason.to_string(),
                _ => "its key was deleted".to_owned(),
            };
            Err(Failure::new(Exit::RightGone, format!("{what} is lost: {why}"))
                .meaning(command)
                .remedy(shows))
        }
        ended => {
            let result = ended.and_then(child::exit);
            let released = tokio::select! {
                biased; // Released well is better than left at a signal.
                released = lock.release() => released,
                () = signals.next() => Ok(()), // It ends with the session.
            };
            match released {
                Ok(()) => result,
                Err(Error::LockLost { .. } | Error::SessionLost(_)) => {
                    Err(Failure::new(Exit::RightGone, format!("{what} was lost when the command ended"))
                        .meaning(
                            "The command may have gone on for a moment while another process had the lock.",
                        )
                        .remedy(shows))
                }
                Err(error) => {
                    let why = with_cause(&error);
                    output::tell(&format!("could not release {what}: {why}; it ends with the session"));
                    result
                }
            }
        }
    };
    close(session, signals).await;
    result
}

/// A lock of a plan.
struct ForLock<'a> {
    plan: &'a PlanName,
    lock: &'a LockName,
}

impl ForLock<'_> {
    fn name(&self) -> String {
        format!("lock {} of {}", self.lock, self.plan)
    }
}

impl Wanted for ForLock<'_> {
    type Right = Lock;

    async fn take_now(&self, session: &Session) -> Result<Result<Lock, Busy>, Error> {
        Ok(match session.try_lock(self.plan, self.lock).await? {
            TryLock::Locked(lock) => Ok(*lock),
            TryLock::HeldBy(holder) => Err(Busy::Held(holder)),
        })
    }

    async fn wait(&self, session: &Session, wait: Option<Duration>) -> Result<Lock, Error> {
        session.lock(self.plan, self.lock, wait).await
    }

    fn words(&self, holder: &Holder) -> (String, String) {
        let first = plain(&holder.candidate.name());
        let by = match &holder.candidate.record {
            Some(record) => format!("{first} on {} (process {})", plain(&record.host), record.pid),
            None => first.to_string(),
        };
        (self.name(), format!("held by {by}; {}", line::waiting(holder)))
    }

    fn refused(&self, holder: &Holder) -> Failure {
        let (what, held) = self.words(holder);
        Failure::new(Exit::OwnedByOther, format!("{what} is {held}"))
            .meaning("The command was not started.")
            .remedy(format!(
                "Without --no-wait it waits its turn; `planlease locks {}` shows the queue.",
                self.plan
            ))
    }

    async fn still_held(&self, coordinator: &Coordinator) -> Failure {
        let locks = coordinator.locks(self.plan).await.unwrap_or_default();
        let first = locks.iter().find(|view| view.lock == *self.lock);
        let first = first.and_then(|view| view.line.candidates().first());
        let by = first.map_or_else(String::new, |first| format!(" by {}", plain(&first.name())));
        Failure::new(Exit::TimedOut, format!("the time to wait is up; {} is still held{by}", self.name()))
            .meaning("The command was not started, and the process left the queue.")
            .remedy("Give a longer --wait, or none to wait as long as it takes.")
    }
}
