//! A person who steers the fleet: cancels tasks, cordons and drains orchestrators, moves plans, pauses the
//! fleet; and when faults are over, looks whether the drains came to their end, and takes all of it back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use planlease::{
    Coordinator, Error, Outcome, Reason,
    core::{
        OrchestratorId, PlanName, Revision,
        cancel::Then,
        steering::{Eligibility, MoveRecord},
        transition::{Change, TaskStatus},
    },
};
use planlease_oracle::Client;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};

use super::Ended;
use crate::world::{AGAIN, Life, World, lock};

/// How often it is looked whether a plan has moved, as `owner move` does.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// How long a move may take besides its deadline, as for `owner move`.
const BESIDES: Duration = Duration::from_secs(45);

/// How long a drain may take besides its deadline when nothing goes wrong: an orchestrator that has just lost
/// its session first opens another one.
const DRAINED_WITHIN: Duration = Duration::from_secs(20);

/// What came of a request to move a plan, as `owner move` says it.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The plan.
    pub plan: PlanName,
    /// What was asked.
    pub request: MoveRecord,
    /// The revision by which it had an owner other than before, and that owner; `None` in time for neither.
    pub to: Option<(Revision, OrchestratorId)>,
}

struct Steering {
    world: Arc<World>,
    life: Life,
    client: Client,
    rng: StdRng,
}

/// Runs until it is killed.
///
/// # Errors
/// Never.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let client = world.client(&life);
    let rng = StdRng::seed_from_u64(life.seed);
    let every = world.options.steered_every.unwrap_or(AGAIN);
    let mut person = Steering { world, life, client, rng };
    while !person.world.is_healed() {
        tokio::time::sleep(every.mul_f64(person.rng.random_range(0.1..2.0))).await;
        if let Err(error) = person.steer(&coordinator).await {
            person.world.expect(&person.life.host, "steer", &error);
        }
    }
    let mut drains = BTreeMap::new();
    loop {
        if let Err(error) = person.take_back(&coordinator, &mut drains).await {
            person.world.expect(&person.life.host, "take back", &error);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Steering {
    async fn steer(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        let admin = coordinator.admin();
        let reason = Reason::by("the one who steers").because("because");
        match self.rng.random_range(0..16) {
            0..6 => self.cancel(coordinator).await,
            6..8 => {
                let Some(id) = self.any(coordinator).await? else { return Ok(()) };
                self.world.count("cordoned by a person");
                admin.cordon(&id, &reason).await
            }
            8..10 => {
                let Some(id) = self.any(coordinator).await? else { return Ok(()) };
                self.world.count("drained");
                admin.drain(&id, Duration::from_secs(self.rng.random_range(0..4)), &reason).await
            }
            10..12 => {
                let (steering, _) = coordinator.steering().await?;
                let ids: Vec<_> = steering.cordons.keys().cloned().collect();
                let Some(id) = ids.choose(&mut self.rng) else { return Ok(()) };
                admin.uncordon(id).await.map(drop)
            }
            12 => {
                self.world.count("fleet paused");
                admin.pause_fleet(&reason).await.map(drop)
            }
            13 => admin.resume_fleet().await.map(drop),
            _ => self.move_plan(coordinator).await,
        }
    }

    /// A live process.
    async fn any(&mut self, coordinator: &Coordinator) -> Result<Option<OrchestratorId>, Error> {
        let all = coordinator.orchestrators().await?;
        let all: Vec<_> = all.iter().collect();
        // Those that stay up more often: to the others it happens once, since they get another name.
        let stay = self.rng.random_bool(0.6);
        let some: Vec<_> = all.iter().filter(|one| !stay || one.record.host.starts_with("service")).collect();
        Ok(some.choose(&mut self.rng).map(|one| one.id.clone()))
    }

    /// Cancels a task, in progress if there is one.
    async fn cancel(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        let plans = coordinator.plans().await?;
        let Some(plan) = plans.choose(&mut self.rng).cloned() else { return Ok(()) };
        let busy = |status| status == TaskStatus::InProgress;
        let tasks: Vec<_> = plan.tasks().values().collect();
        let in_progress: Vec<_> = tasks.iter().filter(|task| busy(task.record.status)).copied().collect();
        let some = if in_progress.is_empty() { tasks } else { in_progress };
        let Some(task) = some.choose(&mut self.rng) else { return Ok(()) };
        let then = *Then::ALL.choose(&mut self.rng).expect("there are three");
        let authority = coordinator.operator(&plan, "the one who steers")?;
        let change = Change::Cancel(then, "not needed".to_owned());
        let cancelled = self.client.update(&authority, task, Some(task.record.attempt), &change).await?;
        if let (Outcome::Committed(_), true) = (cancelled, busy(task.record.status)) {
            self.world.count("attempts cancelled");
        }
        Ok(())
    }

    /// Moves a plan as `owner move` does, which goes on beside this.
    #[expect(clippy::disallowed_methods, reason = "it ends by itself, or with its host")]
    async fn move_plan(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        let plans = coordinator.plans().await?;
        let owned: Vec<_> = plans.iter().filter(|plan| plan.queue().owner().is_some()).collect();
        let (Some(plan), Some(to)) = (owned.choose(&mut self.rng), self.any(coordinator).await?) else {
            return Ok(());
        };
        let deadline = Duration::from_secs(self.rng.random_range(0..5));
        let reason = Reason::by("the one who steers").because("because");
        let request = coordinator.admin().request_move(plan.name(), None, &to, deadline, &reason).await?;
        self.world.count("moves asked for");
        let (coordinator, world, plan) = (coordinator.clone(), Arc::clone(&self.world), plan.name().clone());
        let host = self.life.host.clone();
        tokio::spawn(async move {
            let moved = until_owner_changes(&coordinator, &plan, &request);
            let to = tokio::time::timeout(deadline + BESIDES, moved).await;
            if let Err(error) = coordinator.admin().withdraw_move(&plan, Some(&request)).await {
                world.expect(&host, "withdraw a move", &error); // It ends by itself.
            }
            match to {
                Ok(Err(error)) => world.expect(&host, "see a plan move", &error),
                Ok(Ok(None)) => world.count("finished before they moved"),
                Ok(Ok(Some(to))) => {
                    world.count(if to.1 == request.to { "moved" } else { "moved elsewhere" });
                    lock(&world.moved).push(Moved { plan, request, to: Some(to) });
                }
                Err(_) => lock(&world.moved).push(Moved { plan, request, to: None }),
            }
        });
        Ok(())
    }

    /// Ends what was asked; a drain once it has come to its end, which is bounded.
    async fn take_back(
        &mut self,
        coordinator: &Coordinator,
        drains: &mut BTreeMap<OrchestratorId, tokio::time::Instant>,
    ) -> Result<(), Error> {
        let (steering, _) = coordinator.steering().await?;
        let admin = coordinator.admin();
        if steering.pause.is_some() {
            admin.resume_fleet().await?;
        }
        for plan in steering.moves.keys() {
            admin.withdraw_move(plan, None).await?;
        }
        let plans = coordinator.plans().await?;
        for (id, cordon) in &steering.cordons {
            let owns = plans
                .iter()
                .any(|plan| plan.queue().owner().is_some_and(|(_, term)| term.owner.orchestrator == *id));
            // What else owns a plan keeps it when it is drained.
            let yields = id.as_str().starts_with("service") || id.as_str().starts_with("orchestrator");
            if cordon.state == Eligibility::Draining && owns && yields {
                let since = *drains.entry(id.clone()).or_insert_with(tokio::time::Instant::now);
                let bound = Duration::from_secs(cordon.deadline_s.unwrap_or(0)) + DRAINED_WITHIN;
                if since.elapsed() < bound {
                    continue;
                }
                self.world.problem(format!("{id} still owned a plan {bound:?} after it was to be drained"));
            }
            admin.uncordon(id).await?;
        }
        Ok(())
    }
}

/// Waits until the plan has another owner than before, and returns it, with the revision at which it was so;
/// `None` if the plan is finished.
async fn until_owner_changes(
    coordinator: &Coordinator,
    plan: &PlanName,
    request: &MoveRecord,
) -> Result<Option<(Revision, OrchestratorId)>, Error> {
    loop {
        let view = coordinator.plan(plan).await?;
        match view.queue().owner().map(|(_, term)| term.owner.orchestrator.clone()) {
            Some(owner) if owner != request.from => return Ok(Some((view.revision(), owner))),
            None if view.summary().is_finished() => return Ok(None),
            Some(_) | None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}
