//! `owner`: who owns a plan, who did, and ending an ownership from outside.

mod move_to;

use clap::{Args, Subcommand};
use planlease::Reason;
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
    Move(move_to::MoveArgs),
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
/// as after a crash. A `planlease run` that lost a plan so leaves it to others for 60 s, and then waits for
/// it again: `planlease plan pause` keeps it from being worked on, `planlease orchestrator cordon` keeps that
/// process from it. What it does outside etcd is not undone. Who did it and why stays in the plan's history.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease owner release release --reason 'host is being replaced'\n  planlease owner release release --reason stuck --expect ci-7-4711-k2 --yes"
)]
pub(crate) struct ReleaseArgs {
    /// The plan
    plan: String,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
    /// Do it only if this orchestrator is the owner
    #[arg(long, value_name = "ORCHESTRATOR")]
    expect: Option<String>,
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
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
                invocation.show(args.output.format, &OwnerView::new(plan, view.queue()))?;
            }
            Self::History(args) => {
                let plan = plan_name(&args.plan)?;
                let coordinator = invocation.connect().await?;
                let view = coordinator.plan(&plan).await?;
                let past = coordinator.history(&plan).terms().await?;
                invocation.show(args.output.format, &TermList::new(&view, &past))?;
            }
            Self::Move(args) => return args.run(invocation).await,
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
        let line = seen.queue();
        let first = line.candidates().first().ok_or_else(|| planlease::Error::NotOwned(plan.clone()))?;
        // What was looked at is what is ended: if another process owns it by the time of the answer, nothing
        // happens.
        let seen = first.record.as_ref().map(|record| record.orchestrator.clone());
        if let Some(expected) = expected.clone().filter(|expected| seen.as_ref() != Some(expected)) {
            return Err(planlease::Error::OtherOwner { plan, by: first.name(), expected }.into());
        }
        if self.dry_run {
            invocation.show(self.output.format, &ReleasedView::planned(plan.clone(), line))?;
            return Ok(Exit::Done);
        }
        self.confirm.by_name(plan.as_str(), &consequence(&plan, &first.name()))?;
        let expected = expected.or(seen);
        let reason = Reason::by(invocation.operator()).because(&self.reason);
        let released = coordinator.admin().force_release(&plan, expected.as_ref(), &reason).await?;
        invocation.show(self.output.format, &ReleasedView::new(plan, released))?;
        Ok(Exit::Done)
    }
}

fn consequence(plan: &PlanName, owner: &str) -> String {
    format!("this takes {plan} away from {owner}, which loses what it is working on")
}
