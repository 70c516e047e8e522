//! An operator: imports and edits plans, ends ownerships by force, changes tasks manually, deletes a plan now
//! and then; and when faults are over, decides what is left to an operator, and says when
//! everything is done.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use planlease::{
    Coordinator, Error, PlanView, Reason,
    core::{
        PlanName, PoolName, TaskId,
        exits::Exits,
        on_failed::OnDependencyFailed,
        pool::Pools,
        spec::{HeartbeatOn, OnLost, PlanSpec, Policy, TaskPolicy, TaskSpec},
        transition::{Change, TaskStatus},
    },
};
use planlease_oracle::Client;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};

use super::Ended;
use crate::world::{AGAIN, Life, World, random};

/// What some tasks need, and one of the orchestrators that stay up has.
pub const GPU: &str = "gpu";

struct Operator {
    world: Arc<World>,
    life: Life,
    client: Client,
    rng: StdRng,
    steps: u64,
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
    let mut operator = Operator { world, life, client, rng, steps: 0 };
    let mut wait = Duration::from_millis(20);
    loop {
        tokio::time::sleep(wait).await;
        let done = if operator.world.is_healed() {
            wait = AGAIN;
            operator.bring_to_an_end(&coordinator).await
        } else {
            wait = operator.world.options.operator_every.mul_f64(operator.rng.random_range(0.1..2.0));
            operator.step_in(&coordinator).await
        };
        if let Err(error) = done {
            operator.world.expect(&operator.life.host, "step in", &error);
        }
    }
}

/// The definition of a plan: the same for the same number.
///
/// # Panics
/// Never: the names are good.
#[must_use]
pub fn definition(world: &World, number: usize) -> (PlanName, PlanSpec) {
    let mut rng = random(&(world.options.seed, "plan", number));
    let count = rng.random_range(1..=world.options.tasks_max);
    let ids: Vec<TaskId> = (1..=count).map(|n| TaskId::new(format!("1.{n}")).expect("an id")).collect();
    let tasks = ids.iter().enumerate().map(|(index, id)| {
        let mut task = TaskSpec::new(id.clone(), format!("task {id}"));
        task.depends_on = ids[..index].iter().filter(|_| rng.random_bool(0.3)).cloned().collect();
        if rng.random_bool(0.2) {
            task.policy =
                Some(Box::new(TaskPolicy { on_lost: Some(any_policy(&mut rng)), ..TaskPolicy::default() }));
        }
        task
    });
    let mut tasks: Vec<TaskSpec> = tasks.collect();
    let mut rng_of_fleet = random(&(world.options.seed, "fleet", number));
    let mut labels = BTreeMap::new();
    if world.options.services > 0 {
        let team = ["a", "b"][rng_of_fleet.random_range(0..2)];
        labels.insert("team".to_owned(), team.to_owned());
        for task in tasks.iter_mut().filter(|_| rng_of_fleet.random_bool(0.15)) {
            task.needs.insert(GPU.to_owned());
        }
    }
    let policy = Policy {
        max_retries: rng.random_range(0..4),
        max_lost: if world.options.operator_meddles { rng.random_range(0..4) } else { u32::MAX },
        // Without an operator's interference, work is to go on for as long as it takes.
        attempt_deadline_s: [0, 2, 60][rng.random_range(0..3)] * u64::from(world.options.operator_meddles),
        on_lost: any_policy(&mut rng),
        lock_delay_s: [0, 0, 0, 1][rng.random_range(0..4)],
        pools: pools(world, number),
        ..timers(world, number)
    };
    let policy = if world.options.rules { with_rules(policy, &mut rng_of_fleet) } else { policy };
    let name = PlanName::new(format!("plan-{number}")).expect("a name");
    (name, PlanSpec { title: format!("plan {number}"), labels, tasks, policy, ..PlanSpec::default() })
}

/// What follows from an exit code, and from the failure of a dependency.
fn with_rules(policy: Policy, rng: &mut StdRng) -> Policy {
    use OnDependencyFailed::{Fail, Run, Skip, Wait};
    let mut exits = |code: &str| {
        let codes = if rng.random_bool(0.5) { vec![code] } else { Vec::new() };
        Exits::parse(codes).expect("exit codes")
    };
    let (retry_on, fail_on, ask_on) = (exits("1"), exits("2"), exits("3"));
    let on_dependency_failed = [Wait, Skip, Fail, Run][rng.random_range(0..4)];
    Policy { retry_on, fail_on, ask_on, on_dependency_failed, ..policy }
}

/// The part of a plan's policy that counts time; half of the plans have none.
fn timers(world: &World, number: usize) -> Policy {
    let mut rng = random(&(world.options.seed, "timers", number));
    // Without an operator's interference, work is to go on for as long as it takes.
    if !world.options.operator_meddles || rng.random_bool(0.5) {
        return Policy::default();
    }
    let mut one_of = |seconds: [u64; 4]| seconds[rng.random_range(0..4)];
    Policy {
        retry_delay_s: one_of([0, 0, 1, 3]),
        total_deadline_s: one_of([0, 4, 10, 30]),
        queue_deadline_s: one_of([0, 0, 1, 4]),
        heartbeat_s: one_of([0, 1, 2, 6]),
        heartbeat_on: [HeartbeatOn::Any, HeartbeatOn::Output, HeartbeatOn::Progress][rng.random_range(0..3)],
        max_in_progress: [0, 0, 1, 2][rng.random_range(0..4)],
        ..Policy::default()
    }
}

/// The pool that plans share.
///
/// # Panics
/// Never: the name is good.
#[must_use]
pub fn pool() -> PoolName {
    PoolName::new("press").expect("a name")
}

/// The pools that the tasks of a plan use: half of the plans use one, where no operator ends what others have
/// claimed. A worker that lives on after that keeps its permit until it reports, which it need not do.
fn pools(world: &World, number: usize) -> Pools {
    if world.options.operator_meddles {
        return Pools::default();
    }
    let mut rng = random(&(world.options.seed, "pools", number));
    let uses = if rng.random_bool(0.5) { BTreeMap::from([(pool(), 1)]) } else { BTreeMap::new() };
    Pools::new(uses).expect("one permit of one pool")
}

fn any_policy(rng: &mut StdRng) -> OnLost {
    [OnLost::Retry, OnLost::Retry, OnLost::Fail, OnLost::Ask][rng.random_range(0..4)]
}

impl Operator {
    async fn step_in(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        self.import_one(coordinator).await?;
        self.size_pool(coordinator).await?;
        if !self.world.options.operator_meddles {
            return Ok(());
        }
        let plans = coordinator.plans().await?;
        let Some(plan) = plans.choose(&mut self.rng).cloned() else { return Ok(()) };
        match self.rng.random_range(0..14) {
            12.. if plan.halts().paused.is_some() => drop(coordinator.admin().resume(plan.name()).await?),
            12.. => {
                coordinator
                    .admin()
                    .pause(plan.name(), &Reason::by("the operator").because("because"))
                    .await?;
                self.world.count("plans paused");
            }
            10.. => self.edit(coordinator, &plan).await?,
            0..3 => {
                coordinator
                    .admin()
                    .force_release(plan.name(), None, &Reason::by("the operator").because("because"))
                    .await?;
                self.world.count("ended by force");
            }
            3..8 => self.decide(coordinator, &plan).await?,
            8 => {
                coordinator.admin().delete(plan.name()).await?;
                self.world.count("plans deleted");
            }
            _ => drop(self.client.plan(coordinator, plan.name()).await?),
        }
        Ok(())
    }

    /// Defines the pool, and makes it larger and smaller now and then.
    async fn size_pool(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        self.steps += 1;
        let mut rng = random(&(self.life.seed, "pool", self.steps));
        let smallest = random(&(self.world.options.seed, "pool")).random_range(1..=2);
        if self.steps == 1 || rng.random_bool(0.2) {
            let size = smallest + u32::from(rng.random_bool(0.5));
            coordinator.admin().set_pool(&pool(), size, None, "the operator").await?;
            self.world.count("pool defined");
        }
        Ok(())
    }

    /// Imports one plan that is not there yet, if there is one.
    async fn import_one(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        let number = self.rng.random_range(0..self.world.options.plans);
        let (name, spec) = definition(&self.world, number);
        match coordinator.admin().import(&name, &spec, |_| {}).await {
            Ok(_) => {
                self.world.count("plans imported");
                Ok(())
            }
            Err(Error::PlanExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Leaves a task out of a plan, or thinks of one more, which has to wait for another one.
    async fn edit(&mut self, coordinator: &Coordinator, plan: &PlanView) -> Result<(), Error> {
        let mut edited = PlanSpec::clone(plan.spec());
        let known: Vec<TaskId> = edited.tasks.iter().map(|task| task.id.clone()).collect();
        let Some(one) = known.choose(&mut self.rng) else { return Ok(()) };
        if self.rng.random_bool(0.5) && known.len() > 1 {
            edited.tasks.retain(|task| task.id != *one);
            for task in &mut edited.tasks {
                task.depends_on.retain(|other| other != one);
            }
        } else if known.len() < 2 * self.world.options.tasks_max {
            let id = TaskId::new(format!("2.{}", self.rng.random_range(0..1_000))).expect("an id");
            if !known.contains(&id) {
                let mut task = TaskSpec::new(id, "one more");
                task.depends_on.push(one.clone());
                edited.tasks.push(task);
            }
        }
        let done = coordinator.admin().edit(plan.name(), &edited).await?;
        if done.revision.is_some() {
            self.world.count("plans edited");
        }
        Ok(())
    }

    /// Does about one task what only an operator may do.
    async fn decide(&mut self, coordinator: &Coordinator, plan: &PlanView) -> Result<(), Error> {
        let authority = coordinator.operator(plan, "the operator")?;
        let tasks: Vec<_> = plan.tasks().values().cloned().collect();
        let Some(task) = tasks.choose(&mut self.rng) else { return Ok(()) };
        let change = match (task.record.status, self.rng.random_bool(0.5)) {
            (TaskStatus::Pending, true) => Change::Start,
            (TaskStatus::Pending, false) => Change::Skip("not needed".to_owned()),
            (TaskStatus::InProgress, true) => Change::Complete(Some("manually".to_owned())),
            (TaskStatus::InProgress, false) => Change::Fail("manually".to_owned()),
            (TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Skipped, _) => {
                Change::Retry("again".to_owned())
            }
        };
        let _ = self.client.update(&authority, task, None, &change).await?;
        Ok(())
    }

    /// Retries or leaves out what waits for an operator, and ends what an operator has begun. Everything is
    /// done when all plans are there and have come to their end.
    async fn bring_to_an_end(&mut self, coordinator: &Coordinator) -> Result<(), Error> {
        for number in 0..self.world.options.plans {
            let (name, spec) = definition(&self.world, number);
            match coordinator.admin().import(&name, &spec, |_| {}).await {
                Ok(_) | Err(Error::PlanExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if coordinator.pools().await?.0.0.get(&pool()).is_none_or(|pool| pool.size() == 0) {
            coordinator.admin().set_pool(&pool(), 1, None, "the operator").await?;
        }
        let mut open = 0;
        for plan in coordinator.plans().await? {
            let summary = plan.summary();
            if summary.completed + summary.skipped == summary.total {
                continue;
            }
            open += 1;
            if plan.halts().paused.is_some() {
                coordinator.admin().resume(plan.name()).await?;
            }
            for task in plan.tasks().values() {
                let record = &task.record;
                let by_operator = record.claim.as_ref().is_some_and(|claim| claim.guard.is_none());
                let change = match record.status {
                    TaskStatus::Failed if record.failures > 3 => Change::Skip("it never works".to_owned()),
                    TaskStatus::Failed => Change::Retry("again".to_owned()),
                    TaskStatus::InProgress if by_operator => Change::Complete(Some("at last".to_owned())),
                    _ => continue,
                };
                let Ok(authority) = coordinator.operator(&plan, "the operator") else { break };
                let _ = self.client.update(&authority, task, None, &change).await?;
            }
        }
        if open == 0 {
            self.world.finish();
        }
        Ok(())
    }
}
