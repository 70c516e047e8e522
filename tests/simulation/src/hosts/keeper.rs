//! A program that owns a plan for others, as `hold` and the sidecar do: keeps the timers of its tasks while
//! workers claim them, and now and then does one itself. It completes what was cancelled, too, if it can: of
//! a request to cancel it knows only what the library says.

use std::{sync::Arc, time::Duration};

use planlease::{
    AcquireOptions, Error, Outcome, Ownership, PlanView,
    core::transition::{Change, TaskStatus},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};

use super::{Ended, work::nature};
use crate::world::{AGAIN, Life, Office, World};

/// Runs until it is killed, or until faults are over: then it owns nothing more.
///
/// # Errors
/// Never.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let mut rng = StdRng::seed_from_u64(life.seed);
    while !world.is_healed() {
        let session = world.session(&coordinator, &life).await;
        for _ in 0..rng.random_range(1..4) {
            if session.status() != *session.watch_status().borrow() || world.is_healed() {
                break;
            }
            let plans = match coordinator.plans().await {
                Ok(plans) => plans,
                Err(error) => {
                    world.expect(&host, "list plans", &error);
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            let names: Vec<_> = plans.iter().map(|plan| plan.name().clone()).collect();
            let Some(plan) = names.choose(&mut rng) else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let wait = Some(Duration::from_millis(rng.random_range(1..4_000)));
            match session.acquire(plan, AcquireOptions::default().wait(wait)).await {
                Ok(ownership) => keep(&world, &life, &mut rng, ownership).await,
                Err(error) => {
                    world.expect(&host, "acquire", &error);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        if let Err(error) = session.close().await {
            world.expect(&host, "close a session", &error);
        }
    }
    std::future::pending().await
}

/// Owns a plan for a while.
async fn keep(world: &Arc<World>, life: &Life, rng: &mut StdRng, ownership: Ownership) {
    world.count("timers kept");
    let lasts = Duration::from_millis(rng.random_range(500..12_000));
    let lost = tokio::select! {
        biased; // An owner that lost the plan stops at once.
        _ = ownership.keep_timers() => true,
        () = work(world, life, &ownership) => false,
        () = tokio::time::sleep(lasts) => false,
    };
    if lost {
        world.count("lost by a keeper of timers");
    }
    if rng.random_ratio(1, 4) {
        drop(ownership); // Released by the session's task.
    } else if let Err(error) = ownership.release().await {
        world.expect(&life.host, "release", &error);
    }
}

/// Does one task after the other, beside the workers.
async fn work(world: &Arc<World>, life: &Life, ownership: &Ownership) {
    while !world.is_healed() {
        tokio::time::sleep(AGAIN).await;
        let done = match ownership.session().coordinator().plan(ownership.plan()).await {
            Ok(view) => one(world, life, ownership, &view).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            world.expect(&life.host, "work", &error);
        }
    }
}

async fn one(world: &Arc<World>, life: &Life, ownership: &Ownership, view: &PlanView) -> Result<(), Error> {
    let Some(task) = view.ready().next().cloned() else { return Ok(()) };
    let authority = ownership.authority();
    let Outcome::Committed(started) = authority.start(view, &task).await? else { return Ok(()) };
    let attempt = started.record.attempt;
    let (takes, well) = nature(world, ownership.plan().as_str(), task.as_str(), &attempt.to_string());
    {
        let who = format!("{}.{}", life.host, life.start);
        let _at_work = Office::enter(world, ownership.plan(), ownership.token(), &who);
        tokio::time::sleep(takes).await;
    }
    let ended = authority.modify(&task, |record| {
        let mine = record.status == TaskStatus::InProgress && record.attempt == attempt;
        mine.then(|| if well { Change::Complete(None) } else { Change::Fail("it did not work".to_owned()) })
    });
    if let Outcome::Committed(_) = ended.await? {
        world.count("done by a keeper of timers");
    }
    Ok(())
}
