//! Which tasks a command is about: named ones, or those that filters select.

use clap::Args;
use planlease::core::transition::Change;

use super::{
    bulk::{BatchArgs, Bulk},
    select::FilterArgs,
    update::UpdateArgs,
};
use crate::{exit::Exit, failure::Failure, invocation::Invocation, names::plan_name};

/// Tasks that are named.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The plan
    plan: String,
    /// The tasks
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    #[command(flatten)]
    batch: BatchArgs,
}

/// Tasks that are named or selected.
#[derive(Debug, Args)]
pub(crate) struct SelectedArgs {
    /// The plan
    #[arg(required_unless_present = "all_plans", conflicts_with = "all_plans")]
    plan: Option<String>,
    /// The tasks; without any, those that the filters select
    #[arg(value_name = "TASK", conflicts_with_all = ["status", "labels", "phases"])]
    tasks: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// In all plans, but those that are cancelled or archived
    #[arg(long)]
    all_plans: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl NamedArgs {
    pub(super) async fn run(self, invocation: &Invocation, change: Change) -> Result<Exit, Failure> {
        let Self { plan, mut tasks, batch } = self;
        if tasks.len() == 1 && !batch.atomic {
            return UpdateArgs::of(plan, tasks.remove(0), &batch).run(invocation, change).await;
        }
        Bulk::named(plan, tasks, batch)?.run(invocation, change).await
    }
}

impl SelectedArgs {
    /// The same about this attempt.
    pub(super) fn of_attempt(mut self, attempt: Option<u32>) -> Self {
        self.batch.attempt = attempt;
        self
    }

    pub(super) async fn run(self, invocation: &Invocation, change: Change) -> Result<Exit, Failure> {
        let Self { plan, tasks, filter, all_plans: _, batch } = self;
        if let (Some(plan), false) = (&plan, tasks.is_empty()) {
            return NamedArgs { plan: plan.clone(), tasks, batch }.run(invocation, change).await;
        }
        if filter.is_empty() {
            return Err(Failure::usage(format!("it is not said which tasks to {}", change.verb()))
                .meaning("Nothing was changed.")
                .remedy("Name tasks, or select them with --status, --label or --phase."));
        }
        if plan.is_none() && batch.atomic {
            return Err(Failure::usage("--atomic is for the tasks of one plan")
                .meaning("Nothing was changed; one transaction is guarded by one plan's owner.")
                .remedy("Leave --atomic out, or name the plan."));
        }
        if batch.attempt.is_some() {
            return Err(Failure::usage("--attempt is for tasks that are named")
                .meaning("Nothing was changed.")
                .remedy("Name the task, or leave --attempt out."));
        }
        let plan = plan.as_deref().map(plan_name).transpose()?;
        Bulk::selected(plan, filter, batch).run(invocation, change).await
    }
}
