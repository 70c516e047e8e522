//! A worker: claims ready tasks of plans that others own, and may be lost with them.

use std::{sync::Arc, time::Duration};

use planlease::{
    Authority, Error, Outcome, PlanView, Session,
    core::{TaskId, transition::Change},
};
use planlease_oracle::Client;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};

use super::Ended;
use crate::world::{AGAIN, Life, World};

struct Worker {
    world: Arc<World>,
    life: Life,
    client: Client,
    rng: StdRng,
}

/// Runs until it is killed, or until faults are over: then it claims nothing more.
///
/// # Errors
/// Never.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let client = world.client(&life);
    let rng = StdRng::seed_from_u64(life.seed);
    let mut worker = Worker { world, life, client, rng };
    while !worker.world.is_healed() {
        let session = worker.world.session(&coordinator, &worker.life).await;
        for _ in 0..worker.rng.random_range(2..20) {
            tokio::time::sleep(Duration::from_millis(worker.rng.random_range(50..1_500))).await;
            if worker.world.is_healed() {
                break;
            }
            if let Err(error) = worker.turn(&session).await {
                worker.world.expect(&worker.life.host, "work", &error);
                if session.deadline_passed() {
                    break;
                }
            }
        }
        if worker.rng.random_bool(0.5) {
            // What it has not finished is an orphan when its registration is gone.
            let _ = session.close().await;
        }
    }
    tokio::time::sleep(AGAIN).await;
    std::future::pending().await
}

/// Whether a session is over.
trait Over {
    fn deadline_passed(&self) -> bool;
}

impl Over for Session {
    fn deadline_passed(&self) -> bool {
        matches!(self.status(), planlease::core::session::Status::Lost(_))
    }
}

impl Worker {
    /// Claims one task and works on it.
    async fn turn(&mut self, session: &Session) -> Result<(), Error> {
        let coordinator = session.coordinator();
        let plans = coordinator.plans().await?;
        let ready: Vec<(&PlanView, &TaskId)> =
            plans.iter().flat_map(|plan| plan.ready().map(move |task| (plan, task))).collect();
        let Some((plan, task)) = ready.choose(&mut self.rng).copied() else { return Ok(()) };
        let authority: Authority = coordinator.worker(session, plan.name())?;
        let Outcome::Committed(mut claimed) = self.client.start(&authority, plan, task).await? else {
            return Ok(());
        };
        self.world.count("claimed by a worker");
        let attempt = claimed.record.attempt;
        for _ in 0..self.rng.random_range(0..3) {
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(1..800))).await;
            let note = Change::Progress(format!("{} still at it", self.life.host));
            match self.client.update(&authority, &claimed, Some(attempt), &note).await? {
                Outcome::Committed(noted) => claimed = noted,
                _ => return Ok(()),
            }
        }
        let change = match self.rng.random_range(0..6) {
            0 => return Ok(()), // Forgotten.
            1 => Change::Fail("a worker's failure".to_owned()),
            2 => Change::Return("too hard".to_owned()),
            _ => Change::Complete(None),
        };
        let _ = self.client.update(&authority, &claimed, Some(attempt), &change).await?;
        Ok(())
    }
}
