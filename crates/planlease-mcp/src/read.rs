//! The tools that look: `plans`, `next`, `why`.

use planlease::Coordinator;
use planlease_documents::{NextTasks, PlanList, WhyPlan, WhyTask};

use crate::{
    arguments::{self, Next, Why},
    reply::{Refusal, Reply, shown},
};

/// How many tasks `next` lists, if the call does not say.
pub(crate) const LISTED: usize = 5;

/// The most tasks that `next` lists.
const MOST: u32 = 100;

pub(crate) async fn plans(coordinator: &Coordinator) -> Reply {
    let plans = PlanList::new(&coordinator.plans().await?, false);
    shown(&plans.in_fleet(coordinator.fleet_pause().await?.as_ref()))
}

pub(crate) async fn next(coordinator: &Coordinator, next: Next) -> Reply {
    let plan = arguments::plan(&next.plan)?;
    let count = match next.count {
        None => LISTED,
        Some(count @ 1..=MOST) => usize::try_from(count).unwrap_or(LISTED),
        Some(_) => return Err(Refusal::new(format!("`count` has to be 1 to {MOST}."))),
    };
    let offers = coordinator.offers().await?;
    shown(&NextTasks::read(coordinator, &plan, (count, &next.labels), &offers).await?)
}

pub(crate) async fn why(coordinator: &Coordinator, why: Why) -> Reply {
    let plan = arguments::plan(&why.plan)?;
    let task = why.task.as_deref().map(arguments::task).transpose()?;
    match task {
        Some(task) => {
            let offers = coordinator.offers().await?;
            shown(&WhyTask::read(coordinator, &plan, &task, &offers).await?)
        }
        None => shown(&WhyPlan::read(coordinator, &plan).await?),
    }
}
