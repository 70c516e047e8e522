//! `hold`: own a plan while a program of the caller's runs.

pub(super) mod child;
pub(super) mod line;

use std::{ffi::OsString, time::Duration};

use clap::Args;
use planlease::{
    Error, Loss, Ownership, Session,
    core::{counted, session::Status},
};

use self::{
    child::{End, Ended},
    line::{ForPlan, Patience, Turn},
};
use super::held::Held;
use crate::{
    exit::Exit,
    failure::{Failure, with_cause},
    invocation::Invocation,
    output,
    signals::Signals,
};

/// How long a session that is lost is given to be revoked: only to spare the next one the rest of its TTL.
const REVOKE_WITHIN: Duration = Duration::from_secs(1);

/// How long an explanation of a loss is waited for.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(2);

/// Own a plan while your own program runs
///
/// Waits in the plan's queue first if another process owns it. When the command ends, the plan is released,
/// the next one in the queue takes over at once, and the command's exit status is passed on.
///
/// If the ownership is lost, the command and everything that it started are killed before another process can
/// own the plan, even if this process is paused or killed. If it is lost before the command was started, this
/// process joins the queue again.
///
/// The command has `PLANLEASE_PLAN` and `PLANLEASE_FENCING_TOKEN` in its environment. `planlease task …`
/// inside it reaches the same etcd and changes tasks with the owner's authority.
///
/// A signal while waiting leaves the queue. While the command runs, Ctrl-C on a terminal goes to the command
/// alone; otherwise the first SIGINT, SIGTERM, SIGHUP or SIGQUIT asks it to end (SIGTERM, and SIGKILL after
/// the grace), the second one kills it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HoldArgs {
    /// The plan
    plan: String,
    /// Do not wait for another owner: say which one, and end with status 100. A lock delay is waited for
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// How long to wait for other owners; then status 118 [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    wait: Option<Duration>,
    /// How long the plan stays free after an owner that crashed or was forced out, since it may have left
    /// something running elsewhere; counted from when this process sees the end
    /// [default: the plan's lock_delay_s]
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    lock_delay: Option<Duration>,
    /// How long the command has between SIGTERM and SIGKILL
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = crate::duration::parse)]
    grace: Duration,
    /// Leave the tasks alone that the last owner left in progress
    #[arg(long)]
    no_recover: bool,
    /// The command and its arguments; no shell is involved
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  planlease hold release -- ./my-agent --once
  planlease hold release --no-wait -- ./nightly.sh || echo 'another process owns the plan'
  planlease hold release --wait 10m --ttl 5s -- sh -c 'planlease task start release 1.1 && make'";

impl HoldArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = super::plan_name(&self.plan)?;
        let held = Held::of(invocation.environment())?;
        let mut variables = invocation.settings()?.for_commands(invocation.environment());
        variables.push(held.variable()?);
        let mut signals = Signals::take()?;
        let coordinator = tokio::select! {
            biased; // A connection is of use even if it is to be closed at once.
            connected = invocation.connect() => connected?,
            asked = signals.which() => return Ok(Exit::Child(asked.status())),
        };
        let mut patience = Patience::new(self.no_wait, self.wait);
        let wanted = ForPlan { plan: &plan, lock_delay: self.lock_delay };
        loop {
            let ownership =
                match line::acquire(&coordinator, &wanted, &held, &mut patience, &mut signals).await? {
                    Turn::Ours(ownership) => *ownership,
                    Turn::Asked(asked) => return Ok(Exit::Child(asked.status())),
                };
            output::tell(&format!("holding {plan}, token {}", ownership.token()));
            let ended = self.work(&ownership, &variables, &mut signals).await;
            let again = ended.as_ref().is_ok_and(Ended::is_before_the_start) && patience.lasts();
            match conclude(ownership, ended, &mut signals).await {
                Err(lost) if again => output::tell(&format!("{}; waiting in the queue again", lost.what())),
                concluded => return concluded,
            }
        }
    }

    /// What is done with the plan while it is ours.
    async fn work(
        &self,
        ownership: &Ownership,
        variables: &[(OsString, Option<OsString>)],
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        if !self.no_recover {
            let recovered = tokio::select! {
                biased; // Whoever owns the plan no more has nothing to wait for.
                loss = ownership.lost() => return Ok(Ended::lost_before_the_start(loss)),
                recovered = ownership.recover() => recovered,
            };
            match recovered.map(|(recovered, _)| recovered.len()) {
                Ok(0) => {}
                Ok(n) => output::tell(&format!("recovered {} of lost claimants", counted(n, "task"))),
                Err(error) if line::is_passing(&error) => return Ok(Ended::not_begun(error)),
                Err(error) => return Err(error.into()),
            }
        }
        let spec = child::spec(&self.command, variables, child::of_owner(ownership)?, self.grace)?;
        child::run(&spec, ownership, signals).await
    }
}

/// Gives up what is held, and says how it went.
async fn conclude(
    ownership: Ownership,
    ended: Result<Ended, Failure>,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let session = ownership.session().clone();
    let plan = ownership.plan().clone();
    let result = match ended {
        Ok(Ended { end: End::Lost(loss), command, .. }) => {
            let failure = lost(&ownership, &loss, &command).await;
            match loss {
                Loss::Session(_) => drop(ownership), // There is nothing to release: it is gone with the session.
                _ => drop(ownership.release().await), // Refused, as is to be expected.
            }
            Err(failure)
        }
        Ok(Ended { end: End::NotBegun(error), command, .. }) => {
            drop(ownership.release().await); // What does not succeed here is done by the end of the session.
            Err(Failure::from(error).meaning(command))
        }
        ended => {
            let result = ended.and_then(child::exit);
            let released = tokio::select! {
                biased; // Released well is better than left at a signal.
                released = ownership.release() => released,
                () = signals.next() => Ok(()), // It ends with the session.
            };
            match released {
                Ok(()) => result,
                Err(Error::OwnershipLost(_) | Error::SessionLost(_)) => Err(Failure::new(
                    Exit::RightGone,
                    format!("the ownership of {plan} was over when the command ended"),
                )
                .meaning("The command may have gone on for a moment while another process owned the plan.")
                .remedy(format!("`planlease owner history {plan}` tells how each ownership ended."))),
                Err(error) => {
                    output::tell(&format!(
                        "could not release {plan}: {}; it ends with the session",
                        with_cause(&error)
                    ));
                    result
                }
            }
        }
    };
    close(session, signals).await;
    result
}

async fn lost(ownership: &Ownership, loss: &Loss, command: &str) -> Failure {
    let plan = ownership.plan();
    let explained = tokio::time::timeout(EXPLAIN_WITHIN, ownership.explain_loss()).await;
    let explained = match explained {
        Ok(Ok(why)) => format!(" In the plan's history: {}.", output::plain(&why)),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    Failure::new(Exit::RightGone, format!("the ownership of {plan} is over: {loss}"))
        .meaning(format!("{command}{explained}"))
        .remedy(format!("`planlease owner show {plan}` tells who owns it now."))
}

/// Ends the session, so that nobody waits for it to expire.
pub(super) async fn close(session: Session, signals: &mut Signals) {
    let within = match session.status() {
        Status::Live { .. } => Duration::MAX, // Bounded by the time limit of an operation.
        Status::Lost(_) => REVOKE_WITHIN,
    };
    tokio::select! {
        biased; // Closed well is better than left at a signal.
        closed = tokio::time::timeout(within, session.close()) => {
            if let Ok(Err(error)) = closed {
                tracing::info!(%error, "the session was not closed; it expires");
            }
        }
        () = signals.next() => {}
    }
}
