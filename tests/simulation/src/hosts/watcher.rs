//! A watcher with its subscribers: one reads everything, one is slow. What they receive is recorded, and
//! judged at the end of the run.

use std::{sync::Arc, time::Duration};

use planlease_watcher::{Delivery, Filter, Options, Snapshot, Subscription, Watcher};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::Ended;
use crate::{
    invariants::watchers::{Delivered, look},
    world::{Life, World, lock},
};

/// Runs until it is killed.
///
/// # Errors
/// If the watcher ends, which it must not.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let options = Options::default().changes_kept(world.options.changes_kept);
    let watcher = Watcher::start_with(coordinator, options);
    let prompt = watcher.subscribe(Filter::default(), None).await;
    let slow = watcher.subscribe(Filter::default(), None).await;
    if let (Ok(prompt), Ok(slow)) = (prompt, slow) {
        tokio::join!(
            biased; // The order does not matter.
            read(&world, &life, "prompt", prompt, Duration::ZERO),
            read(&world, &life, "slow", slow, Duration::from_millis(1_500)),
        );
    }
    world.problem(format!("{host} ended: {:?}", watcher.error()));
    Ok(())
}

/// Keeps a copy of the store by what a subscription brings.
async fn read(world: &World, life: &Life, kind: &str, mut subscription: Subscription, pause: Duration) {
    let name = format!("{}.{} {kind}", life.host, life.start);
    let mut rng = StdRng::seed_from_u64(life.seed);
    let mut copy: Option<Snapshot> = None;
    while let Some(delivery) = subscription.next().await {
        let continues = match delivery {
            Delivery::Snapshot(snapshot, _) => {
                copy = Some(snapshot);
                false
            }
            Delivery::Changes(set) => {
                if let Some(copy) = &mut copy {
                    copy.apply(&set);
                }
                !set.resynced
            }
        };
        let Some(copy) = &copy else {
            world.problem(format!("{name} received changes before a snapshot"));
            continue;
        };
        let delivered = Delivered { revision: copy.revision(), continues, seen: look(copy) };
        lock(&world.delivered).entry(name.clone()).or_default().push(delivered);
        if !pause.is_zero() && !world.is_healed() {
            tokio::time::sleep(pause.mul_f64(rng.random_range(0.0..1.0))).await;
        }
    }
}
