//! `plan delete`: asks first, since nothing brings a plan back.

use clap::Args;
use planlease::{
    PlanView, TaskView,
    core::{counted, transition::TaskStatus},
};

use super::ticked::named;
use crate::{
    confirm::ConfirmArgs,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{OutputArgs, PlanDeleted, plain, tell},
};

/// `plan delete`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease plan delete release\n  planlease plan delete release --yes")]
pub(crate) struct DeleteArgs {
    /// The plan
    plan: String,
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl DeleteArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let coordinator = invocation.connect().await?;
        if self.dry_run {
            let view = coordinator.plan(&plan).await?;
            if let Some(first) = view.queue().candidates().first() {
                tell(&format!("{plan} would not be deleted: it is owned by {}", plain(&first.name())));
                return Ok(Exit::Done);
            }
            invocation.show(self.output.format, &PlanDeleted { deleted: plan, dry_run: true })?;
            return Ok(Exit::Done);
        }
        if !self.confirm.yes {
            let what = match coordinator.plan(&plan).await {
                Ok(view) => consequence(&view),
                Err(planlease::Error::Unreadable(unreadable)) => {
                    format!("this deletes {plan}, of which {unreadable}")
                }
                Err(error) => return Err(error.into()),
            };
            self.confirm.by_name(plan.as_str(), &what)?;
        }
        coordinator.admin().delete(&plan).await?;
        invocation.show(self.output.format, &PlanDeleted { deleted: plan, dry_run: false })?;
        Ok(Exit::Done)
    }
}

/// What is deleted with a plan, the work that is under way above all.
fn consequence(view: &PlanView) -> String {
    let (plan, summary) = (view.name(), view.summary());
    let (tasks, ended) = (counted(summary.total, "task"), summary.ended());
    let what = format!("this deletes {plan} with {tasks}, {ended} of which ended");
    let in_progress = |task: &&TaskView| task.record.status == TaskStatus::InProgress;
    let working: Vec<&TaskView> = view.tasks().values().filter(in_progress).collect();
    match working.is_empty() {
        true => what,
        false => format!("{what}; in progress: {}", named(working.into_iter().map(|task| &task.id))),
    }
}
