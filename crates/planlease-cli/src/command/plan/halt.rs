//! `plan pause`, `resume`, `cancel` and `archive`.

use clap::Args;
use planlease::{
    Halted, Reason,
    core::{PlanName, record::Halt},
};

use super::halts::{PlansArgs, would};
use crate::{
    confirm::ConfirmArgs,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{Format, HaltView, HaltViews, OutputArgs},
};

/// `plan pause`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan pause release --reason 'the registry is down'\n  planlease plan pause --all --reason maintenance --dry-run\n  planlease plan pause --select team=payments\n  planlease plan resume release"
)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    plans: PlansArgs,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given", value_parser = crate::reason::parse)]
    reason: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// `plan resume`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan resume release\n  planlease plan resume --all")]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    plans: PlansArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Ends the plan's ownership by force, and the plan cannot be owned until it is resumed: the commands of its
/// owner are killed as if the ownership were lost. The records stay as they are. A plan whose tasks are all
/// done is not cancelled: of a cancellation and a completion at the same moment one wins.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan cancel release --reason 'superseded by 1.5' --yes")]
pub(crate) struct CancelArgs {
    /// The plan
    plan: String,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given", value_parser = crate::reason::parse)]
    reason: String,
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `plan archive`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan archive release\n  planlease plan list --all")]
pub(crate) struct ArchiveArgs {
    /// The plan
    plan: String,
    /// The reason, which others see
    #[arg(long, default_value = "no reason given", value_parser = crate::reason::parse)]
    reason: String,
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl PauseArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let reason = Reason::by(invocation.operator()).because(&self.reason);
        let plan = match self.plans.single() {
            Some(plan) => plan?,
            None => return self.plans.run(invocation, self.output.format, Some(&reason)).await,
        };
        let halted = invocation.connect().await?.admin().pause(&plan, &reason).await?;
        invocation.show(self.output.format, &HaltView::new(plan, Halt::Paused, halted))?;
        Ok(Exit::Done)
    }
}

impl ResumeArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = match self.plans.single() {
            Some(plan) => plan?,
            None => return self.plans.run(invocation, self.output.format, None).await,
        };
        let changed = invocation.connect().await?.admin().resume(&plan).await?;
        invocation.show(self.output.format, &HaltView::resumed(plan, changed))?;
        Ok(Exit::Done)
    }
}

impl CancelArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        if self.dry_run {
            return preview(invocation, &plan, Halt::Cancelled, self.output.format).await;
        }
        let coordinator = invocation.connect().await?;
        if !self.confirm.yes {
            match coordinator.plan(&plan).await {
                Ok(_) | Err(planlease::Error::Unreadable(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let what = format!(
                "this cancels {plan}: it ends what its owner does, and no process can own it until it is \
                                resumed"
            );
            self.confirm.by_name(plan.as_str(), &what)?;
        }
        let halted: Halted = coordinator
            .admin()
            .cancel(&plan, &Reason::by(invocation.operator()).because(&self.reason))
            .await?;
        invocation.show(self.output.format, &HaltView::new(plan, Halt::Cancelled, halted))?;
        Ok(Exit::Done)
    }
}

impl ArchiveArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        if self.dry_run {
            return preview(invocation, &plan, Halt::Archived, self.output.format).await;
        }
        let coordinator = invocation.connect().await?;
        let halted = coordinator
            .admin()
            .archive(&plan, &Reason::by(invocation.operator()).because(&self.reason))
            .await?;
        invocation.show(self.output.format, &HaltView::new(plan, Halt::Archived, halted))?;
        Ok(Exit::Done)
    }
}

/// Shows what a cancellation or an archiving would do.
async fn preview(
    invocation: &Invocation,
    plan: &PlanName,
    how: Halt,
    format: Format,
) -> Result<Exit, Failure> {
    let view = invocation.connect().await?.plan(plan).await?;
    let mut shown = HaltViews::new(true);
    let first = view.queue().candidates().first();
    match (how, first) {
        (Halt::Archived, Some(first)) => {
            shown.fail(plan.clone(), Some(how), format!("it is owned by {}", first.name()));
        }
        (Halt::Cancelled, _) if view.summary().is_finished() => {
            shown.fail(plan.clone(), Some(how), "it is finished".to_owned());
        }
        _ => shown.add(would(&view, how)),
    }
    invocation.show(format, &shown)?;
    Ok(Exit::Done)
}
