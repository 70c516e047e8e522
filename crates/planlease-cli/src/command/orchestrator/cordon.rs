//! `orchestrator cordon`, `uncordon` and `drain`.

use std::time::Duration;

use clap::Args;
use planlease::{
    Coordinator, Error, MAX_DEADLINE, PlanName, Reason,
    core::{OrchestratorId, steering::Eligibility},
};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, EligibilityView, OutputArgs},
};

/// How often it is looked whether a draining orchestrator still owns something.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long an orchestrator has after the deadline: for the grace of its commands, and to give its plans
/// away.
const AFTERWARDS: Duration = Duration::from_secs(30);

/// Let an orchestrator take no new plans
///
/// It keeps the plans that it owns and goes on in them; a worker finishes what it has claimed, and claims
/// no new task. The cordon belongs to the name: a process that starts again under the same name (`run
/// --id NAME`) stays cordoned until `orchestrator uncordon`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease orchestrator cordon build-7 --reason 'disk is failing'")]
pub(crate) struct CordonArgs {
    /// The orchestrator
    name: String,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given", value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Let an orchestrator take plans again
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease orchestrator uncordon build-7")]
pub(crate) struct UncordonArgs {
    /// The orchestrator
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Let an orchestrator give its plans away, and take no new ones
///
/// An orchestrator of `run` starts nothing new, lets running tasks end until the deadline, stops what
/// runs then (SIGTERM, the grace, SIGKILL; no attempt is counted as failed), and releases its plans to
/// the next in their queues. It stays cordoned after that, until `orchestrator uncordon`. This command
/// waits until it owns nothing; a process that does not give its plans away (a program at a sidecar,
/// `hold`) keeps them, and the command ends with status 118 some 30 s after the deadline.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease orchestrator drain build-7\n  planlease orchestrator drain build-7 --deadline 30s --reason 'kernel update'"
)]
pub(crate) struct DrainArgs {
    /// The orchestrator
    name: String,
    /// How long running tasks may go on
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = crate::duration::parse)]
    deadline: Duration,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given", value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    /// Do not wait
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl CordonArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let id = OrchestratorId::new(&self.name)?;
        let reason = Reason::by(invocation.operator()).because(&self.reason);
        let coordinator = invocation.connect().await?;
        coordinator.admin().cordon(&id, &reason).await?;
        tell_if_absent(&coordinator, &id).await?;
        invocation.show(self.output.format, &EligibilityView::new(id, Eligibility::Cordoned, None))?;
        Ok(Exit::Done)
    }
}

impl UncordonArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let id = OrchestratorId::new(&self.name)?;
        let coordinator = invocation.connect().await?;
        let was_cordoned = coordinator.admin().uncordon(&id).await?;
        if !was_cordoned && !is_registered(&coordinator, &id).await? {
            output::tell(&format!("no orchestrator {id} is registered"));
        }
        invocation.show(self.output.format, &EligibilityView::uncordoned(id, was_cordoned))?;
        Ok(Exit::Done)
    }
}

impl DrainArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let id = OrchestratorId::new(&self.name)?;
        let deadline = self.deadline.min(MAX_DEADLINE);
        let reason = Reason::by(invocation.operator()).because(&self.reason);
        let coordinator = invocation.connect().await?;
        coordinator.admin().drain(&id, deadline, &reason).await?;
        tell_if_absent(&coordinator, &id).await?;
        let owns = if self.detach {
            None
        } else {
            let drained = tokio::time::timeout(deadline + AFTERWARDS, until_drained(&coordinator, &id));
            drained.await.unwrap_or(Ok(()))?;
            Some(owned(&coordinator, &id).await?)
        };
        let left = owns.clone().unwrap_or_default();
        invocation.show(self.output.format, &EligibilityView::new(id, Eligibility::Draining, owns))?;
        let Some(plan) = left.first() else { return Ok(Exit::Done) };
        Err(Failure::new(Exit::TimedOut, format!("{} still owns {plan}", self.name))
            .meaning("It takes no new plan, but did not give this one away.")
            .remedy(format!("`planlease owner release {plan}` takes the plan from it by force.")))
    }
}

/// Says that no live process has that name: it may be misspelt, or start later.
async fn tell_if_absent(coordinator: &Coordinator, id: &OrchestratorId) -> Result<(), Error> {
    if !is_registered(coordinator, id).await? {
        output::tell(&format!(
            "no orchestrator {id} is registered; one that starts under the name finds the cordon"
        ));
    }
    Ok(())
}

/// Whether a live process has that name.
async fn is_registered(coordinator: &Coordinator, id: &OrchestratorId) -> Result<bool, Error> {
    Ok(coordinator.orchestrators().await?.iter().any(|registered| registered.id == *id))
}

/// Waits until the orchestrator owns nothing.
async fn until_drained(coordinator: &Coordinator, id: &OrchestratorId) -> Result<(), Error> {
    while !owned(coordinator, id).await?.is_empty() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// The plans that the orchestrator owns.
async fn owned(coordinator: &Coordinator, id: &OrchestratorId) -> Result<Vec<PlanName>, Error> {
    let plans = coordinator.plans().await?;
    let owns = plans
        .iter()
        .filter(|view| view.queue().owner().is_some_and(|(_, term)| term.owner.orchestrator == *id));
    Ok(owns.map(|view| view.name().clone()).collect())
}
