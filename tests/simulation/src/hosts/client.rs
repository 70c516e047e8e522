//! A program on top of the library: acquires plans, executes them itself, and does everything that the
//! library allows in an unusual order. It keeps a journal of what it called and which answers it
//! got.

use std::{sync::Arc, time::Duration};

use planlease::{
    AcquireOptions, Coordinator, Error, NotHandedOver, Outcome, Ownership, PlanView, Refused, Session,
    TaskView, TryAcquire, TryLock,
    core::{
        LockName, PlanName, TaskId,
        transition::{Change, TaskStatus},
    },
};
use planlease_oracle::Client;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};

use super::{Ended, work::nature};
use crate::world::{AGAIN, Life, Office, World};

struct Program {
    world: Arc<World>,
    life: Life,
    client: Client,
    rng: StdRng,
}

/// Runs until it is killed, or until faults are over: then it lets go of everything.
///
/// # Errors
/// Never.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let client = world.client(&life);
    let rng = StdRng::seed_from_u64(life.seed);
    let mut program = Program { world, life, client, rng };
    while !program.world.is_healed() {
        let session = program.world.session(&coordinator, &program.life).await;
        for _ in 0..program.rng.random_range(1..6) {
            if session.status() != *session.watch_status().borrow() || program.world.is_healed() {
                break;
            }
            program.turn(&session).await;
        }
        match program.rng.random_range(0..4) {
            0 => drop(session), // Its lease expires by itself.
            _ => {
                if let Err(error) = session.close().await {
                    program.world.expect(&program.life.host, "close a session", &error);
                }
            }
        }
    }
    std::future::pending().await
}

impl Program {
    /// Acquires one plan, in one of the ways that there are, and works on it.
    async fn turn(&mut self, session: &Session) {
        let coordinator = session.coordinator().clone();
        let Some(plan) = self.choose_plan(&coordinator).await else {
            return tokio::time::sleep(AGAIN).await;
        };
        if self.rng.random_ratio(1, 4) {
            return self.lock(session, &plan).await;
        }
        let acquired = match self.rng.random_range(0..3) {
            0 => match session.try_acquire(&plan).await {
                Ok(TryAcquire::Acquired(ownership)) => Ok(*ownership),
                Ok(TryAcquire::HeldBy(_) | TryAcquire::Delayed(_)) => return tokio::time::sleep(AGAIN).await,
                Err(error) => Err(error),
            },
            1 => {
                let wait = Some(Duration::from_millis(self.rng.random_range(1..6_000)));
                session.acquire(&plan, AcquireOptions::default().wait(wait)).await
            }
            _ => {
                // Waits for a while, and then drops the future in the middle of its work.
                let patience = Duration::from_millis(self.rng.random_range(1..4_000));
                let acquiring = session.acquire(&plan, AcquireOptions::default());
                match tokio::time::timeout(patience, acquiring).await {
                    Ok(acquired) => acquired,
                    Err(_) => return self.world.count("waits dropped"),
                }
            }
        };
        match acquired {
            Ok(ownership) => self.own(&coordinator, ownership).await,
            Err(error) => {
                self.world.expect(&self.life.host, "acquire", &error);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Takes a lock of the plan, in one of the ways that there are, and does something under it.
    async fn lock(&mut self, session: &Session, plan: &PlanName) {
        let name = LockName::new("desk").expect("a name");
        let patience = Duration::from_millis(self.rng.random_range(1..6_000));
        let locked = match self.rng.random_range(0..3) {
            0 => match session.try_lock(plan, &name).await {
                Ok(TryLock::Locked(lock)) => Ok(*lock),
                Ok(TryLock::HeldBy(_)) => return tokio::time::sleep(AGAIN).await,
                Err(error) => Err(error),
            },
            1 => session.lock(plan, &name, Some(patience)).await,
            _ => match tokio::time::timeout(patience, session.lock(plan, &name, None)).await {
                Ok(locked) => locked,
                Err(_) => return self.world.count("waits for locks dropped"),
            },
        };
        let lock = match locked {
            Ok(lock) => lock,
            Err(error) => {
                self.world.expect(&self.life.host, "lock", &error);
                return tokio::time::sleep(AGAIN).await;
            }
        };
        self.world.count("locked");
        let takes = Duration::from_millis(self.rng.random_range(1..8_000));
        {
            let who = format!("{}.{}", self.life.host, self.life.start);
            let _at_work = Office::enter_desk(&self.world, plan, lock.token(), &who);
            tokio::select! {
                biased; // A holder that lost the lock stops at once.
                _ = lock.lost() => self.world.count("locks lost"),
                () = tokio::time::sleep(takes) => {}
            }
        }
        if self.rng.random_ratio(1, 4) {
            drop(lock); // Released by the session's task.
        } else if let Err(error) = lock.release().await {
            self.world.expect(&self.life.host, "release a lock", &error);
        }
    }

    async fn choose_plan(&mut self, coordinator: &Coordinator) -> Option<PlanName> {
        match coordinator.plans().await {
            Ok(plans) => {
                let names: Vec<_> = plans.iter().map(|plan| plan.name().clone()).collect();
                names.choose(&mut self.rng).cloned()
            }
            Err(error) => {
                self.world.expect(&self.life.host, "list plans", &error);
                None
            }
        }
    }

    async fn own(&mut self, coordinator: &Coordinator, ownership: Ownership) {
        self.world.count("acquired by a client");
        let worked = {
            let world = Arc::clone(&self.world);
            let lost = ownership.lost();
            tokio::select! {
                biased; // An owner that lost the plan stops at once.
                _ = lost => {
                    world.count("lost by a client");
                    Err(())
                }
                worked = self.work(coordinator, &ownership) => worked,
            }
        };
        let host = self.life.host.clone();
        let ended = match (worked, self.rng.random_range(0..4)) {
            (Ok(()), 0) => match self.hand_over(coordinator, ownership).await {
                Ok(()) => Ok(()),
                Err((ownership, error)) => {
                    self.world.expect(&host, "hand over", &error);
                    ownership.release().await
                }
            },
            (_, 1) => {
                drop(ownership); // Released by the session's task.
                Ok(())
            }
            _ => ownership.release().await,
        };
        if let Err(error) = ended {
            self.world.expect(&host, "release", &error);
        }
    }

    async fn hand_over(
        &mut self,
        coordinator: &Coordinator,
        ownership: Ownership,
    ) -> Result<(), (Ownership, Error)> {
        let line = match coordinator.queue(ownership.plan()).await {
            Ok(line) => line,
            Err(error) => return Err((ownership, error)),
        };
        let waiting: Vec<_> =
            line.candidates().iter().skip(1).filter_map(|candidate| candidate.record.as_ref()).collect();
        match waiting.choose(&mut self.rng) {
            Some(to) => ownership.hand_over(&to.orchestrator).await.map_err(NotHandedOver::into_parts),
            None => Err((ownership, Error::TimedOut("no waiter"))),
        }
    }

    /// Works on the plan for a while. `Err` if it is to be given up.
    async fn work(&mut self, coordinator: &Coordinator, ownership: &Ownership) -> Result<(), ()> {
        let (_, mut view) = self.report("recover", self.client.recover(ownership).await)?;
        for _ in 0..self.rng.random_range(1..30) {
            if self.world.is_healed() {
                return Ok(());
            }
            match self.rng.random_range(0..10) {
                0..5 => self.execute(ownership, &mut view).await?,
                5 => self.note(ownership, &view).await?,
                6 => self.execute_many(ownership, &view).await?,
                7 => self.impatient(ownership, &view).await,
                8 => view = self.report("read", self.client.plan(coordinator, ownership.plan()).await)?,
                _ => {
                    let Some(task) = self.any(&view, |_| true) else { return Ok(()) };
                    let read = self.client.task(coordinator, ownership.plan(), &task.id).await;
                    if let Some(task) = self.report("read", read)? {
                        view.apply_task(task);
                    }
                }
            }
        }
        Ok(())
    }

    /// One task from its start to its end.
    async fn execute(&mut self, ownership: &Ownership, view: &mut PlanView) -> Result<(), ()> {
        let ready: Vec<TaskId> = view.ready().cloned().collect();
        let Some(task) = ready.choose(&mut self.rng).cloned() else {
            let read = self.client.plan(ownership.session().coordinator(), ownership.plan()).await;
            *view = self.report("read", read)?;
            return Ok(());
        };
        let authority = ownership.authority();
        let started = self.client.start(&authority, view, &task).await;
        let Some(started) = self.committed("start", started, view)? else { return Ok(()) };
        let attempt = started.record.attempt;
        let name = ownership.plan().as_str();
        let (takes, well) = nature(&self.world, name, started.id.as_str(), &attempt.to_string());
        {
            let who = format!("{}.{}", self.life.host, self.life.start);
            let _at_work = Office::enter(&self.world, ownership.plan(), ownership.token(), &who);
            tokio::time::sleep(takes).await;
        }
        let change = match (well, self.rng.random_range(0..8)) {
            (_, 0) => Change::Return("given back".to_owned()),
            (_, 1) => return Ok(()), // Forgotten: it stays in progress until an owner recovers it.
            (true, _) => Change::Complete(Some(format!("by {}", self.life.host))),
            (false, _) => Change::Fail("it did not work".to_owned()),
        };
        let ended = self.client.update(&authority, &started, Some(attempt), &change).await;
        self.committed("end", ended, view)?;
        Ok(())
    }

    /// Says something about a task in progress, on any record.
    async fn note(&mut self, ownership: &Ownership, view: &PlanView) -> Result<(), ()> {
        let Some(task) = self.any(view, |status| status == TaskStatus::InProgress) else { return Ok(()) };
        let note = Change::Progress(format!("{}", self.rng.random_range(0..1_000)));
        let authority = ownership.authority();
        let reported = self.client.modify(&authority, &task.id, |record| {
            (record.status == TaskStatus::InProgress).then(|| note.clone())
        });
        let reported = reported.await;
        self.report("note", reported).map(drop)
    }

    /// Many tasks in one request: each is left out or put back, as its status allows.
    async fn execute_many(&mut self, ownership: &Ownership, view: &PlanView) -> Result<(), ()> {
        let updates: Vec<(TaskView, Change)> = view
            .tasks()
            .values()
            .filter_map(|task| {
                let change = match task.record.status {
                    TaskStatus::Failed => Change::Retry("again".to_owned()),
                    TaskStatus::Skipped => Change::Retry("after all".to_owned()),
                    TaskStatus::Pending => Change::Skip("not now".to_owned()),
                    TaskStatus::InProgress => Change::Progress("among others".to_owned()),
                    TaskStatus::Completed => return None,
                };
                Some((task.clone(), change))
            })
            .collect();
        let many = self.client.update_all(&ownership.authority(), &updates).await;
        self.report("settle many", many).map(drop)
    }

    /// Drops an update in the middle of it.
    async fn impatient(&mut self, ownership: &Ownership, view: &PlanView) {
        let Some(task) = self.any(view, |_| true) else { return };
        let patience = Duration::from_millis(self.rng.random_range(0..200));
        let change = Change::Skip("in a hurry".to_owned());
        let authority = ownership.authority();
        let update = self.client.update(&authority, &task, None, &change);
        if tokio::time::timeout(patience, update).await.is_err() {
            self.world.count("updates dropped");
        }
    }

    fn any(&mut self, view: &PlanView, wanted: impl Fn(TaskStatus) -> bool) -> Option<TaskView> {
        let tasks: Vec<_> = view.tasks().values().filter(|task| wanted(task.record.status)).collect();
        tasks.choose(&mut self.rng).map(|task| (*task).clone())
    }

    fn committed(
        &self,
        doing: &str,
        outcome: Result<Outcome, Error>,
        view: &mut PlanView,
    ) -> Result<Option<TaskView>, ()> {
        match self.report(doing, outcome)? {
            Outcome::Committed(task) => {
                view.apply_task(task.clone());
                Ok(Some(task))
            }
            Outcome::Refused(Refused::Conflict(present)) => {
                view.apply_task(*present);
                Ok(None)
            }
            Outcome::Refused(Refused::AuthorityLost(_) | Refused::NoSuchTask) => Err(()),
            Outcome::Refused(_) | Outcome::Unknown { .. } => Ok(None),
        }
    }

    fn report<T>(&self, doing: &str, answer: Result<T, Error>) -> Result<T, ()> {
        answer.map_err(|error| self.world.expect(&self.life.host, doing, &error))
    }
}
