//! The tools that look: `plans`, `next`, `why`.

use planlease::{Coordinator, read_beside};
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
    let view = coordinator.plan(&plan).await?;
    let alive = coordinator.alive(&view).await?;
    let next = NextTasks::new(&view, count, &next.labels, &alive);
    shown(&next.in_fleet(coordinator.fleet_pause().await?.as_ref()))
}

pub(crate) async fn why(coordinator: &Coordinator, why: Why) -> Reply {
    let plan = arguments::plan(&why.plan)?;
    let task = why.task.as_deref().map(arguments::task).transpose()?;
    let pause = coordinator.fleet_pause().await?;
    let Some(task) = task else {
        let view = coordinator.plan(&plan).await?;
        let alive = coordinator.alive(&view).await?;
        let past = coordinator.history(&plan).terms().await?;
        return shown(&WhyPlan::new(&view, &past, &alive).in_fleet(&view, pause.as_ref()));
    };
    let mut excerpt = coordinator.excerpt(&plan, &task).await?;
    let late = coordinator.late_results(&plan, &task).await.map(Some);
    let late = read_beside(&mut excerpt, late)?.unwrap_or_default();
    let alive = coordinator.alive_for(&excerpt).await?;
    shown(&WhyTask::new(&excerpt, &late, &alive).in_fleet(pause.as_ref()))
}
