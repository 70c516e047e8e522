//! The work of tasks: takes a while, sometimes fails, and happens at a resource outside etcd. Stands in the
//! place of the processes that an orchestrator starts, and keeps their promise: nothing is done after the
//! deadline.

use std::{sync::Arc, time::Duration};

use planlease::{
    Session,
    clock::{Clock as _, sleep_until},
    core::{BootTime, FencingToken, Generation, PlanName, TermNumber},
};
use planlease_orchestrator::{
    Boxed, Cause, CommandSpec, Commands, Executor, Finished, Running, SpawnError, Status, env,
};
use rand::RngExt;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    clock::HostClock,
    world::{Life, Office, World, random},
};

/// How often work that writes output does.
const TALK: Duration = Duration::from_millis(700);

/// What a piece of work is like: how long it takes, and whether it ends well. The same for the same attempt.
#[must_use]
pub fn nature(world: &World, plan: &str, task: &str, attempt: &str) -> (Duration, bool) {
    let mut rng = random(&(world.options.seed, plan, task, attempt));
    let longest = u64::try_from(world.options.work_max.as_millis()).unwrap_or(u64::MAX);
    let takes = Duration::from_millis(rng.random_range(1..=longest));
    (takes, !rng.random_ratio(world.options.failures_percent, 100))
}

/// With which code a piece of work fails. The same for the same attempt.
fn exit_code(world: &World, task: &str, attempt: &str) -> i32 {
    if world.options.rules {
        random(&(world.options.seed, "exit", task, attempt)).random_range(1..=4)
    } else {
        1
    }
}

/// Does the work of an orchestrator's tasks.
#[derive(Clone, Debug)]
pub struct Workshop {
    world: Arc<World>,
    life: Life,
}

impl Workshop {
    /// The workshop of a host.
    #[must_use]
    pub fn new(world: Arc<World>, life: Life) -> Self {
        Self { world, life }
    }
}

impl Executor for Workshop {
    fn for_session(&self, _session: &Session) -> Arc<dyn Commands> {
        Arc::new(Bench { workshop: self.clone(), deadline: watch::Sender::new(None) })
    }
}

/// What works for one session.
#[derive(Debug)]
struct Bench {
    workshop: Workshop,
    deadline: watch::Sender<Option<BootTime>>,
}

impl Commands for Bench {
    fn extend(&self, deadline: BootTime) {
        self.deadline.send_if_modified(|known| {
            let later = known.is_none_or(|known| known < deadline);
            if later {
                *known = Some(deadline);
            }
            later
        });
    }

    #[expect(clippy::disallowed_methods, reason = "the handle owns the task, and ends it")]
    fn spawn<'a>(&'a self, spec: &'a CommandSpec) -> Boxed<'a, Result<Box<dyn Running>, SpawnError>> {
        let Workshop { world, life } = self.workshop.clone();
        let (ask, asked) = watch::channel(false);
        let task = Task {
            clock: world.clock(&life.host).clone(),
            deadline: self.deadline.subscribe(),
            asked,
            who: format!("{}.{}", life.host, life.start),
            spec: spec.clone(),
            world,
        };
        Box::pin(async move {
            let task = tokio::spawn(task.run());
            Ok(Box::new(Working { ask, task, finished: None }) as Box<dyn Running>)
        })
    }
}

/// A piece of work under way.
#[derive(Debug)]
struct Working {
    ask: watch::Sender<bool>,
    task: JoinHandle<Finished>,
    finished: Option<Finished>,
}

impl Running for Working {
    fn terminate(&self) {
        self.ask.send_replace(true);
    }

    fn kill(&self) {
        self.ask.send_replace(true);
    }

    fn wait(&mut self) -> Boxed<'_, &Finished> {
        Box::pin(async {
            if self.finished.is_none() {
                self.finished =
                    Some((&mut self.task).await.expect("it does not panic, and only its drop ends it"));
            }
            self.finished.as_ref().expect("it was filled above")
        })
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    world: Arc<World>,
    clock: HostClock,
    deadline: watch::Receiver<Option<BootTime>>,
    asked: watch::Receiver<bool>,
    who: String,
    spec: CommandSpec,
}

impl Task {
    async fn run(mut self) -> Finished {
        let (plan, task, attempt) =
            (self.reported(env::PLAN), self.reported(env::TASK), self.reported(env::ATTEMPT));
        let plan = PlanName::new(plan).expect("the orchestrator says which plan");
        let token = token(&self.reported(env::FENCING_TOKEN)).expect("the orchestrator says which token");
        let (takes, well) = nature(&self.world, plan.as_str(), &task, &attempt);
        let mut work = None;
        let mut done = std::pin::pin!(tokio::time::sleep(takes));
        let talks = takes.as_millis() % 2 == 0;
        loop {
            let deadline = *self.deadline.borrow_and_update();
            // Nothing begins before there is a deadline to come.
            if work.is_none() && deadline.is_some_and(|deadline| deadline > self.clock.boot()) {
                work = Some(Office::enter(&self.world, &plan, token, &self.who));
            }
            tokio::select! {
                biased; // The deadline is the promise.
                () = until(&self.clock, deadline) => {
                    return Finished::new(Cause::Deadline, Status::Signalled(9), String::new());
                }
                _ = self.asked.wait_for(|asked| *asked) => {
                    return Finished::new(Cause::Asked, Status::Signalled(15), String::new());
                }
                Ok(()) = self.deadline.changed() => {}
                () = tokio::time::sleep(TALK), if talks && work.is_some() => {
                    self.spec.pulse.beat(self.clock.boot());
                }
                () = &mut done, if work.is_some() => {
                    let output = format!("{task}, attempt {attempt}");
                    let code = if well { 0 } else { exit_code(&self.world, &task, &attempt) };
                    return Finished::new(Cause::Itself, Status::Exited(code), output);
                }
            }
        }
    }

    fn reported(&self, name: &str) -> String {
        let value =
            self.spec.env.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
        value.and_then(|value| value.into_string().ok()).unwrap_or_default()
    }
}

/// Waits for the deadline; for ever if there is none yet.
async fn until(clock: &HostClock, deadline: Option<BootTime>) {
    match deadline {
        Some(deadline) => sleep_until(clock, deadline).await,
        None => std::future::pending().await,
    }
}

fn token(text: &str) -> Option<FencingToken> {
    let (generation, term) = text.split_once('.')?;
    Some(FencingToken {
        generation: Generation(generation.parse().ok()?),
        term: TermNumber(term.parse().ok()?),
    })
}
