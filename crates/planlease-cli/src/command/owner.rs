//! `owner`: who owns a plan, who did, and ending an ownership from outside.

use clap::{Args, Subcommand};
use planlease::core::{OrchestratorId, PlanName};

use crate::{
    confirm::ConfirmArgs,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{OutputArgs, OwnerView, ReleasedView, TermList},
};

/// What to do with an ownership.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnerCommand {
    /// Show the owner of a plan and its queue
    Show(ShowArgs),
    /// End the present ownership of a plan by force
    Release(ReleaseArgs),
    /// List the past owners of a plan, and how each ownership ended
    History(HistoryArgs),
}

/// `owner show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// `owner history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Ends the present ownership of a plan. Its owner loses the right at once: its commands are killed, and
/// whatever it still sends is refused; the next in the queue takes over when the plan's lock delay is over,
/// as after a crash. What it does outside etcd is not undone. Who did it and why stays in the plan's history.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease owner release release --reason 'host is being replaced'\n  planlease owner release release --reason stuck --expect ci-7-4711-k2 --yes"
)]
pub(crate) struct ReleaseArgs {
    /// The plan
    plan: String,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do it only if this orchestrator is the owner
    #[arg(long, value_name = "ORCHESTRATOR")]
    expect: Option<String>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl OwnerCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Show(args) => {
                let plan = plan_name(&args.plan)?;
                // The whole plan, so that one which is not there is not taken for one without an owner.
                let view = invocation.connect().await?.plan(&plan).await?;
                invocation.show(args.output.format, &OwnerView::new(plan, view.line()))?;
            }
            Self::History(args) => {
                let plan = plan_name(&args.plan)?;
                let coordinator = invocation.connect().await?;
                let view = coordinator.plan(&plan).await?;
                let past = coordinator.past_terms(&plan).await?;
                invocation.show(args.output.format, &TermList::new(&view, &past))?;
            }
            Self::Release(args) => return args.run(invocation).await,
        }
        Ok(Exit::Done)
    }
}

impl ReleaseArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let expected = self.expect.as_deref().map(OrchestratorId::new).transpose()?;
        let coordinator = invocation.connect().await?;
        let seen = coordinator.plan(&plan).await?;
        let line = seen.line();
        let first = line.candidates().first().ok_or_else(|| planlease::Error::NotOwned(plan.clone()))?;
        // What was looked at is what is ended: if another process owns it by the time of the answer, nothing
        // happens.
        let seen = first.record.as_ref().map(|record| record.orchestrator.clone());
        if let Some(expected) = expected.clone().filter(|expected| seen.as_ref() != Some(expected)) {
            return Err(planlease::Error::OtherOwner { plan, by: first.name(), expected }.into());
        }
        self.confirm.by_name(plan.as_str(), &consequence(&plan, &first.name()))?;
        let expected = expected.or(seen);
        let by = invocation.operator();
        let released = coordinator.force_release(&plan, expected.as_ref(), &by, &self.reason).await?;
        invocation.show(self.output.format, &ReleasedView::new(plan, released))?;
        Ok(Exit::Done)
    }
}

fn consequence(plan: &PlanName, owner: &str) -> String {
    format!("this takes {plan} away from {owner}, which loses what it is working on")
}
