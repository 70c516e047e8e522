//! Documents that take several reads, put together in one place: the command line, the sidecar and the tools
//! of agents show the same, and none of them leaves a part out.

use planlease::{Coordinator, Error, read_beside};
use planlease_core::{PlanName, TaskId, offer::Offer};

use crate::wire::{
    next::NextTasks,
    why::{WhyPlan, WhyTask},
};

impl WhyTask {
    /// Why a task is where it is. `offers`: what the registered orchestrators run.
    ///
    /// # Errors
    /// As for [`Coordinator::excerpt`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn read(
        coordinator: &Coordinator,
        plan: &PlanName,
        task: &TaskId,
        offers: &[Offer],
    ) -> Result<Self, Error> {
        let mut excerpt = coordinator.excerpt(plan, task).await?;
        let late = coordinator.late_results(plan, task).await.map(Some);
        let late = read_beside(&mut excerpt, late)?.unwrap_or_default();
        let alive = coordinator.alive_for(&excerpt).await?;
        let mut why = Self::new(&excerpt, &late, &alive).offered(&excerpt, offers);
        if let Some(uses) = excerpt.seen().graph().pools(task) {
            why = why.pooled(&excerpt, &coordinator.pools_of(uses).await?);
        }
        Ok(why.in_fleet(coordinator.fleet_pause().await?.as_ref()))
    }
}

impl WhyPlan {
    /// Why a plan is where it is.
    ///
    /// # Errors
    /// As for [`Coordinator::plan`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn read(coordinator: &Coordinator, plan: &PlanName) -> Result<Self, Error> {
        let view = coordinator.plan(plan).await?;
        let alive = coordinator.alive(&view).await?;
        let past = coordinator.history(plan).terms().await?;
        let mut why = Self::new(&view, &past, &alive);
        if view.graph().uses_pools() {
            why = why.pooled(&view, &coordinator.pools().await?.0);
        }
        Ok(why.in_fleet(&view, coordinator.fleet_pause().await?.as_ref()))
    }
}

impl NextTasks {
    /// The first tasks that may start, with all of these labels, and what holds up the others. `offers`: what
    /// the registered orchestrators run.
    ///
    /// # Errors
    /// As for [`Coordinator::plan`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn read(
        coordinator: &Coordinator,
        plan: &PlanName,
        (count, labels): (usize, &[String]),
        offers: &[Offer],
    ) -> Result<Self, Error> {
        let view = coordinator.plan(plan).await?;
        let alive = coordinator.alive(&view).await?;
        let mut next = Self::new(&view, count, labels, &alive).offered(&view, offers);
        if view.graph().uses_pools() {
            next = next.pooled(&view, &coordinator.pools().await?.0);
        }
        Ok(next.in_fleet(coordinator.fleet_pause().await?.as_ref()))
    }
}
