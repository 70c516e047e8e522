//! `status`: how far plans are.

use clap::Args;
use planlease::{Coordinator, PlanView, core::TaskId};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, ListOutputArgs, PlanList, PlanStatus},
};

/// Show the progress and the owners of plans
///
/// Without a plan: all plans with their counts, owners and waiters. With one: its phases, the tasks in
/// progress, failed tasks with the reason, its owner and its queue. Two requests to etcd for a plan of up to
/// 500 tasks.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease status\n  planlease status release\n  planlease status release -o json | jq .summary"
)]
pub(crate) struct StatusArgs {
    /// The plan [default: all]
    plan: Option<String>,
    #[command(flatten)]
    output: ListOutputArgs,
}

impl StatusArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = self.plan.as_deref().map(plan_name).transpose()?;
        let coordinator = invocation.connect().await?;
        match plan {
            Some(plan) => {
                let view = coordinator.plan(&plan).await?;
                let alive = coordinator.alive(&view).await?;
                let pause = coordinator.fleet_pause().await?;
                let status = PlanStatus::new(&view, &alive).in_fleet(pause.as_ref());
                invocation.show(self.output.format, &status.in_store(invocation.store()?))?;
                if let Some(wait) = pool_wait(&coordinator, &view).await? {
                    output::tell(&wait);
                }
            }
            None => {
                let plans = PlanList::new(&coordinator.plans().await?, false);
                let plans = plans.in_fleet(coordinator.fleet_pause().await?.as_ref());
                invocation.show(self.output.format, &plans.in_store(invocation.store()?))?
            }
        }
        Ok(Exit::Done)
    }
}

/// Which pool ready tasks of the plan wait for, in words.
async fn pool_wait(coordinator: &Coordinator, view: &PlanView) -> Result<Option<String>, Failure> {
    if !view.graph().uses_pools() || view.halt().is_some() {
        return Ok(None);
    }
    let (pools, _) = coordinator.pools().await?;
    let wait = |task: &TaskId| Some((task.clone(), pools.wait(view.graph().pools(task)?)?));
    Ok(view.ready().find_map(wait).map(|(task, wait)| {
        let wait = output::plain(&wait.to_string());
        format!("task {task}: {wait}; `planlease next {}` lists all that wait", view.name().quoted())
    }))
}
