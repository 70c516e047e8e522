//! `owner move`: a plan moves from its present owner to a named orchestrator.

use std::time::Duration;

use clap::Args;
use planlease::{
    Coordinator, Error, MAX_DEADLINE, PlanName, Reason, core::OrchestratorId, core::steering::MoveRecord,
};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{MoveView, OutputArgs},
};

/// How often it is looked whether the plan has moved.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// How long a move may take besides its deadline: for the candidate to join the queue, for the grace of
/// commands, and for the hand-over.
const BESIDES: Duration = Duration::from_secs(45);

/// Move a plan to a named orchestrator
///
/// The candidate is checked first: it has to be registered, and not cordoned. When it waits in the queue,
/// the present owner starts nothing new, lets running tasks end until the deadline, stops what runs then
/// (no attempt is counted as failed), and hands the plan over, once. If the candidate does not come, the
/// owner goes on as if nothing had been asked. Orchestrators of `run` do that, for plans that they were
/// started for.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease owner move release --to build-8 --reason 'build-7 is replaced'\n  planlease owner move release --to build-8 --deadline 10s\n  planlease owner move release --to build-8 --expect build-7"
)]
pub(crate) struct MoveArgs {
    /// The plan
    plan: String,
    /// The orchestrator that is to own it
    #[arg(long, value_name = "ORCHESTRATOR")]
    to: String,
    /// Do it only if this orchestrator is the owner
    #[arg(long, value_name = "ORCHESTRATOR")]
    expect: Option<String>,
    /// How long running tasks may go on
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = crate::duration::parse)]
    deadline: Duration,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given", value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl MoveArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, to) = (plan_name(&self.plan)?, OrchestratorId::new(&self.to)?);
        let expected = self.expect.as_deref().map(OrchestratorId::new).transpose()?;
        let reason = Reason::by(invocation.operator()).because(&self.reason);
        let coordinator = invocation.connect().await?;
        let deadline = self.deadline.min(MAX_DEADLINE);
        let admin = coordinator.admin();
        let request = admin.request_move(&plan, expected.as_ref(), &to, deadline, &reason).await?;
        let moved =
            tokio::time::timeout(deadline + BESIDES, until_owner_changes(&coordinator, &plan, &request));
        let owner = moved.await;
        coordinator.admin().withdraw_move(&plan, Some(&request)).await?;
        let failed = |what: String| {
            Err(Failure::new(Exit::TimedOut, what)
                .meaning("The request is withdrawn; the plan goes on with its present owner.")
                .remedy(format!("`planlease owner show {plan}` shows the owner and the queue.")))
        };
        match owner {
            Ok(owner) => match owner? {
                Some(owner) if owner == to => {
                    invocation.show(self.output.format, &MoveView::done(&plan, &request))?;
                    Ok(Exit::Done)
                }
                Some(owner) => failed(format!("{plan} was not moved to {to}: {owner} owns it now")),
                None => failed(format!("{plan} was not moved to {to}: nothing is left to be done in it")),
            },
            Err(_) => failed(format!(
                "{plan} was not moved to {to} in time: it did not join the queue, or the owner \
                                      did not give the plan away"
            )),
        }
    }
}

/// Waits until the plan has another owner than before, and returns it; `None` if the plan is finished.
async fn until_owner_changes(
    coordinator: &Coordinator,
    plan: &PlanName,
    request: &MoveRecord,
) -> Result<Option<OrchestratorId>, Error> {
    loop {
        let queue = coordinator.queue(plan).await?;
        match queue.owner().map(|(_, term)| term.owner.orchestrator.clone()) {
            Some(owner) if owner != request.from => return Ok(Some(owner)),
            None if coordinator.plan(plan).await?.summary().is_finished() => return Ok(None),
            Some(_) | None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}
