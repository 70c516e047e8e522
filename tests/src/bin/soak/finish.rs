//! The end of the soak: everything is repaired, and it is checked that everything comes to its end by itself.

use std::time::Duration;

use planlease::{Coordinator, PlanView};
use tokio::time::Instant;

use crate::world::{Crew, Phase, World};

/// From the mending of the last fault to the end of the last plan: takeovers, and what is left of the work.
const PLANS_LIMIT: Duration = Duration::from_secs(300);

/// How long a process may take to notice that nothing is left to be done.
const PROCESSES_LIMIT: Duration = Duration::from_secs(60);

/// How long an actor may take to come to an end.
const CREW_LIMIT: Duration = Duration::from_secs(90);

/// All actors, by when they are to end.
#[derive(Default)]
pub(crate) struct Crews {
    /// Until everything is repaired.
    pub(crate) nemesis: Crew,
    /// Those who write.
    pub(crate) writers: Crew,
    /// Those who look on.
    pub(crate) watchers: Crew,
}

impl Crews {
    /// Waits until one of them ends badly, if ever, and says so.
    pub(crate) async fn failure(&mut self) -> String {
        tokio::select! {
            biased; // One is as bad as the other.
            problem = self.nemesis.failure() => problem,
            problem = self.writers.failure() => problem,
            problem = self.watchers.failure() => problem,
        }
    }
}

/// Brings the soak to its end: no more faults, all plans finished.
pub(crate) async fn finish(world: &World, crews: Crews) {
    world.enter(Phase::Calm);
    report(world, crews.nemesis.ended(CREW_LIMIT).await);
    world.cluster.heal();
    let calm = Instant::now();
    let coordinator = until_connected(world).await;
    match until_finished(&coordinator).await {
        Ok(()) => {
            world.figures.count("seconds until all plans were finished", calm.elapsed().as_secs().to_string())
        }
        Err(left) => left.iter().for_each(|plan| world.figures.violation(unfinished(plan))),
    }
    let deadline = Instant::now() + PROCESSES_LIMIT;
    while !world.fleet.running().is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for process in world.fleet.running() {
        world.figures.violation(format!("process {process} does not end, though nothing is left to be done"));
    }
    world.enter(Phase::Still);
    report(world, crews.writers.ended(CREW_LIMIT).await);
    world.fleet.clear();
    complete(world).await;
    world.enter(Phase::Over);
    report(world, crews.watchers.ended(CREW_LIMIT).await);
    complete(world).await; // What expired meanwhile was delivered to watchers too.
}

fn report(world: &World, problems: Vec<String>) {
    problems.into_iter().for_each(|problem| world.figures.violation(problem));
}

async fn until_connected(world: &World) -> Coordinator {
    loop {
        match Coordinator::connect(world.direct_config()).await {
            Ok(coordinator) => return coordinator,
            Err(error) => eprintln!("the cluster does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Those that are not, when the time is up.
async fn until_finished(coordinator: &Coordinator) -> Result<(), Vec<PlanView>> {
    let deadline = Instant::now() + PLANS_LIMIT;
    loop {
        if let Ok(plans) = coordinator.plans().await {
            let left: Vec<PlanView> =
                plans.into_iter().filter(|plan| !plan.summary().is_finished()).collect();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(left);
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn unfinished(plan: &PlanView) -> String {
    let tasks: Vec<String> = plan
        .tasks()
        .values()
        .filter(|task| !matches!(task.record.status.as_str(), "completed" | "skipped"))
        .map(|task| format!("{} is {} ({:?})", task.id, task.record.status, task.record.claim))
        .collect();
    format!(
        "{} is not finished {PLANS_LIMIT:?} after everything was repaired: {}; in the queue: {:?}",
        plan.name(),
        tasks.join(", "),
        plan.queue().candidates().iter().map(planlease::core::term::Candidate::name).collect::<Vec<_>>()
    )
}

/// Records what is left to be recorded. Leases of the dead may expire meanwhile, so that there is more again.
async fn complete(world: &World) {
    const TRIES: usize = 6;
    for member in (0..TRIES).map(|n| n % world.cluster.members().len()) {
        let Ok(client) = world.cluster.client(member).await else { continue };
        let completed = tokio::time::timeout(Duration::from_secs(10), world.history.complete(&client));
        match completed.await {
            Ok(Ok(())) => return,
            Ok(Err(why)) => eprintln!("the history is not complete yet: {why}"),
            Err(_) => eprintln!("the history is not complete yet: the store still changes"),
        }
    }
    world.figures.violation("the history could not be completed".to_owned());
}
